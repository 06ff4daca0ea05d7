//! From a dotted key to the line that sets it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Splits a dotted key; list elements are numbers: `data.0.path`.
pub(super) fn parts(key: &str) -> Vec<&str> {
    key.split('.').filter(|part| !part.is_empty()).collect()
}

/// The line of `key` in `text`, or of the innermost table around it that the text has; counted from 1.
pub(super) fn line_of(text: &str, key: &[&str]) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut offset = None;
    let mut parts = key.iter();
    let mut value = None;
    if let Some(first) = parts.next() {
        (offset, value) = entry(table.get_ref(), first, offset);
    }
    for part in parts {
        let Some(found) = value else { break };
        (offset, value) = match found.get_ref() {
            DeValue::Table(table) => entry(table, part, offset),
            DeValue::Array(list) => match part.parse().ok().and_then(|i: usize| list.get(i)) {
                Some(element) => (Some(element.span().start), Some(element)),
                None => (offset, None),
            },
            _ => (offset, None),
        };
    }
    offset.map(|offset| line_column(text, offset).0)
}

type Found<'a, 'i> = (Option<usize>, Option<&'a Spanned<DeValue<'i>>>);

fn entry<'a, 'i>(table: &'a DeTable<'i>, name: &str, outer: Option<usize>) -> Found<'a, 'i> {
    match table.iter().find(|(key, _)| key.get_ref() == name) {
        Some((key, value)) => (Some(key.span().start), Some(value)),
        None => (outer, None),
    }
}

/// The line and column of a byte of `text`, counted from 1.
pub(super) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
