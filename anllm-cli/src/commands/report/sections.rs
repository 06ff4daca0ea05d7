//! The report's sections, one file each.

mod attention;
mod divergence;
mod frontier;
mod passkey;
mod perplexity;
mod qa;
mod training;
mod translation;

use serde_json::Value;

use super::found::Found;
use crate::commands::eval::Side;

/// A part of the report.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) title: &'static str,
    /// How to read it.
    pub(super) about: String,
    pub(super) figures: Vec<Figure>,
    pub(super) tables: Vec<Table>,
}

/// A picture.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Its file's name, without an ending.
    pub(super) name: String,
    pub(super) svg: String,
}

impl Figure {
    fn new(name: impl Into<String>, svg: String) -> Self {
        Self { name: name.into(), svg }
    }
}

/// Rows under names.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) columns: Vec<(&'static str, Side)>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The sections that there are runs for.
pub(super) fn all(found: &Found) -> anyhow::Result<Vec<Section>> {
    let sections = [
        qa::section(found),
        perplexity::section(found)?,
        divergence::section(found)?,
        frontier::section(found)?,
        passkey::section(found),
        translation::section(found),
        qa::comparisons(found),
        training::section(found)?,
        attention::section(found),
    ];
    Ok(sections.into_iter().flatten().collect())
}

/// A row's number; NaN where it has none.
fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or(f64::NAN)
}

/// A row's text.
fn word(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// A number with so many digits; nothing where there is none.
fn digits(value: f64, count: usize) -> String {
    if value.is_finite() { format!("{value:.count$}") } else { String::new() }
}

/// A share as per cent.
fn percent(value: f64) -> String {
    if value.is_finite() { format!("{:.1} %", 100.0 * value) } else { String::new() }
}

/// A size; nothing where there is none.
fn size(value: f64) -> String {
    if value.is_finite() { crate::output::bytes(value.round() as usize) } else { String::new() }
}

/// The last part of a model's path.
fn model(row: &Value) -> String {
    let name = word(row, "model");
    name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// What tells rows apart: always the policy, and model and rule where they differ among the rows.
struct Names {
    models: bool,
    rules: bool,
}

impl Names {
    fn of(rows: &[&Value]) -> Self {
        let differ = |key: &str| rows.iter().any(|row| row[key] != rows[0][key]);
        // Whoever looks at everything has no anchors to tell apart.
        let ruled: Vec<&&Value> = rows.iter().filter(|row| row["policy"] != "full").collect();
        let rules = ruled.iter().any(|row| row["rule"] != ruled[0]["rule"]);
        Self { models: differ("model"), rules }
    }

    fn name(&self, row: &Value) -> String {
        let mut name = word(row, "policy");
        if self.rules && name != "full" {
            name.push_str(&format!(" {}", word(row, "rule")));
        }
        if self.models { format!("{}: {name}", model(row)) } else { name }
    }
}

/// Values by name, names in the order in which they come.
fn grouped<T>(values: impl IntoIterator<Item = (String, T)>) -> Vec<(String, Vec<T>)> {
    let mut groups: Vec<(String, Vec<T>)> = Vec::new();
    for (name, value) in values {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    groups
}
