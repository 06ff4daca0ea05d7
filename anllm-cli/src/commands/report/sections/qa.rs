//! Questions: the paper's table, and its Figure 1 as bars.

use serde_json::Value;

use super::{Figure, Names, Section, Table, digits, grouped, model, number, percent, size, word};
use crate::commands::eval::Side;
use crate::commands::report::found::Found;
use crate::figures::{Bar, Bars};

pub(super) fn section(found: &Found) -> Option<Section> {
    let rows = found.of("qa");
    if rows.is_empty() {
        return None;
    }
    let names = Names::of(&rows);
    let mut figures = vec![Figure::new("accuracy", accuracies(&rows, &names))];
    let timed: Vec<&Value> =
        rows.iter().copied().filter(|row| number(row, "shots") > 0.0 && row["policy"] != "full").collect();
    if !timed.is_empty() {
        figures.push(Figure::new("cache", savings(&timed, &names)));
        if timed.iter().any(|row| number(row, "timed") > 0.0) {
            figures.push(Figure::new("speed-up", speeds(&timed, &names)));
        }
    }
    Some(Section {
        title: "Questions with choices",
        about: "Acc: the likeliest choice is right; C⇓: the share of the demonstrations' cache entries that is not kept; \
                T⇑: time without a cache, and with a full one, over the time with the policy's. The mask is the policy in \
                one pass, the cache the same with reduced entries: their answers must agree."
            .to_owned(),
        figures,
        tables: vec![table(&rows)],
    })
}

fn of(row: &Value) -> String {
    format!("{} {}-shot", word(row, "task"), number(row, "shots"))
}

/// The task, with its demonstrations where rows have different numbers of them.
fn asked(row: &Value, rows: &[&Value]) -> String {
    if rows.iter().any(|other| other["shots"] != row["shots"]) { of(row) } else { word(row, "task") }
}

/// A name with how the policy was run, where that was said.
fn run(row: &Value, names: &Names) -> String {
    match row["mode"].as_str() {
        Some(mode @ ("mask" | "cache")) => format!("{} ({mode})", names.name(row)),
        _ => names.name(row),
    }
}

fn accuracies(rows: &[&Value], names: &Names) -> String {
    let mut series: Vec<String> = Vec::new();
    let bar = |row: &&Value| {
        let name = run(row, names);
        let place = series.iter().position(|known| *known == name).unwrap_or_else(|| {
            series.push(name);
            series.len() - 1
        });
        let value = number(row, "acc");
        (of(row), Bar { series: place, value, shown: percent(value) })
    };
    let groups = grouped(rows.iter().map(bar).collect::<Vec<_>>());
    Bars { title: "Accuracy".to_owned(), series, groups, most: Some(1.0) }.svg()
}

fn savings(rows: &[&Value], names: &Names) -> String {
    let bar = |row: &&Value| {
        let value = number(row, "kv_reduction");
        (format!("{} {}", asked(row, rows), run(row, names)), Bar { series: 0, value, shown: percent(value) })
    };
    let groups = grouped(rows.iter().filter(|row| row["mode"] != "mask").map(bar));
    Bars { title: "C⇓: cache entries not kept".to_owned(), series: vec!["C⇓".to_owned()], groups, most: Some(1.0) }
        .svg()
}

fn speeds(rows: &[&Value], names: &Names) -> String {
    let bars = rows.iter().filter(|row| number(row, "timed") > 0.0).flat_map(|row| {
        let name = format!("{} {}", asked(row, rows), names.name(row));
        ["speedup_vs_no_cache", "speedup_vs_full_cache"].into_iter().enumerate().map(move |(series, key)| {
            let value = number(row, key);
            (name.clone(), Bar { series, value, shown: format!("{}×", digits(value, 2)) })
        })
    });
    let series = vec!["against no cache".to_owned(), "against a full cache".to_owned()];
    Bars { title: "T⇑: speed-up of a question".to_owned(), series, groups: grouped(bars), most: None }.svg()
}

fn table(rows: &[&Value]) -> Table {
    use Side::{Left, Right};
    let line = |row: &&Value| {
        let timed = number(row, "timed") > 0.0 && number(row, "shots") > 0.0;
        let ratio = |key: &str| if timed { format!("{}×", digits(number(row, key), 2)) } else { String::new() };
        let spread = |key: &str| match number(row, key) {
            value if value.is_finite() => format!("±{:.1}", 100.0 * value),
            _ => String::new(),
        };
        vec![
            word(row, "task"),
            digits(number(row, "shots"), 0),
            model(row),
            word(row, "policy"),
            word(row, "mode"),
            digits(number(row, "n"), 0),
            format!("{} {}", percent(number(row, "acc")), spread("acc_stderr")),
            percent(number(row, "acc_norm")),
            percent(number(row, "kv_reduction")),
            ratio("speedup_vs_no_cache"),
            ratio("speedup_vs_full_cache"),
            size(number(row, "bytes")),
            size(number(row, "full_bytes")),
            size(number(row, "peak_bytes")),
        ]
    };
    let columns = vec![
        ("task", Left),
        ("shots", Right),
        ("model", Left),
        ("policy", Left),
        ("run as", Left),
        ("n", Right),
        ("Acc", Right),
        ("Acc by characters", Right),
        ("C⇓", Right),
        ("T⇑ no cache", Right),
        ("T⇑ full cache", Right),
        ("bytes", Right),
        ("full", Right),
        ("peak", Right),
    ];
    Table { columns, rows: rows.iter().map(line).collect() }
}

/// Runs beside each other.
pub(super) fn comparisons(found: &Found) -> Option<Section> {
    use Side::{Left, Right};
    let rows = found.of("compare");
    if rows.is_empty() {
        return None;
    }
    let line = |row: &&Value| {
        vec![
            word(row, "of"),
            word(row, "what"),
            word(row, "run_a"),
            word(row, "run_b"),
            digits(number(row, "n"), 0),
            digits(number(row, "a"), 4),
            digits(number(row, "b"), 4),
            format!("{:+.4}", number(row, "difference")),
            format!("{:+.4} to {:+.4}", number(row, "low"), number(row, "high")),
            digits(number(row, "p"), 3),
        ]
    };
    let columns = vec![
        ("of", Left),
        ("value", Left),
        ("A", Left),
        ("B", Left),
        ("n", Right),
        ("A's", Right),
        ("B's", Right),
        ("B − A", Right),
        ("95 % interval", Right),
        ("p", Right),
    ];
    Some(Section {
        title: "Comparisons",
        about: "The same items under both runs, drawn again and again (paired bootstrap): the interval holds the \
                difference of 95 of 100 draws."
            .to_owned(),
        figures: Vec::new(),
        tables: vec![Table { columns, rows: rows.iter().map(line).collect() }],
    })
}
