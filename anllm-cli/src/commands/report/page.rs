//! The report as a page of its own: no script, nothing loaded, light and dark, narrow and wide.

use super::sections::{Section, Table};
use crate::commands::eval::Side;
use crate::figures::{escape, style};

const STYLE: &str = "\
:root { color-scheme: light dark; --page: #ffffff; --ink: #1f2933; --dim: #6b7785; --line: #d5dae0; --head: #f3f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181d; --ink: #e3e8ee; --dim: #93a0ae; --line: #343c46; --head: #1d232a; }
}
* { box-sizing: border-box; }
body { background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; max-width: 62rem;
  margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p { max-width: 44rem; color: var(--dim); margin: .4rem 0 1rem; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: .95rem; }
a { color: inherit; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; }
svg.figure { width: 100%; max-width: 40rem; height: auto; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; text-align: left; }
th { background: var(--head); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
";

/// The page.
pub(super) fn page(title: &str, sections: &[Section]) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<nav>\n",
        style()
    );
    for (number, section) in sections.iter().enumerate() {
        page.push_str(&format!("<a href=\"#s{number}\">{}</a>\n", escape(section.title)));
    }
    page.push_str("</nav>\n");
    for (number, section) in sections.iter().enumerate() {
        page.push_str(&format!("<h2 id=\"s{number}\">{}</h2>\n", escape(section.title)));
        if !section.about.is_empty() {
            page.push_str(&format!("<p>{}</p>\n", escape(&section.about)));
        }
        if !section.figures.is_empty() {
            page.push_str("<div class=\"figures\">\n");
            for figure in &section.figures {
                page.push_str(&format!("<figure>\n{}</figure>\n", figure.svg));
            }
            page.push_str("</div>\n");
        }
        for table in &section.tables {
            push_table(&mut page, table);
        }
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn push_table(page: &mut String, table: &Table) {
    page.push_str("<div class=\"table\"><table>\n<tr>");
    let class = |side: &Side| if *side == Side::Right { " class=\"number\"" } else { "" };
    for (name, side) in &table.columns {
        page.push_str(&format!("<th scope=\"col\"{}>{}</th>", class(side), escape(name)));
    }
    page.push_str("</tr>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (cell, (_, side)) in row.iter().zip(&table.columns) {
            page.push_str(&format!("<td{}>{}</td>", class(side), escape(cell)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::sections::Figure;

    #[test]
    fn needs_nothing_but_itself_and_escapes_what_it_shows() {
        let section = Section {
            title: "Questions",
            about: "a < b".to_owned(),
            figures: vec![Figure { name: "qa".to_owned(), svg: "<svg class=\"figure\"></svg>".to_owned() }],
            tables: vec![Table { columns: vec![("<b>", Side::Right)], rows: vec![vec!["1 & 2".to_owned()]] }],
        };
        let page = page("A <title>", &[section]);
        for part in
            ["A &lt;title&gt;", "a &lt; b", "&lt;b&gt;", "1 &amp; 2", "width=device-width", "prefers-color-scheme"]
        {
            assert!(page.contains(part), "{part}");
        }
        for outside in ["<script", "<link", "@import", "url(", "src="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
