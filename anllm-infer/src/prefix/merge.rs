//! Prefixes that were read alone, side by side: keys turned to their new positions, which is exact, since a rotary
//! embedding turns by angles that add up.
//!
//! What results is the cache of [`ApartPolicy`](anllm_core::ApartPolicy): no part has seen another, and what follows
//! sees of each what its cache kept, as if the texts stood one behind the other. The leading tokens of all parts but the
//! first are dropped, and the text behind them takes their place; tokens behind the last anchor of all parts but the last
//! are dropped too, since nothing that follows could see them.

use std::ops::Range;

use anllm_core::{Place, SegmentTracker, Shift};
use anllm_model::decoder::angle;

use super::error::PrefixError;
use super::head::{Geometry, PrefixHead, PrefixRecord};
use super::{LayerEntries, Prefix};

/// Several prefixes as one. Entries are turned when they are asked for.
pub struct MergedPrefix<'a> {
    parts: Vec<Moved<'a>>,
    head: PrefixHead,
}

/// One of them, and where its entries go.
struct Moved<'a> {
    prefix: &'a dyn Prefix,
    /// Which of its entries stay.
    kept: Range<usize>,
    shift: Shift,
}

impl std::fmt::Debug for MergedPrefix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergedPrefix").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<'a> MergedPrefix<'a> {
    /// Puts prefixes side by side, in this order.
    ///
    /// # Errors
    /// When there are none, they are of different models, tokenizers, rules or policies, or one cannot be joined.
    pub fn new(prefixes: &[&'a dyn Prefix]) -> Result<Self, PrefixError> {
        let Some((&first, others)) = prefixes.split_first() else {
            let hint = "name the files to merge";
            return Err(PrefixError::Merge { name: "nothing".to_owned(), why: "there is no prefix".to_owned(), hint });
        };
        for &other in others {
            fits(first, other)?;
        }
        let mut head = PrefixHead {
            record: PrefixRecord { parts: Vec::new(), tokens: 0, peak: 0, ..first.head().record.clone() },
            places: Vec::new(),
            ..first.head().clone()
        };
        head.recent.clear();
        let mut parts = Vec::with_capacity(prefixes.len());
        let mut end: Option<Place> = None;
        for (number, &prefix) in prefixes.iter().enumerate() {
            let last = number + 1 == prefixes.len();
            joins(prefix, last)?;
            let own = prefix.head();
            let lead = if number == 0 { 0 } else { own.record.parts.first().map_or(0, |part| part.lead) };
            let shift = end.map_or(Shift::default(), |end| Shift::behind(&end, lead));
            end = own.places.last().map(|place| shift.apply(place));
            let front = own.places.iter().take_while(|place| place.index < lead).count();
            let tail = if last { 0 } else { hidden_tail(own) };
            let kept = front..(own.places.len() - tail).max(front);
            let moved = own.places[kept.clone()].iter().map(|place| shift.apply(place));
            head.record.peak = head.record.peak.max(head.places.len() + own.record.peak);
            head.record.tokens += own.record.tokens - lead;
            head.record.parts.extend(own.record.parts.iter().cloned());
            head.places.extend(moved);
            head.recent.extend(&own.recent);
            parts.push(Moved { prefix, kept, shift });
        }
        head.recent.drain(..head.recent.len().saturating_sub(PrefixHead::RECENT));
        // Leads that were dropped counted in the peaks of their parts.
        head.record.peak = head.record.peak.min(head.record.tokens);
        head.record.tracker = end.as_ref().map_or(SegmentTracker::default(), SegmentTracker::after);
        head.record.blank_tail = prefixes.last().is_some_and(|last| last.head().record.blank_tail);
        Ok(Self { parts, head })
    }
}

