//! Pictures as SVG, for files of their own and for pages: legible at the width of a phone, in light and in dark.
//!
//! Colours are attributes, so that any viewer shows them; where the reader prefers dark, a style sheet replaces them.

mod bars;
mod chart;
mod heat;
mod markup;

pub(crate) use bars::{Bar, Bars};
pub(crate) use chart::{Axis, Chart, Mark, Scale, Series};
pub(crate) use heat::Heat;
pub(crate) use markup::escape;

/// Width of every figure, in units that are pixels on a wide screen.
const WIDTH: u32 = 480;
/// Text.
const INK: &str = "#1F2933";
/// Lines of axes.
const DIM: &str = "#6B7785";
/// Lines behind the data.
const GRID: &str = "#E4E7EB";

/// Colours of series, told apart by people who see few colours (Okabe and Ito 2008), the yellow left out.
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195"];

/// What replaces the colours where the reader prefers dark, in the order of [`COLOURS`].
const BRIGHT: [&str; 7] = ["#5AB4F0", "#FF9450", "#3FCFA3", "#F0A3CC", "#FFC555", "#8CD0FF", "#B794DB"];

/// The colour of a series.
fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// The rules for readers who prefer dark; a page has them once.
pub(crate) fn style() -> String {
    let mut rules = String::new();
    let replaced = [(INK, "#E3E8EE"), (DIM, "#93A0AE"), (GRID, "#343C46")];
    for (light, dark) in replaced.into_iter().chain(COLOURS.into_iter().zip(BRIGHT)) {
        rules.push_str(&format!(
            "svg.figure [fill=\"{light}\"]{{fill:{dark}}}svg.figure [stroke=\"{light}\"]{{stroke:{dark}}}\n"
        ));
    }
    format!("@media (prefers-color-scheme:dark){{\n{rules}}}\n")
}

/// A figure's own file: the picture with its style inside.
pub(crate) fn file(picture: &str) -> String {
    let dark = "@media (prefers-color-scheme:dark){svg.figure{background:#14181d}}\n";
    let at = picture.find('>').map_or(0, |end| end + 1);
    format!("{}<style>{}{dark}</style>{}", &picture[..at], style(), &picture[at..])
}

/// Pictures one below the other, as one.
pub(crate) fn stacked(pictures: &[String]) -> String {
    let height = |picture: &str| -> f64 {
        let value = picture.split("height=\"").nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    let (mut inside, mut y) = (String::new(), 0.0);
    for picture in pictures {
        inside.push_str(&picture.replacen("<svg ", &format!("<svg y=\"{y:.0}\" "), 1));
        y += height(picture) + 12.0;
    }
    open(y, "figures") + &inside + "</svg>\n"
}

/// The beginning of a picture. `about` is read to those who cannot see it.
fn open(height: f64, about: &str) -> String {
    format!(
        "<svg class=\"figure\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"{}\" font-family=\"system-ui, sans-serif\" xmlns=\"http://www.w3.org/2000/svg\">\n",
        escape(about)
    )
}

/// A line of text, its baseline at `y`.
fn text(x: f64, y: f64, size: f64, anchor: &str, colour: &str, content: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{}</text>\n",
        escape(content)
    )
}

/// About how wide a text is: no font is at hand, and none is needed to leave enough room.
fn width(text: &str, size: f64) -> f64 {
    0.56 * size * text.chars().count() as f64
}

/// Names with their colours, in as many lines as they need: the markup, and the height.
fn legend(names: &[(&str, &str)], y: f64) -> (String, f64) {
    const SIZE: f64 = 12.0;
    const LINE: f64 = 18.0;
    let (mut markup, mut x, mut line) = (String::new(), 12.0, 0.0);
    for (name, colour) in names {
        let needed = 16.0 + width(name, SIZE) + 14.0;
        if x + needed > f64::from(WIDTH) && x > 12.0 {
            (x, line) = (12.0, line + LINE);
        }
        let base = y + line + 13.0;
        markup.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{colour}\"/>\n",
            base - 9.0
        ));
        markup.push_str(&text(x + 15.0, base, SIZE, "start", INK, name));
        x += needed;
    }
    (markup, line + LINE + 4.0)
}

/// A number for people: three digits that count, and no more.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value == 0.0 => "0".to_owned(),
        _ if size >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => trimmed(format!("{value:.1}")),
        _ if size >= 0.01 => trimmed(format!("{value:.2}")),
        _ => format!("{value:.0e}"),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.0004, 0.25, 3.0, 31.62, 128.4, 2048.0, 12_345.0].map(short);
        assert_eq!(shown, ["0", "4e-4", "0.25", "3", "31.6", "128", "2048", "12k"]);
    }

    #[test]
    fn a_file_has_both_colours() {
        let file = file(&(open(100.0, "a \"test\"") + "</svg>"));
        assert!(file.starts_with("<svg class=\"figure\"") && file.contains("prefers-color-scheme:dark"), "{file}");
        assert!(file.contains("aria-label=\"a &quot;test&quot;\""), "{file}");
    }

    #[test]
    fn pictures_stand_below_each_other() {
        let one = open(100.0, "one") + "</svg>\n";
        let both = stacked(&[one.clone(), one]);
        assert!(both.contains("height=\"224\"") && both.contains("<svg y=\"112\""), "{both}");
    }

    #[test]
    fn a_long_legend_takes_more_lines() {
        let (_, one) = legend(&[("a", INK), ("b", INK)], 0.0);
        let (_, more) = legend(&[("a name of some length that goes on", INK); 4], 0.0);
        assert!(more > one);
    }
}
