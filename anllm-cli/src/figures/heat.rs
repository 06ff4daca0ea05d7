//! A matrix as shades: what each row gives each column.

use super::{DIM, INK, WIDTH, escape, open, text};

/// Shades that are told apart.
const SHADES: usize = 12;

/// A matrix with names for its rows.
#[derive(Debug, Clone)]
pub(crate) struct Heat<'a> {
    pub(crate) title: String,
    /// Row-major values, from 0.
    pub(crate) values: &'a [f32],
    pub(crate) columns: usize,
    /// A name for each row.
    pub(crate) rows: Vec<String>,
    /// Rows and columns that are marked: anchors.
    pub(crate) marked: &'a [usize],
    /// The value of the darkest shade.
    pub(crate) most: f32,
}

/// Room for a row's name.
const LABEL: f64 = 96.0;
/// The anchor's colour.
const ANCHOR: &str = "#D55E00";
const SHADE: &str = "#0072B2";

impl Heat<'_> {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let columns = self.columns.max(1);
        let rows = self.values.len() / columns;
        let side = ((f64::from(WIDTH) - LABEL - 12.0) / columns as f64).min(34.0);
        let top = 34.0;
        let mut svg = open(top + side * rows as f64 + 12.0, &self.title);
        svg.push_str(&format!("<title>{}</title>\n", escape(&self.title)));
        svg.push_str(&text(12.0, 17.0, 14.0, "start", INK, &self.title));
        svg.push_str(&self.names(side, top));
        svg.push_str(&format!("<g transform=\"translate({LABEL:.1} {top:.1}) scale({side:.3})\">\n"));
        // One path for each shade: a picture of a thousand cells stays small.
        let mut paths = vec![String::new(); SHADES + 1];
        for (number, value) in self.values.iter().enumerate() {
            let share = (value / self.most.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
            // Small shares count: the eye sees the root.
            let shade = (share.sqrt() * SHADES as f32).round() as usize;
            paths[shade].push_str(&format!("M{} {}h1v1h-1z", number % columns, number / columns));
        }
        for (shade, path) in paths.iter().enumerate().skip(1).filter(|(_, path)| !path.is_empty()) {
            let opacity = shade as f64 / SHADES as f64;
            svg.push_str(&format!("<path fill=\"{SHADE}\" fill-opacity=\"{opacity:.2}\" d=\"{path}\"/>\n"));
        }
        for column in self.marked.iter().filter(|column| **column < columns) {
            svg.push_str(&format!("<rect x=\"{column}\" y=\"-0.6\" width=\"1\" height=\"0.4\" fill=\"{ANCHOR}\"/>\n"));
        }
        svg.push_str(&format!(
            "<rect width=\"{columns}\" height=\"{rows}\" fill=\"none\" stroke=\"{DIM}\" stroke-width=\"{:.3}\"/>\n",
            1.0 / side
        ));
        svg.push_str("</g>\n</svg>\n");
        svg
    }

    /// The rows' names where a line of text has room; elsewhere those of marked rows alone.
    fn names(&self, side: f64, top: f64) -> String {
        const SIZE: f64 = 9.0;
        let mut names = String::new();
        let mut free = f64::MIN;
        for (row, name) in self.rows.iter().enumerate() {
            let marked = self.marked.contains(&row);
            let base = top + side * (row as f64 + 0.5) + SIZE * 0.35;
            if base - SIZE < free || (side < SIZE && !marked) {
                continue;
            }
            free = base;
            let short: String = name.chars().take(17).collect();
            names.push_str(&text(LABEL - 4.0, base, SIZE, "end", if marked { ANCHOR } else { INK }, &short));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_shaded_and_anchors_marked() {
        let values = [1.0, 0.0, 0.25, 0.75];
        let heat = Heat {
            title: "layer 3".to_owned(),
            values: &values,
            columns: 2,
            rows: vec!["a".to_owned(), "<AC>".to_owned()],
            marked: &[1],
            most: 1.0,
        };
        let svg = heat.svg();
        assert!(svg.contains("fill-opacity=\"1.00\" d=\"M0 0h1v1h-1z\""), "{svg}");
        assert!(svg.contains("fill-opacity=\"0.50\" d=\"M0 1h1v1h-1z\""), "a quarter is half as dark: {svg}");
        assert!(!svg.contains("M1 0h1"), "nothing is drawn for nothing");
        assert!(svg.contains("&lt;AC&gt;</text>") && svg.contains("y=\"-0.6\""), "{svg}");
    }
}
