//! The mask as a picture. It is painted in layers, each over the one before, so that the file grows with the number
//! of tokens and not with its square:
//!
//! 1. the causal triangle, hidden;
//! 2. each anchor's column, below its segment;
//! 3. each anchor's row, left of its segment, hidden again: anchors do not look back;
//! 4. each segment's own triangle.
//!
//! Policies of another structure are painted column by column, one shape for each run of queries that see a key.

use super::mask::{MOST_TOKENS_DENSE, refuse_beyond};
use super::reading::Reading;
use super::spelling::columns;
use crate::figures::escape;

/// With more tokens than this, axes have numbers in place of labels.
const MOST_LABELS: usize = 64;
/// Columns of a label.
const LABEL: usize = 18;
/// Width of one column of a label, in pixels.
const GLYPH: f64 = 7.0;
/// Side of a cell with room for a label.
const LARGE_CELL: f64 = 14.0;
/// What the mask's side comes to, about, where there is no room for labels.
const SIDE: f64 = 960.0;
/// Height of title and legend.
const HEAD: f64 = 84.0;
const MARGIN: f64 = 16.0;
/// Width that title and legend need.
const LEAST_WIDTH: f64 = 560.0;

/// What a cell of the mask shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Hidden,
    Anchor,
    Own,
}

impl Cell {
    fn colour(self) -> &'static str {
        match self {
            Self::Hidden => "#e4e7eb",
            Self::Anchor => "#e08a2c",
            Self::Own => "#3d6fb4",
        }
    }
}

/// Cells painted at once. Units are tokens: `x` counts keys, `y` queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Rectangle {
        x: usize,
        y: usize,
        width: usize,
        height: usize,
    },
    /// The cells on and below the diagonal from `at` on, `len` rows.
    Triangle {
        at: usize,
        len: usize,
    },
}

impl Shape {
    /// As commands of an SVG path.
    fn path(self) -> String {
        match self {
            Self::Rectangle { x, y, width, height } => format!("M{x} {y}h{width}v{height}h-{width}z"),
            Self::Triangle { at, len } => format!("M{at} {at}{}H{at}z", "h1v1".repeat(len)),
        }
    }

    fn is_empty(self) -> bool {
        match self {
            Self::Rectangle { width, height, .. } => width == 0 || height == 0,
            Self::Triangle { len, .. } => len == 0,
        }
    }
}

/// The layers, bottom first.
fn layers(reading: &Reading) -> Vec<(Cell, Vec<Shape>)> {
    match reading.cache.policy.as_str() {
        "anchor" => anchor_layers(reading).into(),
        _ => column_layers(reading),
    }
}

/// The same for any policy: for each key the runs of queries that see it, near or from afar, over the hidden triangle.
fn column_layers(reading: &Reading) -> Vec<(Cell, Vec<Shape>)> {
    let places = reading.segments.places();
    let (mut far, mut near) = (Vec::new(), Vec::new());
    for key in places {
        let cells: Vec<Option<bool>> = places[key.index..]
            .iter()
            .map(|query| reading.policy.explain(query, key))
            .map(|verdict| verdict.allowed().then(|| verdict.near()))
            .collect();
        let mut y = key.index;
        for run in cells.chunk_by(|a, b| a == b) {
            let shape = Shape::Rectangle { x: key.index, y, width: 1, height: run.len() };
            match run[0] {
                Some(true) => near.push(shape),
                Some(false) => far.push(shape),
                None => {}
            }
            y += run.len();
        }
    }
    vec![(Cell::Hidden, vec![Shape::Triangle { at: 0, len: places.len() }]), (Cell::Anchor, far), (Cell::Own, near)]
}

fn anchor_layers(reading: &Reading) -> [(Cell, Vec<Shape>); 4] {
    let tokens = reading.ids.len();
    let places = reading.segments.places();
    let starts: Vec<usize> = reading.spans().map(|(start, _)| start).collect();
    let anchors = reading.segments.anchors();
    let column = |&j: &usize| Shape::Rectangle { x: j, y: j + 1, width: 1, height: tokens - j - 1 };
    let row = |&i: &usize| Shape::Rectangle { x: 0, y: i, width: starts[places[i].segment], height: 1 };
    let own = |(at, len)| Shape::Triangle { at, len };
    let mut layers = [
        (Cell::Hidden, vec![Shape::Triangle { at: 0, len: tokens }]),
        (Cell::Anchor, anchors.iter().map(column).collect()),
        (Cell::Hidden, anchors.iter().map(row).collect()),
        (Cell::Own, reading.spans().map(own).collect::<Vec<_>>()),
    ];
    layers.iter_mut().for_each(|(_, shapes)| shapes.retain(|s| !s.is_empty()));
    layers
}

