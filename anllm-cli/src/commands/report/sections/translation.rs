//! Translation: BLEU and chrF beside what the cache saved.

use serde_json::Value;

use super::{Figure, Names, Section, Table, digits, model, number, percent, size, word};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;
use crate::figures::{Bar, Bars};

pub(super) fn section(found: &Found) -> Option<Section> {
    use Side::{Left, Right};
    let rows = found.of("translation");
    if rows.is_empty() {
        return None;
    }
    let names = Names::of(&rows);
    let kept = |row: &Value| if row["keep_source"] == true { ", source kept" } else { "" };
    let bars = rows.iter().map(|row| {
        let bar = |series, key| {
            let value = number(row, key);
            Bar { series, value, shown: digits(value, 1) }
        };
        (format!("{}{}", names.name(row), kept(row)), vec![bar(0, "bleu"), bar(1, "chrf")])
    });
    let picture = Bars {
        title: "Translation".to_owned(),
        series: vec!["BLEU".to_owned(), "chrF".to_owned()],
        groups: bars.collect(),
        most: None,
    };
    let line = |row: &&Value| {
        vec![
            model(row),
            format!("{}{}", word(row, "policy"), kept(row)),
            word(row, "rule"),
            digits(number(row, "shots"), 0),
            digits(number(row, "n"), 0),
            digits(number(row, "bleu"), 2),
            digits(number(row, "chrf"), 2),
            percent(number(row, "kv_reduction")),
            size(number(row, "bytes")),
            size(number(row, "full_bytes")),
        ]
    };
    let columns = vec![
        ("model", Left),
        ("policy", Left),
        ("anchors", Left),
        ("shots", Right),
        ("n", Right),
        ("BLEU", Right),
        ("chrF", Right),
        ("C⇓", Right),
        ("bytes", Right),
        ("full", Right),
    ];
    let signatures = |key: &str| rows.iter().map(|row| word(row, key)).next().unwrap_or_default();
    Some(Section {
        title: "Translation",
        about: format!("BLEU {}; chrF {}.", signatures("bleu_signature"), signatures("chrf_signature")),
        figures: vec![Figure::new("translation", picture.svg())],
        tables: vec![Table { columns, rows: rows.iter().map(line).collect() }],
    })
}
