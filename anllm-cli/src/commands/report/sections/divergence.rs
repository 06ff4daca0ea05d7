//! Divergence from full attention.

use serde_json::Value;

use super::perplexity::distances;
use super::{Figure, Names, Section, Table, digits, model, number, percent, word};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;
use crate::figures::{Axis, Chart, Mark, Scale, Series};

pub(super) fn section(found: &Found) -> anyhow::Result<Option<Section>> {
    use Side::{Left, Right};
    let rows = found.of("kl");
    if rows.is_empty() {
        return Ok(None);
    }
    let names = Names::of(&rows);
    let series =
        rows.iter().map(|row| Series { name: names.name(row), points: distances(row, "kl"), mark: Mark::Both });
    let chart = Chart {
        title: "Divergence behind the last anchor".to_owned(),
        x: Axis { name: "tokens since the last anchor", scale: Scale::Doubling },
        y: Axis { name: "KL, nats per token", scale: Scale::Linear },
        series: series.filter(|series| series.points.len() > 1).collect(),
    };
    let figures = match chart.series.is_empty() {
        true => Vec::new(),
        false => vec![Figure::new("divergence", chart.svg()?)],
    };
    let line = |row: &&Value| {
        vec![
            model(row),
            word(row, "policy"),
            word(row, "rule"),
            digits(number(row, "window"), 0),
            digits(number(row, "kl"), 4),
            digits(number(row, "kl_median"), 4),
            digits(number(row, "kl_p99"), 3),
            percent(number(row, "top1_agreement")),
            digits(number(&row["full"], "ppl"), 3),
            digits(number(&row["reduced"], "ppl"), 3),
            percent(number(row, "kv_reduction")),
        ]
    };
    let columns = vec![
        ("model", Left),
        ("policy", Left),
        ("anchors", Left),
        ("window", Right),
        ("KL", Right),
        ("median", Right),
        ("99 %", Right),
        ("top-1 agreement", Right),
        ("perplexity, full", Right),
        ("perplexity, policy", Right),
        ("C⇓", Right),
    ];
    Ok(Some(Section {
        title: "Divergence from full attention",
        about: "KL(full ‖ policy) of each prediction, and how often both have the same likeliest token.".to_owned(),
        figures,
        tables: vec![Table { columns, rows: rows.iter().map(line).collect() }],
    }))
}
