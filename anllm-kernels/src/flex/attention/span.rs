//! A span of queries, and the keys that any of them reaches.

use std::ops::Range;

use anllm_core::{Look, Reach};

/// Slots of keys in the order in which a span's tiles walk over them, and where each query's part of them lies.
pub(super) struct Part {
    /// Slots of the keys.
    pub(super) slots: Vec<usize>,
    /// For each query of the span, its range of `slots`.
    pub(super) ranges: Vec<Range<usize>>,
}

impl Part {
    /// The far keys of the queries `tokens`.
    pub(super) fn far(reach: &Reach, tokens: Range<usize>) -> Self {
        let looks = &reach.looks()[tokens];
        let (start, end) = bounds(looks, |look| &look.far);
        Self { slots: reach.far()[start..end].to_vec(), ranges: relative(looks, |look| &look.far, start) }
    }

    /// The near keys of the queries `tokens`.
    pub(super) fn near(reach: &Reach, tokens: Range<usize>) -> Self {
        let looks = &reach.looks()[tokens];
        let (start, end) = bounds(looks, |look| &look.near);
        Self { slots: (start..end).collect(), ranges: relative(looks, |look| &look.near, start) }
    }

    /// What a tile of queries, `tile` out of the span, walks over: from the first key that one reaches to the last.
    pub(super) fn walk(&self, tile: Range<usize>) -> Range<usize> {
        let ranges = self.ranges[tile].iter().filter(|range| !range.is_empty());
        let start = ranges.clone().map(|range| range.start).min().unwrap_or(0);
        let end = ranges.map(|range| range.end).max().unwrap_or(0);
        start..end
    }
}

fn bounds(looks: &[Look], part: fn(&Look) -> &Range<usize>) -> (usize, usize) {
    let filled = looks.iter().map(part).filter(|range| !range.is_empty());
    let start = filled.clone().map(|range| range.start).min().unwrap_or(0);
    (start, filled.map(|range| range.end).max().unwrap_or(start))
}

/// Ranges counted from `start`; an empty one stays empty wherever it lies.
fn relative(looks: &[Look], part: fn(&Look) -> &Range<usize>, start: usize) -> Vec<Range<usize>> {
    let shift = |range: &Range<usize>| match range.is_empty() {
        true => 0..0,
        false => range.start - start..range.end - start,
    };
    looks.iter().map(|look| shift(part(look))).collect()
}
