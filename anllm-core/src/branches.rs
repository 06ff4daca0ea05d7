//! Several continuations of one sequence, side by side in one row: a tree of runs of tokens, each of which goes on where
//! its parent ends.
//!
//! ```text
//! sequence ─┬─ Question: … Answer: ─┬─ yes        a token sees what it would see if its own path
//!           │                       └─ no         were the whole text: nothing of its siblings
//!           └─ Question: … Answer: ─── yes
//! ```
//!
//! A shared beginning is processed once, and short continuations fill one pass together.

use std::ops::Range;

use crate::ledger::{ChunkPlan, Survivors};
use crate::policy::CachePolicy;
use crate::reach::{Look, Reach};
use crate::segments::{Place, SegmentTracker};

/// A tree of runs behind a sequence. Runs lie in the row in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branches {
    trunk: SegmentTracker,
    runs: Vec<Run>,
    /// The places of all runs. `Place::index` counts along a run's own path, not along the row.
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    parent: Option<usize>,
    slots: Range<usize>,
    end: SegmentTracker,
}

impl Branches {
    /// No runs yet, behind a sequence whose next token `trunk` would place.
    pub fn new(trunk: SegmentTracker) -> Self {
        Self { trunk, runs: Vec::new(), places: Vec::new() }
    }

    /// Adds a run of `tokens` tokens behind the run `parent`, or behind the sequence itself, and returns its number.
    /// `is_anchor` is asked about each token: which of the run, and at which position of its path.
    ///
    /// # Panics
    /// When there is no run `parent`.
    pub fn push(
        &mut self,
        parent: Option<usize>,
        tokens: usize,
        mut is_anchor: impl FnMut(usize, usize) -> bool,
    ) -> usize {
        let mut end = parent.map_or(self.trunk, |parent| self.runs[parent].end);
        let start = self.places.len();
        for token in 0..tokens {
            let anchor = is_anchor(token, end.position());
            self.places.push(end.push(anchor));
        }
        self.runs.push(Run { parent, slots: start..self.places.len(), end });
        self.runs.len() - 1
    }

    /// Tokens of all runs: the length of the row.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where in the row a run lies.
    pub fn slots(&self, run: usize) -> Range<usize> {
        self.runs[run].slots.clone()
    }

    /// The furthest position that any token has.
    pub fn last_position(&self) -> Option<usize> {
        self.places.iter().map(|place| place.position).max()
    }

    /// What to do with the row when a cache holds `entries` of the sequence: everything is seen along paths alone, and
    /// nothing of it is kept. Positions are the original ones, whatever the policy says of them: under one that renumbers,
    /// a key's rank would depend on the path.
    pub fn plan(&self, policy: &dyn CachePolicy, entries: &[Place]) -> ChunkPlan {
        ChunkPlan {
            reach: self.reach(policy, entries),
            survivors: Survivors::all(entries.len()),
            positions: self.places.iter().map(|place| place.position).collect(),
            renumbering: None,
            cached: entries.len(),
        }
    }

    fn reach(&self, policy: &dyn CachePolicy, entries: &[Place]) -> Reach {
        let (mut far, mut looks) = (Vec::new(), Vec::with_capacity(self.len()));
        // Neighbours mostly see the same far keys: the last list is used again where it is the same.
        let mut last = 0..0;
        for (number, run) in self.runs.iter().enumerate() {
            let path = self.path(number, entries.len());
            let places: Vec<Place> = path.iter().map(|&slot| self.place(slot, entries)).collect();
            let own = path.len() - run.slots.len();
            let reach = policy.reach(&places[own..], &places);
            for look in reach.looks() {
                // What lies near, but before the run, is elsewhere in the row.
                let elsewhere = look.near.start.min(own)..look.near.end.min(own);
                let listed = reach.far()[look.far.clone()].iter().copied().chain(elsewhere);
                let list: Vec<usize> = listed.map(|slot| path[slot]).collect();
                if far[last.clone()] != list[..] {
                    last = far.len()..far.len() + list.len();
                    far.extend(list);
                }
                let first = entries.len() + run.slots.start;
                let near = first + look.near.start.max(own) - own..first + look.near.end.max(own) - own;
                looks.push(Look { far: last.clone(), near });
            }
        }
        Reach::from_parts(entries.len() + self.len(), far, looks)
    }

    /// Slots of what lies on the way to the end of a run: those of the cache, then those of its ancestors and its own.
    fn path(&self, run: usize, cached: usize) -> Vec<usize> {
        let mut runs = Vec::new();
        let mut next = Some(run);
        while let Some(number) = next {
            runs.push(self.runs[number].slots.clone());
            next = self.runs[number].parent;
        }
        let row = runs.into_iter().rev().flatten().map(|slot| cached + slot);
        (0..cached).chain(row).collect()
    }

    fn place(&self, slot: usize, entries: &[Place]) -> Place {
        slot.checked_sub(entries.len()).map_or_else(|| entries[slot], |slot| self.places[slot])
    }
}
