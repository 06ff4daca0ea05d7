//! The reading as one JSON object.

use anllm_core::DenseMask;
use serde::Serialize;

use super::reading::Reading;
use super::{explain, mask};
use crate::args::AnchorsArgs;

/// The object that `--json` prints.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report<'a> {
    rule: String,
    tokens: usize,
    anchors: usize,
    segments: usize,
    mean_segment: f64,
    max_segment: usize,
    /// Bytes of a full cache after the text, f32.
    kv_bytes_full: usize,
    /// Which cache the next three are of.
    policy: &'a str,
    /// Bytes of that cache after the text, f32.
    kv_bytes: usize,
    /// Entries it then holds.
    kv_entries: usize,
    /// Bytes of the anchor policy's cache after the text, f32.
    kv_bytes_anchor: usize,
    /// The most entries that it holds at a time.
    peak_entries: usize,
    /// (query, key) pairs that the policy allows.
    visible_pairs: u64,
    /// (query, key) pairs that causal attention allows.
    causal_pairs: u64,
    anchor_positions: &'a [usize],
    segment_lengths: &'a [usize],
    ids: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<explain::Answer>,
    /// One row for each query, one digit for each key.
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<Vec<String>>,
}

pub(super) fn report<'a>(reading: &'a Reading, args: &AnchorsArgs) -> anyhow::Result<Report<'a>> {
    let rows = match args.mask {
        true => Some(rows(reading)?),
        false => None,
    };
    Ok(Report {
        rule: reading.rule.to_string(),
        tokens: reading.ids.len(),
        anchors: reading.segments.anchors().len(),
        segments: reading.lengths.len(),
        mean_segment: reading.mean(),
        max_segment: reading.longest(),
        kv_bytes_full: reading.cache.full_bytes,
        policy: &reading.cache.policy,
        kv_bytes: reading.cache.bytes,
        kv_entries: reading.cache.kept,
        kv_bytes_anchor: reading.anchor_bytes,
        peak_entries: reading.cache.peak,
        visible_pairs: reading.visible_pairs(),
        causal_pairs: reading.causal_pairs(),
        anchor_positions: reading.segments.anchors(),
        segment_lengths: &reading.lengths,
        ids: &reading.ids,
        explain: args.explain.map(|pair| explain::answer(reading, pair.query, pair.key)).transpose()?,
        mask: rows,
    })
}

fn rows(reading: &Reading) -> anyhow::Result<Vec<String>> {
    mask::refuse_beyond(mask::MOST_TOKENS_DENSE, reading, "--mask")?;
    let places = reading.segments.places();
    let mask = DenseMask::under(&*reading.policy, places, places);
    let row = |i| (0..mask.keys()).map(|j| if mask.get(i, j) { '1' } else { '0' }).collect();
    Ok((0..mask.queries()).map(row).collect())
}
