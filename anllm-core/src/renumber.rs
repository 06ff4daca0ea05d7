//! Positions counted over what a query sees, as if nothing else had ever been there.
//!
//! ```text
//! row         s s a a a . b b b . c c c        sinks s, anchors ., and the open segment c c c
//! far         0 1       2       3              by rank
//! near                            4 5 6        the run that ends in the query, behind the far keys
//! ```
//!
//! Only distances matter to rotary embeddings. Within the near run they are as ever, so that near keys and their queries
//! keep the turn of their original positions. Far keys are turned to their ranks, and a second copy of the query to its
//! place behind them: attention over each part alone, joined, is attention over both.

use crate::reach::Reach;
use crate::segments::Place;

/// From one position to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renumber {
    /// Where the key or query has been turned to.
    pub from: usize,
    /// Where it is to be turned.
    pub to: usize,
}

/// What has to be turned before and while a chunk of `T` tokens is processed behind `S` cached entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renumbering {
    /// How many entries at the front of the cache stand at their rank already.
    pub settled: usize,
    /// The entries behind those that no token from this chunk on sees as near: they are turned in the cache, for good.
    pub settling: Vec<Renumber>,
    /// How each key of the far list has to be turned for this chunk, in the order of the list, after settling.
    pub far: Vec<Renumber>,
    /// How each of the `T` queries has to be turned before it looks at far keys.
    pub queries: Vec<Renumber>,
}

impl Renumbering {
    /// For `queries`, the last of `keys`; `cached` keys come from the cache, of which the first `settled` stand at their
    /// ranks.
    pub fn of(reach: &Reach, keys: &[Place], cached: usize, settled: usize) -> Self {
        let queries = &keys[cached..];
        let standing = match (keys.first(), queries.first(), reach.looks().first()) {
            (Some(held), Some(query), Some(look)) if held.document == query.document => {
                let listed = reach.far()[..look.far.end].iter().enumerate();
                listed.take_while(|(rank, slot)| rank == *slot && **slot < cached).count().max(settled)
            }
            // Another document's entries are about to be dropped.
            _ => settled,
        };
        let settling = (settled..standing).map(|slot| Renumber { from: keys[slot].position, to: slot }).collect();
        let mut far = Vec::with_capacity(reach.far().len());
        let (mut rank, mut document) = (0, None);
        for &slot in reach.far() {
            let key = &keys[slot];
            if document.replace(key.document) != Some(key.document) {
                rank = 0;
            }
            far.push(Renumber { from: if slot < standing { rank } else { key.position }, to: rank });
            rank += 1;
        }
        let turned = queries
            .iter()
            .zip(reach.looks())
            .map(|(query, look)| Renumber { from: query.position, to: look.count().saturating_sub(1) });
        Self { settled, settling, far, queries: turned.collect() }
    }

    /// How many entries at the front stand at their rank once [`settling`](Self::settling) is done.
    pub fn standing(&self) -> usize {
        self.settled + self.settling.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::policy::PolicyKind;
    use crate::segments::Segments;

    fn shift(from: usize, to: usize) -> Renumber {
        Renumber { from, to }
    }

    #[test]
    fn sinks_stand_first_and_the_window_behind_them() {
        let row = Segments::from_anchors(9, &[]);
        let policy = "sink:2+3".parse::<PolicyKind>().unwrap().policy();
        let mut ledger = Ledger::default();
        let plan = ledger.advance(&*policy, &row.places()[..8]);
        let turned = plan.renumbering.unwrap();
        // The first five tokens see everything before them: nothing changes for them.
        assert!(turned.queries[..5].iter().all(|query| query.from == query.to));
        assert_eq!(turned.queries[5..], [shift(5, 4), shift(6, 4), shift(7, 4)]);
        assert_eq!(turned.far, [shift(0, 0), shift(1, 1)]);
        // One token later the sinks are settled, where they stood anyway.
        let turned = ledger.advance(&*policy, &row.places()[8..]).renumbering.unwrap();
        assert_eq!((turned.settled, turned.standing()), (0, 2));
        assert_eq!(turned.queries, [shift(8, 4)]);
    }

    #[test]
    fn anchors_are_turned_to_their_rank_once() {
        let row = Segments::from_anchors(12, &[3, 6, 10]);
        let policy = "anchor:renumber".parse::<PolicyKind>().unwrap().policy();
        let mut ledger = Ledger::default();
        let plan = |ledger: &mut Ledger, tokens: std::ops::Range<usize>| {
            ledger.advance(&*policy, &row.places()[tokens]).renumbering.unwrap()
        };
        // All in one chunk: anchors that others in the chunk see are turned for this chunk alone.
        let turned = plan(&mut ledger, 0..8);
        assert_eq!(turned.far, [shift(3, 0), shift(6, 1)]);
        assert_eq!((turned.settling.len(), turned.queries[7]), (0, shift(7, 2)));
        // From the next chunk on they stand in the cache.
        let turned = plan(&mut ledger, 8..9);
        assert_eq!(turned.settling, [shift(3, 0), shift(6, 1)]);
        assert_eq!((&turned.far[..], turned.queries[0]), (&[shift(0, 0), shift(1, 1)][..], shift(8, 3)));
        let turned = plan(&mut ledger, 9..12);
        assert_eq!((turned.settled, turned.settling.len()), (2, 0));
        assert_eq!(turned.far, [shift(0, 0), shift(1, 1), shift(10, 2)]);
        // The anchor sees its own segment alone; the token behind it three anchors and itself.
        assert_eq!(turned.queries[2], shift(11, 3));
    }

    #[test]
    fn documents_count_for_themselves() {
        let row = Segments::from_documents([&[false, true, false][..], &[false, true, false, false][..]]);
        let policy = "anchor:renumber".parse::<PolicyKind>().unwrap().policy();
        let mut ledger = Ledger::default();
        ledger.advance(&*policy, &row.places()[..2]);
        let turned = ledger.advance(&*policy, &row.places()[2..6]).renumbering.unwrap();
        assert_eq!(turned.standing(), 1);
        assert_eq!(turned.far, [shift(0, 0), shift(1, 0)]);
        assert_eq!(turned.queries, [shift(2, 1), shift(0, 0), shift(1, 1), shift(2, 1)]);
        // What stood at its rank belonged to the first document.
        let turned = ledger.advance(&*policy, &row.places()[6..]).renumbering.unwrap();
        assert_eq!((turned.settled, &turned.settling[..]), (0, &[shift(1, 0)][..]));
    }
}