impl Prefix for MergedPrefix<'_> {
    fn name(&self) -> String {
        "the merged prefix".to_owned()
    }

    fn head(&self) -> &PrefixHead {
        &self.head
    }

    fn layer(&self, number: usize) -> Result<LayerEntries, PrefixError> {
        let Geometry { head_dim, .. } = self.head.record.geometry;
        let width = self.head.record.geometry.width();
        let mut all = LayerEntries { keys: Vec::new(), values: Vec::new() };
        for Moved { prefix, kept, shift } in &self.parts {
            let LayerEntries { keys, values } = prefix.layer(number)?;
            let numbers = kept.start * width..kept.end * width;
            let start = all.keys.len();
            all.keys.extend_from_slice(keys.get(numbers.clone()).unwrap_or_default());
            all.values.extend_from_slice(values.get(numbers).unwrap_or_default());
            let places = &prefix.head().places[kept.clone()];
            for (place, heads) in places.iter().zip(all.keys[start..].chunks_mut(width.max(1))) {
                turn(heads, head_dim, &self.head.frequencies, place, &shift.apply(place));
            }
        }
        Ok(all)
    }
}

/// Turns the keys of one entry, heads of width `head_dim` side by side, from one position to another: each pair of
/// channels by the difference of the two angles.
fn turn(heads: &mut [f32], head_dim: usize, frequencies: &[f64], from: &Place, to: &Place) {
    if from.position == to.position {
        return;
    }
    let half = head_dim / 2;
    for (channel, &frequency) in frequencies.iter().enumerate().take(half) {
        let by = angle(to.position, frequency) - angle(from.position, frequency);
        let (sin, cos) = by.sin_cos();
        for head in heads.chunks_exact_mut(head_dim) {
            let (a, b) = (f64::from(head[channel]), f64::from(head[channel + half]));
            head[channel] = (a * cos - b * sin) as f32;
            head[channel + half] = (b * cos + a * sin) as f32;
        }
    }
}

/// Whether two prefixes are of the same kind.
fn fits(first: &dyn Prefix, other: &dyn Prefix) -> Result<(), PrefixError> {
    let (a, b) = (&first.head().record, &other.head().record);
    let name = other.name();
    b.identity.check(&name, &a.identity)?;
    if a.policy != b.policy {
        return Err(PrefixError::Other {
            name,
            what: "cache policy",
            found: b.policy.clone(),
            expected: a.policy.clone(),
            hint: "build both under the same policy",
        });
    }
    match a.geometry == b.geometry && first.head().frequencies == other.head().frequencies {
        true => Ok(()),
        false => Err(PrefixError::damaged(&name, "its entries have another shape than those of the first")),
    }
}

/// How many entries at the end what follows in another segment does not see.
fn hidden_tail(head: &PrefixHead) -> usize {
    match head.record.policy.as_str() {
        "full" => 0,
        _ => head.places.iter().rev().take_while(|place| !place.anchor).count(),
    }
}

/// Whether others can stand beside the prefix.
fn joins(prefix: &dyn Prefix, last: bool) -> Result<(), PrefixError> {
    let (head, name) = (prefix.head(), prefix.name());
    let record = &head.record;
    let refuse = |why: String, hint| Err(PrefixError::Merge { name: name.clone(), why, hint });
    if !matches!(record.policy.as_str(), "full" | "anchor") {
        let why = format!("under the policy `{}` what a token sees depends on where all others stand", record.policy);
        return refuse(why, "build the parts with --cache anchor or --cache full");
    }
    if record.following.is_some() {
        let why = "it was merged before and then continued, so that it is no text of its own any more".to_owned();
        return refuse(why, "merge first, and continue the result");
    }
    let lead = record.parts.first().map_or(0, |part| part.lead);
    let own = head.places.last().is_some_and(|place| place.index >= lead && place.document == 0);
    if !own || record.tokens <= lead {
        return refuse("it has no text of its own".to_owned(), "build it from a text");
    }
    let tail = hidden_tail(head);
    if !last && tail > 0 && !record.blank_tail {
        let why = format!("its last {tail} token(s) belong to no anchor, and what follows could not see them");
        let hint = "end the text with an anchor (with --add-anchors a text gets one), or merge it as the last one";
        return refuse(why, hint);
    }
    Ok(())
}
