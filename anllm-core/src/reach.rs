//! What each query looks at, written as lists and runs instead of a matrix: the form in which attention can leave out
//! the pairs that a mask would hide.
//!
//! ```text
//! keys     a b . c d . e f        far    slots of the keys seen from afar, here the anchors: [2, 5]
//! query f          ▲   ▲ ▲        far 0..2 of that list, and near the run 6..8 that ends in itself
//! ```

use std::ops::Range;

use crate::mask::DenseMask;
use crate::policy::Positions;
use crate::segments::Place;

/// What one query sees: some of the far keys, and a run of near ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look {
    /// Which part of [`Reach::far`]; none of it lies in the near run.
    pub far: Range<usize>,
    /// Slots, in a row.
    pub near: Range<usize>,
}

impl Look {
    /// How many keys the query sees.
    pub fn count(&self) -> usize {
        self.far.len() + self.near.len()
    }
}

/// Which of `S` keys each of `T` queries sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    keys: usize,
    far: Vec<usize>,
    looks: Vec<Look>,
}

/// How a policy's tokens look back, when that can be told while walking over the keys once.
pub(crate) struct Walk<'a> {
    /// Whether the key is in the near run of the query, two tokens of one document. Near runs move forward: a key that
    /// was left behind once is never near again.
    pub(crate) near: &'a dyn Fn(&Place, &Place) -> bool,
    /// Whether the key is still seen, from afar, once it is not near any more.
    pub(crate) listed: &'a dyn Fn(&Place) -> bool,
    /// Whether the query has left a listed key behind for good. The oldest go first.
    pub(crate) forgotten: &'a dyn Fn(&Place, &Place) -> bool,
    /// Whether the query sees its own segment and nothing else.
    pub(crate) alone: &'a dyn Fn(&Place) -> bool,
    /// How the policy counts positions: where anew, far keys are not those in the near run.
    pub(crate) positions: Positions,
}

/// The far list while it grows: a run of slots for as long as it is one, as in a cache, whose first entries are the
/// anchors, so that a decode step makes no list of them.
#[derive(Default)]
struct Far {
    run: Range<usize>,
    list: Vec<usize>,
}

impl Far {
    fn len(&self) -> usize {
        self.run.len() + self.list.len()
    }

    fn get(&self, number: usize) -> usize {
        if self.list.is_empty() { self.run.start + number } else { self.list[number] }
    }

    fn push(&mut self, slot: usize) {
        if self.list.is_empty() && self.run.is_empty() {
            self.run = slot..slot + 1;
        } else if self.list.is_empty() && self.run.end == slot {
            self.run.end += 1;
        } else {
            self.list.extend(std::mem::take(&mut self.run));
            self.list.push(slot);
        }
    }

    fn into_list(self) -> Vec<usize> {
        if self.list.is_empty() { self.run.collect() } else { self.list }
    }
}

impl Reach {
    /// By asking `visible` about every pair: right for any predicate, and as slow as that.
    pub fn by_asking(queries: &[Place], keys: &[Place], visible: impl Fn(&Place, &Place) -> bool) -> Self {
        let mut reach = Self { keys: keys.len(), ..Self::default() };
        for query in queries {
            let start = reach.far.len();
            reach.far.extend((0..keys.len()).filter(|&slot| visible(query, &keys[slot])));
            // The run at the end is near; what is before it stays listed.
            let seen = &reach.far[start..];
            let run =
                seen.iter().rev().zip(seen.iter().rev().skip(1)).take_while(|(late, early)| **late == **early + 1);
            let length = if seen.is_empty() { 0 } else { 1 + run.count() };
            let end = seen.last().map_or(0, |last| last + 1);
            reach.far.truncate(reach.far.len() - length);
            let far = reach.shared(start);
            reach.looks.push(Look { far, near: end - length..end });
        }
        reach
    }

    /// The part of the far list from `start` on, or, where the query before sees the same, that one's in its place.
    fn shared(&mut self, start: usize) -> Range<usize> {
        let before = self.looks.last().map_or(0..0, |look| look.far.clone());
        if self.far[before.clone()] == self.far[start..] {
            self.far.truncate(start);
            return before;
        }
        start..self.far.len()
    }

