//! Retrieval of a passkey: a map of lengths and depths for each policy.

use serde_json::Value;

use super::{Figure, Names, Section, Table, digits, grouped, model, number, percent, word};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;
use crate::figures::Heat;

pub(super) fn section(found: &Found) -> Option<Section> {
    use Side::{Left, Right};
    let rows = found.of("passkey");
    if rows.is_empty() {
        return None;
    }
    let names = Names::of(&rows);
    let runs = grouped(rows.iter().map(|row| (names.name(row), *row)));
    let figures = runs
        .iter()
        .enumerate()
        .map(|(number, (name, rows))| Figure::new(format!("passkey-{}", number + 1), map(name, rows)));
    let line = |row: &&Value| {
        vec![
            model(row),
            word(row, "policy"),
            word(row, "rule"),
            digits(number(row, "length"), 0),
            percent(number(row, "depth")),
            percent(number(row, "accuracy")),
            digits(number(row, "nll"), 2),
            digits(number(row, "entries"), 0),
            percent(number(row, "kv_reduction")),
        ]
    };
    let columns = vec![
        ("model", Left),
        ("policy", Left),
        ("anchors", Left),
        ("length", Right),
        ("depth", Right),
        ("found", Right),
        ("nats a key", Right),
        ("entries", Right),
        ("C⇓", Right),
    ];
    Some(Section {
        title: "Passkeys",
        about:
            "A number hidden in a text that says nothing. Rows are lengths, columns depths, from the beginning to the \
                end; full colour is every key found. Guessing a key costs 11.4 nats."
                .to_owned(),
        figures: figures.collect(),
        tables: vec![Table { columns, rows: rows.iter().map(line).collect() }],
    })
}

fn map(name: &str, rows: &[&Value]) -> String {
    let distinct = |key: &str| {
        let mut values: Vec<f64> = rows.iter().map(|row| number(row, key)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    };
    let (lengths, depths) = (distinct("length"), distinct("depth"));
    let found = |length: f64, depth: f64| {
        let row = rows.iter().find(|row| number(row, "length") == length && number(row, "depth") == depth);
        row.map_or(0.0, |row| number(row, "accuracy") as f32)
    };
    let values: Vec<f32> =
        lengths.iter().flat_map(|length| depths.iter().map(move |depth| found(*length, *depth))).collect();
    Heat {
        title: format!("Keys found: {name}"),
        values: &values,
        columns: depths.len(),
        rows: lengths.iter().map(|length| format!("{length} tokens")).collect(),
        marked: &[],
        most: 1.0,
    }
    .svg()
}