/// The picture.
///
/// # Errors
/// When there are too many tokens to look at.
pub(super) fn picture(reading: &Reading) -> anyhow::Result<String> {
    refuse_beyond(MOST_TOKENS_DENSE, reading, "--svg")?;
    let tokens = reading.ids.len();
    let labelled = tokens <= MOST_LABELS;
    let labels: Vec<String> = reading.tokens.iter().map(|t| t.short_label(LABEL)).collect();
    let cell = cell(tokens, labelled);
    let widest = match labelled {
        true => labels.iter().map(|l| columns(l)).max().unwrap_or(0),
        false => tokens.to_string().len(),
    };
    let axis = (widest as f64 * GLYPH).round() + 10.0;
    let side = tokens as f64 * cell;
    let (left, top) = (MARGIN + axis, HEAD + axis);
    let width = (left + side + MARGIN).max(LEAST_WIDTH);
    let height = top + side + MARGIN;
    // A token is never less than a pixel; the words grow with the picture.
    let zoom = (1.0 / cell).max(1.0);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#1f2933\">\n",
        width * zoom,
        height * zoom
    );
    svg.push_str(&head(reading));
    svg.push_str(&format!("<g transform=\"translate({left} {top}) scale({cell})\" shape-rendering=\"crispEdges\">\n"));
    for (kind, shapes) in layers(reading) {
        let path: String = shapes.iter().map(|s| s.path()).collect();
        svg.push_str(&format!("<path fill=\"{}\" d=\"{path}\"/>\n", kind.colour()));
    }
    svg.push_str("</g>\n");
    if labelled {
        svg.push_str(&grid(tokens, cell, left, top));
        svg.push_str(&axes_of_labels(reading, &labels, cell, left, top));
    } else {
        svg.push_str(&axes_of_numbers(tokens, cell, left, top));
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Side of a token's cell.
fn cell(tokens: usize, labelled: bool) -> f64 {
    let fits = SIDE / tokens.max(1) as f64;
    match fits {
        _ if labelled => LARGE_CELL,
        // Whole pixels keep the cells equal.
        fits if fits >= 1.0 => fits.floor().min(LARGE_CELL),
        fits => fits,
    }
}

/// Background, title and legend.
fn head(reading: &Reading) -> String {
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let rule: String = reading.rule.to_string().escape_debug().take(40).collect();
    let anchor = reading.cache.policy == "anchor";
    let name = if anchor { "Anchor mask".to_owned() } else { format!("Mask of {}", reading.cache.policy) };
    let title = format!(
        "{name}: {}, {}, rule {rule}",
        count(reading.ids.len(), "token"),
        count(reading.segments.anchors().len(), "anchor"),
    );
    let title = escape(&title);
    let mut head = format!(
        "<title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"26\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"{MARGIN}\" y=\"46\">Each row is a token that looks, each column a token it may see.</text>\n"
    );
    let names = if anchor { ["own segment", "earlier anchor"] } else { ["near", "kept"] };
    let entries = [(Cell::Own, names[0]), (Cell::Anchor, names[1]), (Cell::Hidden, "hidden")];
    for (number, (kind, name)) in entries.into_iter().enumerate() {
        let x = MARGIN + 130.0 * number as f64;
        head.push_str(&format!(
            "<rect x=\"{x}\" y=\"58\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"68\">{name}</text>\n",
            kind.colour(),
            x + 18.0
        ));
    }
    head
}

/// White lines between cells.
fn grid(tokens: usize, cell: f64, left: f64, top: f64) -> String {
    let side = tokens as f64 * cell;
    let lines: String =
        (1..tokens).map(|n| n as f64 * cell).map(|at| format!("M{at} 0v{side}M0 {at}h{side}")).collect();
    format!("<path transform=\"translate({left} {top})\" stroke=\"#ffffff\" fill=\"none\" d=\"{lines}\"/>\n")
}

fn axes_of_labels(reading: &Reading, labels: &[String], cell: f64, left: f64, top: f64) -> String {
    let mut axes = "<g font-family=\"monospace\" font-size=\"11\" xml:space=\"preserve\">\n".to_owned();
    for (place, label) in reading.segments.places().iter().zip(labels) {
        let middle = (place.index as f64 + 0.5) * cell + 4.0;
        let weight = match place.anchor {
            true => " font-weight=\"bold\" fill=\"#a85a08\"",
            false => "",
        };
        let label = escape(label);
        axes.push_str(&format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\"{weight}>{label}</text>\
             <text transform=\"translate({} {}) rotate(-90)\"{weight}>{label}</text>\n",
            left - 6.0,
            top + middle,
            left + middle,
            top - 6.0,
        ));
    }
    axes.push_str("</g>\n");
    axes
}

