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

use serde::{Deserialize, Serialize};

use crate::ledger::Survivors;
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

/// The entries at the front of a cache that stand at their ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settled {
    /// How many there are.
    pub count: usize,
    /// The rank of the first: how many of the document were there before it and were dropped. Since only distances
    /// count, ranks go on and need not start at 0.
    pub first: usize,
}

/// What has to be turned before and while a chunk of `T` tokens is processed behind `S` cached entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renumbering {
    /// The entries that stand at their ranks already.
    pub settled: Settled,
    /// The entries behind those that no token from this chunk on sees as near: they are turned in the cache, for good.
    pub settling: Vec<Renumber>,
    /// How each key of the far list has to be turned for this chunk, in the order of the list, after settling.
    pub far: Vec<Renumber>,
    /// How each of the `T` queries has to be turned before it looks at far keys.
    pub queries: Vec<Renumber>,
}

impl Renumbering {
    /// For the last of `keys`; `cached` of them come from the cache, where those `settled` stand at their ranks.
    pub fn of(reach: &Reach, keys: &[Place], cached: usize, settled: Settled) -> Self {
        let queries = &keys[cached..];
        let standing = match (keys.first(), queries.first(), reach.looks().first()) {
            (Some(held), Some(query), Some(look)) if held.document == query.document => {
                let listed = reach.far()[..look.far.end].iter().enumerate();
                listed.take_while(|(place, slot)| place == *slot && **slot < cached).count().max(settled.count)
            }
            // Another document's entries are about to be dropped.
            _ => settled.count,
        };
        // The rank of the next key of the document that is counted.
        let mut next = settled.first;
        let mut far: Vec<Renumber> = Vec::with_capacity(reach.far().len());
        let mut document = keys.first().map(|key| key.document);
        for &slot in reach.far() {
            let key = &keys[slot];
            if document.replace(key.document) != Some(key.document) {
                next = 0;
            }
            far.push(Renumber { from: if slot < standing { next } else { key.position }, to: next });
            next += 1;
        }
        let settling = (settled.count..standing)
            .map(|slot| Renumber { from: keys[slot].position, to: far.get(slot).map_or(slot, |key| key.to) })
            .collect();
        let turned = queries.iter().zip(reach.looks()).map(|(query, look)| {
            let seen = &far[look.far.clone()];
            // Behind the last far key it sees; without any, distances in the near run are all that counts.
            let to = seen.last().map_or(query.position, |last| last.to + look.near.len());
            Renumber { from: query.position, to }
        });
        let queries = turned.collect();
        Self { settled, settling, far, queries }
    }

    /// What stands at its rank once `survivors`, of all keys, are left and [`settling`](Self::settling)
    /// is done. What was dropped came first, or the document ended.
    pub fn left(&self, survivors: &Survivors, document_ended: bool) -> Settled {
        let standing = self.standing();
        let count = survivors.slots().take_while(|slot| *slot < standing).count();
        match document_ended {
            true => Settled::default(),
            false => Settled { count, first: self.settled.first + standing - count },
        }
    }

    /// How many entries at the front stand at their rank once [`settling`](Self::settling) is done.
    pub fn standing(&self) -> usize {
        self.settled.count + self.settling.len()
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
        assert_eq!((turned.settled.count, turned.standing()), (0, 2));
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
        assert_eq!((turned.settled.count, turned.settling.len()), (2, 0));
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
        assert_eq!((turned.settled.count, &turned.settling[..]), (0, &[shift(1, 0)][..]));
    }

    #[test]
    fn ranks_go_on_where_the_first_anchors_are_dropped() {
        let row = Segments::from_flags(&[false, true].repeat(10));
        let policy = "anchor:last=2,renumber".parse::<PolicyKind>().unwrap().policy();
        let mut ledger = Ledger::default();
        for (number, place) in row.places().iter().enumerate() {
            let turned = ledger.advance(&*policy, &[*place]).renumbering.unwrap();
            if number % 2 == 0 && number >= 4 {
                // Two anchors and the token itself, however far it is: distances of two and of one.
                let ranks: Vec<usize> = turned.far.iter().map(|key| key.to).collect();
                assert_eq!(ranks, [number / 2 - 2, number / 2 - 1]);
                assert_eq!(turned.queries, [shift(number, number / 2)]);
            }
            assert!(ledger.entries().len() <= 3);
        }
    }
}
