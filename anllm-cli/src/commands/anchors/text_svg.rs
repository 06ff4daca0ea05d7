//! The text as a picture: a background for each segment, anchors outlined, and the summary below.

use super::reading::Reading;
use super::spelling::columns;
use super::summary;
use super::text::visible;
use crate::figures::escape;

/// Columns of a line.
const COLUMNS: usize = 96;
/// Width of a column and height of a line, in pixels.
const COLUMN: f64 = 8.4;
const LINE: f64 = 24.0;
const MARGIN: f64 = 20.0;
/// Height of title and legend.
const HEAD: f64 = 76.0;
/// Backgrounds of segments, in turn.
const SEGMENTS: [&str; 4] = ["#dfe6fb", "#dcf2df", "#fbe8d0", "#f6dff0"];
const ANCHOR: &str = "#b42318";
const INK: &str = "#1f2933";

/// With more tokens than this nobody looks at a picture.
const MOST_TOKENS: usize = 20_000;

/// A token's characters on one line.
#[derive(Debug, PartialEq)]
struct Piece {
    line: usize,
    column: usize,
    text: String,
    token: usize,
}

/// The picture.
///
/// # Errors
/// When there are too many tokens to look at.
pub(super) fn picture(reading: &Reading) -> anyhow::Result<String> {
    anyhow::ensure!(
        reading.ids.len() <= MOST_TOKENS,
        "--svg: {}: {} tokens are too many for a picture (at most {MOST_TOKENS})\n  hint: draw the beginning with \
         --limit-tokens {MOST_TOKENS}, or write a page with --html FILE",
        reading.source,
        reading.ids.len()
    );
    let pieces = pieces(reading);
    let lines = pieces.last().map_or(0, |piece| piece.line + 1);
    let rows = summary::rows(reading);
    let width = 2.0 * MARGIN + COLUMN * COLUMNS as f64;
    let text_end = HEAD + LINE * lines as f64;
    let height = text_end + MARGIN + 20.0 * rows.len() as f64 + MARGIN;
    let title = escape(&format!("Anchors of {}", reading.source));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" font-family=\"monospace\" font-size=\"14\" fill=\"{INK}\">\n<title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <g font-family=\"sans-serif\"><text x=\"{MARGIN}\" y=\"30\" font-size=\"16\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"{MARGIN}\" y=\"52\" font-size=\"12\">Each background is a segment; an outlined token is its anchor.\
         </text></g>\n<g xml:space=\"preserve\">\n"
    );
    for piece in &pieces {
        svg.push_str(&drawn(piece, reading));
    }
    svg.push_str("</g>\n<g font-family=\"sans-serif\" font-size=\"13\">\n");
    for (number, (name, value)) in rows.iter().enumerate() {
        let y = text_end + MARGIN + 20.0 * (number as f64 + 0.5);
        svg.push_str(&format!(
            "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"#6b7785\">{name}</text><text x=\"{}\" y=\"{y}\">{}</text>\n",
            MARGIN + 120.0,
            escape(value)
        ));
    }
    svg.push_str("</g>\n</svg>\n");
    Ok(svg)
}

/// Background, outline and characters.
fn drawn(piece: &Piece, reading: &Reading) -> String {
    let place = &reading.segments.places()[piece.token];
    let x = MARGIN + COLUMN * piece.column as f64;
    let y = HEAD + LINE * piece.line as f64;
    let width = COLUMN * columns(&piece.text) as f64;
    let (outline, ink) = match place.anchor {
        true => {
            (format!(" stroke=\"{ANCHOR}\" stroke-width=\"1.5\""), format!(" fill=\"{ANCHOR}\" font-weight=\"bold\""))
        }
        false => (String::new(), String::new()),
    };
    let text = match piece.text.trim().is_empty() {
        true => String::new(),
        false => format!("<text x=\"{x:.1}\" y=\"{:.1}\"{ink}>{}</text>", y + 14.0, escape(&piece.text)),
    };
    format!(
        "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"{outline}/>{text}\n",
        y - 2.0,
        LINE - 3.0,
        SEGMENTS[place.segment % SEGMENTS.len()],
    )
}

/// Where each token stands: lines end where the text's do, and before a token that would not fit.
fn pieces(reading: &Reading) -> Vec<Piece> {
    let (mut line, mut column) = (0, 0);
    let mut pieces = Vec::new();
    for (place, token) in reading.places() {
        let shown = visible(&token.text, place.anchor).replace('\t', "    ");
        for (number, part) in shown.split('\n').enumerate() {
            if number > 0 {
                (line, column) = (line + 1, 0);
            }
            let mut rest: &str = part;
            while !rest.is_empty() {
                if column > 0 && column + columns(rest) > COLUMNS {
                    (line, column) = (line + 1, 0);
                }
                // A token longer than a line is cut.
                let mut used = 0;
                let fits = rest.char_indices().find(|(_, c)| {
                    used += columns(c.encode_utf8(&mut [0; 4]));
                    used > COLUMNS
                });
                let (now, later) = rest.split_at(fits.map_or(rest.len(), |(at, _)| at));
                pieces.push(Piece { line, column, text: now.to_owned(), token: place.index });
                column += columns(now);
                rest = later;
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;

    #[test]
    fn lines_break_with_the_text_and_before_tokens_that_do_not_fit() {
        let wide = "w".repeat(90);
        let reading = reading(&["a\n", &wide, " longer", "."], &[3]);
        let found: Vec<_> = pieces(&reading).into_iter().map(|p| (p.line, p.column, p.token)).collect();
        assert_eq!(found, [(0, 0, 0), (1, 0, 1), (2, 0, 2), (2, 7, 3)]);
    }

    #[test]
    fn a_token_longer_than_a_line_is_cut() {
        let reading = reading(&[&"w".repeat(200)], &[]);
        let found: Vec<_> = pieces(&reading).into_iter().map(|p| (p.line, p.text.len())).collect();
        assert_eq!(found, [(0, 96), (1, 96), (2, 8)]);
    }

    #[test]
    fn anchors_are_outlined_and_the_summary_is_there() {
        let svg = picture(&reading(&["a", "<b>", "."], &[2])).unwrap();
        assert_eq!(svg.matches("stroke=\"#b42318\"").count(), 1, "{svg}");
        assert!(svg.contains(">&lt;b&gt;</text>") && svg.contains("pairs attended") && svg.contains("saved"), "{svg}");
    }
}
