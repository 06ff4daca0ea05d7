//! What a cache holds after each token, step by step: the ledger's work, made visible.

use crate::ledger::Ledger;
use crate::policy::CachePolicy;
use crate::segments::Place;

/// What one token did to a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The token that entered.
    pub place: Place,
    /// Entries held afterwards.
    pub held: usize,
    /// Row indices of the entries that it made useless, ascending.
    pub dropped: Vec<usize>,
}

impl Step {
    /// Enters `place` into a ledger under `policy`, and tells what that did.
    pub fn of(ledger: &mut Ledger, policy: &dyn CachePolicy, place: Place) -> Self {
        let mut before: Vec<usize> = ledger.entries().iter().map(|entry| entry.index).collect();
        before.push(place.index);
        ledger.enter(policy, place);
        // Both are in order, and what is left is a part of what was there.
        let mut left = ledger.entries().iter().map(|entry| entry.index).peekable();
        before.retain(|index| left.next_if_eq(index).is_none());
        Self { place, held: ledger.entries().len(), dropped: before }
    }
}

/// A cache's book-keeping, token by token, without a model.
#[derive(Debug)]
pub struct Timeline<'a> {
    policy: &'a dyn CachePolicy,
    ledger: Ledger,
}

impl<'a> Timeline<'a> {
    /// An empty cache under `policy`.
    pub fn new(policy: &'a dyn CachePolicy) -> Self {
        Self { policy, ledger: Ledger::default() }
    }

    /// Enters the next token.
    pub fn enter(&mut self, place: Place) -> Step {
        Step::of(&mut self.ledger, self.policy, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnchorPolicy, FullPolicy, Segments};

    #[test]
    fn an_anchor_drops_its_segment() {
        let segments = Segments::from_anchors(8, &[3, 6]);
        let mut timeline = Timeline::new(&AnchorPolicy);
        let steps: Vec<Step> = segments.places().iter().map(|place| timeline.enter(*place)).collect();
        assert_eq!(steps.iter().map(|s| s.held).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3, 2, 3]);
        assert_eq!(steps[3].dropped, [0, 1, 2]);
        assert_eq!(steps[6].dropped, [4, 5]);
        assert!(steps.iter().filter(|s| !s.place.anchor).all(|s| s.dropped.is_empty()));
    }

    #[test]
    fn a_full_cache_drops_nothing() {
        let segments = Segments::from_anchors(5, &[1]);
        let mut timeline = Timeline::new(&FullPolicy);
        for (count, place) in segments.places().iter().enumerate() {
            assert_eq!(timeline.enter(*place), Step { place: *place, held: count + 1, dropped: Vec::new() });
        }
    }
}
