//! Perplexity by window (the paper's Figure 3), and by the distance from the last anchor.

use serde_json::Value;

use super::{Figure, Names, Section, Table, digits, grouped, model, number, percent, word};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;
use crate::figures::{Axis, Chart, Mark, Scale, Series};

pub(super) fn section(found: &Found) -> anyhow::Result<Option<Section>> {
    let rows = found.of("ppl");
    if rows.is_empty() {
        return Ok(None);
    }
    let mut figures = Vec::new();
    for (number_of, (text, rows)) in texts(&rows).into_iter().enumerate() {
        let names = Names::of(&rows);
        let windows = grouped(rows.iter().map(|row| (names.name(row), (number(row, "window"), number(row, "ppl")))));
        if windows.iter().any(|(_, points)| points.len() > 1) {
            let chart = Chart {
                title: format!("Perplexity by window: {text}"),
                x: Axis { name: "tokens in a window", scale: Scale::Doubling },
                y: Axis { name: "perplexity", scale: Scale::Doubling },
                series: windows
                    .into_iter()
                    .map(|(name, points)| Series { name, points: sorted(points), mark: Mark::Both })
                    .collect(),
            };
            figures.push(Figure::new(format!("perplexity-{}", number_of + 1), chart.svg()?));
        }
        let longest = rows.iter().map(|row| number(row, "window")).fold(0.0, f64::max);
        let series: Vec<Series> = rows
            .iter()
            .filter(|row| number(row, "window") == longest && number(row, "anchors") > 0.0)
            .map(|row| Series { name: names.name(row), points: distances(row, "ppl"), mark: Mark::Both })
            .filter(|series| series.points.len() > 1)
            .collect();
        if !series.is_empty() {
            let chart = Chart {
                title: format!("Behind the last anchor: {text}"),
                x: Axis { name: "tokens since the last anchor", scale: Scale::Doubling },
                y: Axis { name: "perplexity", scale: Scale::Doubling },
                series,
            };
            figures.push(Figure::new(format!("distance-{}", number_of + 1), chart.svg()?));
        }
    }
    Ok(Some(Section {
        title: "Perplexity",
        about:
            "Each window is read alone. The first tokens behind an anchor see what was before through anchors alone."
                .to_owned(),
        figures,
        tables: vec![table(&rows)],
    }))
}

/// Rows by their text.
pub(super) fn texts<'a>(rows: &[&'a Value]) -> Vec<(String, Vec<&'a Value>)> {
    grouped(rows.iter().map(|row| {
        let text = word(row, "text");
        (text.rsplit('/').next().unwrap_or_default().to_owned(), *row)
    }))
}

/// A value by the distance from the last anchor, each group at its first distance.
pub(super) fn distances(row: &Value, key: &str) -> Vec<(f64, f64)> {
    let groups = row["by_distance"].as_array().map(Vec::as_slice).unwrap_or_default();
    // A handful of tokens says nothing.
    let some = groups.iter().filter(|group| number(group, "tokens") >= 20.0);
    some.filter_map(|group| Some((group["from"].as_f64()?, group[key].as_f64()?))).collect()
}

pub(super) fn sorted(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn table(rows: &[&Value]) -> Table {
    use Side::{Left, Right};
    let line = |row: &&Value| {
        vec![
            word(row, "text").rsplit('/').next().unwrap_or_default().to_owned(),
            model(row),
            word(row, "policy"),
            word(row, "rule"),
            digits(number(row, "window"), 0),
            digits(number(row, "ppl"), 3),
            digits(number(row, "bits_per_byte"), 4),
            digits(number(row, "tokens"), 0),
            percent(number(row, "kv_reduction")),
        ]
    };
    let columns = vec![
        ("text", Left),
        ("model", Left),
        ("policy", Left),
        ("anchors", Left),
        ("window", Right),
        ("perplexity", Right),
        ("bits per byte", Right),
        ("tokens", Right),
        ("C⇓", Right),
    ];
    Table { columns, rows: rows.iter().map(line).collect() }
}
