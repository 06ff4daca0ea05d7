//! The cache's timeline as a file: JSON Lines, one token each.

use std::path::Path;

use anllm_core::{AnchorMatcher, CachePolicy, Place, Timeline};
use anllm_model::Tokenizer;
use serde::{Deserialize, Serialize};

use super::{anchors, aside};

/// A token, and the cache after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Counts tokens from 0.
    pub(super) step: usize,
    pub(super) id: u32,
    pub(super) text: String,
    pub(super) part: Part,
    pub(super) anchor: bool,
    /// Number of anchors before the token.
    pub(super) segment: usize,
    /// Entries held after the token.
    pub(super) held: usize,
    /// Steps of the tokens whose entries it made useless.
    pub(super) dropped: Vec<usize>,
    /// Bytes of the entries held, and of a full cache.
    pub(super) bytes: usize,
    pub(super) full_bytes: usize,
    pub(super) policy: String,
}

/// Who wrote a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Prompt,
    Generated,
}

/// What the cache went through while it read `ids`, of which the first `prompt` were given. An entry has
/// `bytes_per_entry` bytes.
pub(super) fn rows(
    policy: &dyn CachePolicy,
    matcher: &AnchorMatcher,
    tokenizer: &Tokenizer,
    ids: &[u32],
    prompt: usize,
    bytes_per_entry: usize,
) -> Vec<Row> {
    let segments = matcher.segments(ids);
    let texts = anchors::spelled(tokenizer, ids);
    let mut timeline = Timeline::new(policy);
    let row = |((place, &id), text): ((&Place, &u32), String)| {
        let step = timeline.enter(*place);
        Row {
            step: place.index,
            id,
            text,
            part: if place.index < prompt { Part::Prompt } else { Part::Generated },
            anchor: place.anchor,
            segment: place.segment,
            held: step.held,
            dropped: step.dropped,
            bytes: step.held * bytes_per_entry,
            full_bytes: (place.index + 1) * bytes_per_entry,
            policy: policy.name(),
        }
    };
    segments.places().iter().zip(ids).zip(texts).map(row).collect()
}

/// Writes a timeline.
///
/// # Errors
/// When the file cannot be written; what was there stays.
pub(super) fn write(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    aside::write(file, &text)
}

/// Reads a timeline.
///
/// # Errors
/// When the file is not one, or empty.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Row>> {
    let hint = "hint: `anllm generate --trace FILE` writes such files";
    let text = super::setup::read_text(file)?;
    let row = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            anyhow::anyhow!("{}: line {} is not a step of a timeline: {e}\n  {hint}", file.display(), number + 1)
        })
    };
    let rows: Vec<Row> = text.lines().enumerate().map(row).collect::<anyhow::Result<_>>()?;
    anyhow::ensure!(!rows.is_empty(), "{}: the timeline has no steps\n  {hint}", file.display());
    Ok(rows)
}
