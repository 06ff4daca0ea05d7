//! The text as a page of its own: no script, nothing loaded, light and dark.

use super::reading::Reading;
use super::spelling::push_visible;
use super::summary;
use crate::figures::escape;

/// Backgrounds of segments in turn, and the rest of the page.
const STYLE: &str = "\
:root { color-scheme: light dark; --page: #ffffff; --ink: #1f2933; --dim: #6b7785; --line: #d5dae0; --anchor: #b42318;
  --s0: #dfe6fb; --s1: #dcf2df; --s2: #fbe8d0; --s3: #f6dff0; --bar: #3d6fb4; --warn: #fff4d6; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181d; --ink: #e3e8ee; --dim: #93a0ae; --line: #343c46; --anchor: #ff8a75;
    --s0: #25315a; --s1: #1c4129; --s2: #503a1b; --s3: #4c264a; --bar: #6d9be0; --warn: #47390d; }
}
body { background: var(--page); color: var(--ink); font: 16px/1.75 Georgia, serif; max-width: 46rem;
  margin: 2rem auto; padding: 0 1rem; }
h1, h2, table, .key, .warn { font-family: system-ui, sans-serif; line-height: 1.4; }
h1 { font-size: 1.35rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin-top: 2rem; }
.key { color: var(--dim); font-size: .85rem; }
.warn { background: var(--warn); padding: .6rem .8rem; border-radius: 4px; white-space: pre-wrap; font-size: .9rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.text span, .text b { border-radius: 2px; padding: .1em 0; }
.text i { color: var(--dim); font: .85em ui-monospace, monospace; }
.s0 { background: var(--s0); } .s1 { background: var(--s1); } .s2 { background: var(--s2); } .s3 { background: var(--s3); }
b { outline: 1.5px solid var(--anchor); color: var(--anchor); font-weight: 800; }
table { border-collapse: collapse; font-size: .9rem; }
th { text-align: left; font-weight: 500; color: var(--dim); padding: .15rem 1.2rem .15rem 0; white-space: nowrap; }
td { padding: .15rem .8rem .15rem 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.number { text-align: right; }
.bar { background: var(--bar); height: .8em; min-width: 1px; border-radius: 2px; }
";

/// Number of segment colours in [`STYLE`].
const COLOURS: usize = 4;

/// The page.
pub(super) fn page(reading: &Reading) -> String {
    let title = escape(&format!("Anchors of {}", reading.source));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for warning in summary::warnings(reading) {
        page.push_str(&format!("<p class=\"warn\">{}</p>\n", escape(&warning)));
    }
    page.push_str(
        "<p class=\"key\">Each background is a segment; an outlined <b>token</b> is its anchor. Point at a token for \
         its place.</p>\n<div class=\"text\">",
    );
    push_tokens(&mut page, reading);
    page.push_str("</div>\n");
    push_summary(&mut page, reading);
    page.push_str("</body>\n</html>\n");
    page
}

fn push_tokens(page: &mut String, reading: &Reading) {
    for (place, token) in reading.places() {
        let tag = if place.anchor { "b" } else { "span" };
        let mut text = String::new();
        for c in token.text.chars() {
            // A line break alone has no outline to see.
            if c == '\n' && place.anchor {
                text.push('↵');
            }
            push_visible(&mut text, c);
        }
        let text = match token.special {
            true => format!("<i>{}</i>", escape(&text)),
            false => escape(&text),
        };
        page.push_str(&format!(
            "<{tag} class=\"s{}\" title=\"{}&quot;{}&quot;: position {}, segment {}, id {}\">{text}</{tag}>",
            place.segment % COLOURS,
            if place.anchor { "anchor " } else { "" },
            escape(&token.spelled),
            place.position,
            place.segment,
            reading.ids[place.index],
        ));
    }
}

fn push_summary(page: &mut String, reading: &Reading) {
    page.push_str("<h2>Summary</h2>\n<table>\n");
    for (name, value) in summary::rows(reading) {
        page.push_str(&format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escape(&value)));
    }
    page.push_str("</table>\n<h2>Segments by length</h2>\n<table>\n");
    let bins = summary::histogram(&reading.lengths);
    let most = bins.iter().map(|b| b.count).max().unwrap_or(0).max(1);
    for bin in bins {
        let width = 20.0 * bin.count as f64 / most as f64;
        let bar = match bin.count {
            0 => String::new(),
            _ => format!("<div class=\"bar\" style=\"width:{width:.2}rem\"></div>"),
        };
        page.push_str(&format!(
            "<tr><th scope=\"row\">{} tokens</th><td class=\"number\">{}</td><td>{bar}</td></tr>\n",
            bin.range(),
            bin.count
        ));
    }
    page.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;

    #[test]
    fn each_token_knows_its_place_and_anchors_stand_out() {
        let page = page(&reading(&["A", "<b>", "\"", ".", " c"], &[3]));
        assert!(page.contains(
            "<span class=\"s0\" title=\"&quot;&lt;b&gt;&quot;: position 1, segment 0, id 1\">&lt;b&gt;</span>"
        ));
        assert!(page.contains("<b class=\"s0\" title=\"anchor &quot;.&quot;: position 3, segment 0, id 3\">.</b>"));
        assert!(page.contains("<span class=\"s1\" title=\"&quot; c&quot;: position 4, segment 1, id 4\"> c</span>"));
        assert!(page.contains("<th scope=\"row\">tokens</th><td>5</td>"));
    }

    #[test]
    fn needs_nothing_but_itself() {
        let page = page(&reading(&["a", "."], &[1]));
        for outside in ["<script", "http:", "https:", "<link", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn warns_on_the_page_too() {
        assert!(page(&reading(&["a"], &[])).contains("<p class=\"warn\">no token of a test"));
    }
}