fn axes_of_numbers(tokens: usize, cell: f64, left: f64, top: f64) -> String {
    let mut axes = "<g font-family=\"monospace\" font-size=\"11\">\n".to_owned();
    // Marks about 60 pixels apart, at round numbers.
    let step = [10, 20, 50, 100, 200, 500, 1000].into_iter().find(|s| *s as f64 * cell >= 60.0).unwrap_or(1000);
    for number in (0..tokens).step_by(step) {
        let at = (number as f64 + 0.5) * cell;
        axes.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{number}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{number}</text>\n",
            left - 6.0,
            top + at + 4.0,
            left + at,
            top - 6.0,
        ));
    }
    axes.push_str("</g>\n");
    axes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;
    use anllm_core::Verdict;

    fn paint(reading: &Reading) -> Vec<Vec<Option<Cell>>> {
        let tokens = reading.ids.len();
        let mut grid = vec![vec![None; tokens]; tokens];
        for (kind, shapes) in layers(reading) {
            for shape in shapes {
                match shape {
                    Shape::Rectangle { x, y, width, height } => {
                        grid[y..y + height].iter_mut().for_each(|row| row[x..x + width].fill(Some(kind)));
                    }
                    Shape::Triangle { at, len } => {
                        (at..at + len).for_each(|row| grid[row][at..=row].fill(Some(kind)));
                    }
                }
            }
        }
        grid
    }

    #[test]
    fn the_layers_show_every_verdict_of_every_small_text() {
        const TOKENS: usize = 7;
        for choice in 0..1usize << TOKENS {
            let anchors: Vec<usize> = (0..TOKENS).filter(|i| choice >> i & 1 == 1).collect();
            let reading = reading(&["a"; TOKENS], &anchors);
            let grid = paint(&reading);
            let places = reading.segments.places();
            for (query, row) in places.iter().zip(&grid) {
                for (key, cell) in places.iter().zip(row) {
                    let expected = match anllm_core::explain(query, key) {
                        Verdict::SameSegment => Some(Cell::Own),
                        Verdict::EarlierAnchor => Some(Cell::Anchor),
                        Verdict::Later => None,
                        _ => Some(Cell::Hidden),
                    };
                    assert_eq!(*cell, expected, "anchors {anchors:?}: {} sees {}", query.index, key.index);
                }
            }
        }
    }

    #[test]
    fn other_policies_are_painted_as_they_explain_themselves() {
        for name in ["full", "window:3", "sink:1+2", "sepllm:1+2", "anchor:recent=1,keep=0..2", "random:2"] {
            let mut reading = reading(&["a"; 12], &[2, 6, 7]);
            reading.policy = name.parse::<anllm_core::PolicyKind>().unwrap().policy();
            reading.cache.policy = name.to_owned();
            let grid = paint(&reading);
            for (query, row) in reading.segments.places().iter().zip(&grid) {
                for (key, cell) in reading.segments.places().iter().zip(row) {
                    let expected = match reading.policy.explain(query, key) {
                        Verdict::Later => None,
                        near if near.near() => Some(Cell::Own),
                        far if far.far() => Some(Cell::Anchor),
                        _ => Some(Cell::Hidden),
                    };
                    assert_eq!(*cell, expected, "{name}: {} sees {}", query.index, key.index);
                }
            }
        }
    }

    #[test]
    fn paths_are_closed_outlines() {
        assert_eq!(Shape::Rectangle { x: 1, y: 2, width: 3, height: 4 }.path(), "M1 2h3v4h-3z");
        assert_eq!(Shape::Triangle { at: 5, len: 2 }.path(), "M5 5h1v1h1v1H5z");
    }

    #[test]
    fn labels_are_escaped_and_give_way_to_numbers() {
        let small = picture(&reading(&["<b>", "&", "."], &[2])).unwrap();
        assert!(small.contains(">&lt;b&gt;</text>") && small.contains(">&amp;</text>") && !small.contains("<b>"));
        let large = picture(&reading(&["w"; 100], &[50])).unwrap();
        assert!(!large.contains(">w</text>") && large.contains(">90</text>"), "{large}");
    }

    #[test]
    fn a_file_grows_with_the_tokens_and_not_with_their_square() {
        let anchors: Vec<usize> = (1..4096).step_by(2).collect();
        let svg = picture(&reading(&["w"; 4096], &anchors)).unwrap();
        assert!(svg.len() < 400_000, "{}", svg.len());
    }

    #[test]
    fn too_many_tokens_are_refused() {
        let mut reading = reading(&["a"], &[]);
        reading.ids = vec![0; MOST_TOKENS_DENSE + 1];
        let message = picture(&reading).unwrap_err().to_string();
        assert!(message.contains("--svg") && message.contains("4097") && message.contains("hint: "), "{message}");
    }
}
