//! Quality against memory, and speed against memory.

use serde_json::Value;

use super::perplexity::sorted;
use super::{Figure, Section, Table, digits, grouped, model, number, percent, size, word};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;
use crate::figures::{Axis, Chart, Mark, Scale, Series};

pub(super) fn section(found: &Found) -> anyhow::Result<Option<Section>> {
    let rows = found.of("frontier");
    if rows.is_empty() {
        return Ok(None);
    }
    let runs = grouped(rows.iter().map(|row| {
        let context = number(row, "context");
        ((format!("{} at {context} tokens", model(row))), *row)
    }));
    let mut figures = Vec::new();
    for (number_of, (name, rows)) in runs.iter().enumerate() {
        let chart = |title: String, y: &'static str, key: &'static str, scale| -> anyhow::Result<String> {
            let points = rows.iter().map(|row| (family(row), (number(row, "entries"), number(row, key))));
            let series = grouped(points).into_iter().map(|(name, points)| Series {
                name,
                points: sorted(points),
                mark: Mark::Both,
            });
            let x = Axis { name: "entries held at the end", scale: Scale::Doubling };
            Chart { title, x, y: Axis { name: y, scale }, series: series.collect() }.svg()
        };
        let quality = chart(format!("Frontier: {name}"), "perplexity", "ppl", Scale::Doubling)?;
        figures.push(Figure::new(format!("frontier-{}", number_of + 1), quality));
        if rows.iter().any(|row| number(row, "decode_tps").is_finite()) {
            let speed = chart(format!("Decoding: {name}"), "tokens per second", "decode_tps", Scale::Linear)?;
            figures.push(Figure::new(format!("decoding-{}", number_of + 1), speed));
        }
    }
    Ok(Some(Section {
        title: "Frontier",
        about: "Every policy at every budget on the same windows of one text: lower and further left is better."
            .to_owned(),
        figures,
        tables: vec![table(&rows)],
    }))
}

/// The policy without its numbers, so that its budgets make one line.
fn family(row: &Value) -> String {
    let policy = word(row, "policy");
    let (name, options) = policy.split_once(':').unwrap_or((&policy, ""));
    let renumbered = if options.contains("renumber") { ", renumbered" } else { "" };
    format!("{name}{renumbered}")
}

fn table(rows: &[&Value]) -> Table {
    use Side::{Left, Right};
    let line = |row: &&Value| {
        vec![
            model(row),
            digits(number(row, "context"), 0),
            word(row, "policy"),
            digits(number(row, "ppl"), 3),
            digits(number(row, "ppl_second_half"), 3),
            digits(number(row, "entries"), 0),
            digits(number(row, "peak"), 0),
            percent(number(row, "kv_reduction")),
            size(number(row, "bytes")),
            digits(number(row, "decode_tps"), 1),
        ]
    };
    let columns = vec![
        ("model", Left),
        ("context", Right),
        ("policy", Left),
        ("perplexity", Right),
        ("second half", Right),
        ("entries", Right),
        ("peak", Right),
        ("C⇓", Right),
        ("bytes", Right),
        ("decode tok/s", Right),
    ];
    Table { columns, rows: rows.iter().map(line).collect() }
}
