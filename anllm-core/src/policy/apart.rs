//! Texts that were encoded alone and stand side by side, such as the demonstrations of a prompt: none of them sees
//! another, and what follows sees of all of them what their caches kept.

use std::ops::Range;

use super::{CachePolicy, Policy};
use crate::segments::Place;

/// What joined caches stand for, as a policy over the whole row.
///
/// ```text
/// ⟨s⟩ a a . ⟨s⟩ b b . c c        parts 0..4 and 4..8, each with a lead of one token; c c follows
/// ```
///
/// Inside a part, and inside what follows, another policy holds. What follows sees the parts under that policy too; but
/// it does not see the leading tokens (begin-of-sequence) of any part but the first, which were there so that the part
/// could be read as a text of its own.
#[derive(Debug, Clone)]
pub struct ApartPolicy {
    within: Policy,
    parts: Vec<Part>,
}

/// A text among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Row indices of its tokens.
    pub tokens: Range<usize>,
    /// How many of them lead: hidden from what follows, unless the part is the first.
    pub lead: usize,
}

/// Where the tokens of a part stand in the whole: what is added to the places they had alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    /// Added to the index.
    pub index: usize,
    /// Added to the position.
    pub position: usize,
    /// Added to the segment.
    pub segment: usize,
}

impl Shift {
    /// Behind the token at `last`: the first token after the `lead` of the part takes the next position, as if the
    /// lead were not there. Segments are never shared.
    pub fn behind(last: &Place, lead: usize) -> Self {
        Self { index: last.index + 1, position: (last.position + 1).saturating_sub(lead), segment: last.segment + 1 }
    }

    /// The place in the whole of a token that stood at `place` alone.
    pub fn apply(&self, place: &Place) -> Place {
        Place {
            index: place.index + self.index,
            position: place.position + self.position,
            segment: place.segment + self.segment,
            ..*place
        }
    }
}

impl ApartPolicy {
    /// The policy `within` parts and behind them. Parts are in order, side by side, from the start of the row.
    pub fn new(within: impl Into<Policy>, parts: Vec<Part>) -> Self {
        Self { within: within.into(), parts }
    }

    /// The number of the part that holds the token; `parts.len()` for what follows.
    fn part(&self, place: &Place) -> usize {
        self.parts.partition_point(|part| part.tokens.end <= place.index)
    }

    /// Whether the token leads a part that is not the first.
    fn leads(&self, place: &Place) -> bool {
        match self.part(place) {
            0 => false,
            number => self.parts.get(number).is_some_and(|part| place.index < part.tokens.start + part.lead),
        }
    }
}

impl CachePolicy for ApartPolicy {
    fn name(&self) -> String {
        format!("{} in {} parts", self.within.name(), self.parts.len())
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        let follows = self.parts.len();
        let looks = match (self.part(query), self.part(key)) {
            (of_query, of_key) if of_query == of_key => true,
            (of_query, _) => of_query == follows && !self.leads(key),
        };
        looks && self.within.visible(query, key)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        let passed = self.part(entry) < self.part(newest);
        !(passed && self.leads(entry)) && self.within.keeps(entry, newest)
    }

    fn may_drop(&self, newest: &Place) -> bool {
        let first = self.parts.iter().any(|part| part.tokens.start == newest.index || part.tokens.end == newest.index);
        first || self.within.may_drop(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnchorPolicy, DenseMask, Segments};

    #[test]
    fn parts_do_not_see_each_other_and_what_follows_sees_their_anchors() {
        // <s> a . | <s> b . | c c
        let alone = Segments::from_anchors(3, &[2]);
        let first = alone.places().to_vec();
        let shift = Shift::behind(&first[2], 1);
        let mut row = first;
        row.extend(alone.places().iter().map(|place| shift.apply(place)));
        let mut tracker = crate::SegmentTracker::after(&row[5]);
        row.extend([tracker.push(false), tracker.push(false)]);
        let positions: Vec<usize> = row.iter().map(|place| place.position).collect();
        assert_eq!(positions, [0, 1, 2, 2, 3, 4, 5, 6], "the second lead stands nowhere");
        let parts = vec![Part { tokens: 0..3, lead: 1 }, Part { tokens: 3..6, lead: 1 }];
        let policy = ApartPolicy::new(AnchorPolicy, parts);
        let mask = DenseMask::under(&policy, &row, &row);
        let seen = |i: usize| (0..8).filter(|j| mask.get(i, *j)).collect::<Vec<_>>();
        assert_eq!(seen(4), [3, 4]);
        assert_eq!(seen(5), [3, 4, 5]);
        assert_eq!(seen(6), [2, 5, 6]);
        assert_eq!(seen(7), [2, 5, 6, 7]);
    }
}