    /// From lists that were made elsewhere: `far` slots and one look for each query, over `keys` keys.
    pub(crate) fn from_parts(keys: usize, far: Vec<usize>, looks: Vec<Look>) -> Self {
        Self { keys, far, looks }
    }

    /// In one walk over `keys`, whose last ones are the `queries`.
    ///
    /// The far list of a document grows at its end as the walk goes on, and queries that look far see all of it but what
    /// they forgot at its start.
    pub(crate) fn by_walking(queries: usize, keys: &[Place], walk: &Walk<'_>) -> Self {
        let first = keys.len().saturating_sub(queries);
        let (mut listed, mut looks) = (Far::default(), Vec::with_capacity(queries));
        // Where the near run, the segment, and what is remembered of the document's far list start.
        let (mut near, mut segment, mut far) = (0, 0, 0);
        for (slot, place) in keys.iter().enumerate() {
            match slot.checked_sub(1).map(|before| &keys[before]) {
                Some(before) if before.document != place.document => {
                    (near, segment, far) = (slot, slot, listed.len());
                }
                Some(before) if before.segment != place.segment => segment = slot,
                _ => {}
            }
            while near < slot && !(walk.near)(place, &keys[near]) {
                if (walk.listed)(&keys[near]) {
                    listed.push(near);
                }
                near += 1;
            }
            while far < listed.len() && (walk.forgotten)(place, &keys[listed.get(far)]) {
                far += 1;
            }
            if slot >= first {
                let end = listed.len();
                looks.push(match (walk.alone)(place) {
                    true => Look { far: end..end, near: segment.max(near)..slot + 1 },
                    false => Look { far: far..end, near: near..slot + 1 },
                });
            }
        }
        // What one token sees is a run where its far keys end at its near ones.
        if let ([look], Positions::Original) = (looks.as_mut_slice(), walk.positions)
            && listed.list.is_empty()
            && listed.run.end == look.near.start
            && look.far.end == listed.len()
        {
            look.near.start -= look.far.len();
            look.far = 0..0;
            return Self { keys: keys.len(), far: Vec::new(), looks };
        }
        Self { keys: keys.len(), far: listed.into_list(), looks }
    }

    /// The near runs alone.
    pub fn near_part(&self) -> Self {
        let looks = self.looks.iter().map(|look| Look { far: 0..0, near: look.near.clone() });
        Self { keys: self.keys, far: Vec::new(), looks: looks.collect() }
    }

    /// The far keys alone, as queries see them when they stand in a row in the order of the far list. Queries that see
    /// none of them have an empty run.
    pub fn far_part(&self) -> Self {
        let looks = self.looks.iter().map(|look| Look { far: 0..0, near: look.far.clone() });
        Self { keys: self.far.len(), far: Vec::new(), looks: looks.collect() }
    }

    /// The same where a query that sees nothing looks at the first key: attention over nothing is not defined.
    #[must_use]
    pub fn never_blind(mut self) -> Self {
        for look in self.looks.iter_mut().filter(|look| look.count() == 0) {
            look.near = 0..1;
        }
        self
    }

    /// `S`, the number of keys.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Slots of the keys that are seen from afar.
    pub fn far(&self) -> &[usize] {
        &self.far
    }

    /// What each of the `T` queries sees.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// Whether query `i` sees key `j`; `false` beyond either.
    pub fn sees(&self, i: usize, j: usize) -> bool {
        self.looks.get(i).is_some_and(|look| look.near.contains(&j) || self.far[look.far.clone()].contains(&j))
    }

    /// Whether every query sees every key.
    pub fn all(&self) -> bool {
        self.looks.iter().all(|look| look.count() == self.keys)
    }

    /// How many pairs there are to look at: the work of attention.
    pub fn pairs(&self) -> usize {
        self.looks.iter().map(Look::count).sum()
    }

    /// The same as a matrix.
    pub fn dense(&self) -> DenseMask {
        let mut visible = vec![false; self.looks.len() * self.keys];
        for (row, look) in visible.chunks_mut(self.keys.max(1)).zip(&self.looks) {
            row[look.near.clone()].fill(true);
            for &slot in &self.far[look.far.clone()] {
                row[slot] = true;
            }
        }
        DenseMask::from_rows(self.keys, visible)
    }
}
