//! The book-keeping of a cache, without its tensors: which entries it holds, what the next tokens see of them, and
//! which survive. Layers carry out what the ledger plans.

use crate::accounting::CacheStats;
use crate::policy::{CachePolicy, Positions};
use crate::reach::Reach;
use crate::renumber::{Renumbering, Settled};
use crate::segments::Place;

/// Which entries a cache holds, in order of their row index. Under the anchor policy that order is
/// `[anchors | tail]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    entries: Vec<Place>,
    /// Which of them, at the front, stand at their rank where a policy renumbers.
    settled: Settled,
    seen: usize,
    peak: usize,
}

/// What every layer does with the next `T` tokens, when the cache holds `S` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPlan {
    /// Which of the `S + T` keys (cached ones first) each of the `T` queries sees.
    pub reach: Reach,
    /// Which of the `S + T` keys survive.
    pub survivors: Survivors,
    /// The row positions of the `T` tokens, for the rotary embedding.
    pub positions: Vec<usize>,
    /// What has to be turned, where the policy renumbers.
    pub renumbering: Option<Renumbering>,
    /// `S`, the entries held before.
    pub cached: usize,
}

impl ChunkPlan {
    /// `T`, the new tokens.
    pub fn new_tokens(&self) -> usize {
        self.positions.len()
    }
}

/// Some of the keys before them, in order: those at the front that stay where they are, and those that move up to
/// them.
///
/// As an anchor closes its segment, only the anchor moves, however many there were before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survivors {
    /// So many keys at the front.
    pub unmoved: usize,
    /// The slots of the others, ascending.
    pub moved: Vec<usize>,
}

impl Survivors {
    /// All of the first `count` keys.
    pub fn all(count: usize) -> Self {
        Self { unmoved: count, moved: Vec::new() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.unmoved + self.moved.len()
    }

    /// Their slots, ascending.
    pub fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.unmoved).chain(self.moved.iter().copied())
    }

    /// Takes in the key behind all others.
    fn push(&mut self, slot: usize) {
        match self.moved.is_empty() && self.unmoved == slot {
            true => self.unmoved += 1,
            false => self.moved.push(slot),
        }
    }

    fn retain(&mut self, keeps: impl Fn(usize) -> bool) {
        self.moved.retain(|&slot| keeps(slot));
        if let Some(first) = (0..self.unmoved).find(|&slot| !keeps(slot)) {
            let behind = (first + 1..self.unmoved).filter(|&slot| keeps(slot));
            self.moved.splice(0..0, behind);
            self.unmoved = first;
        }
    }
}

impl Ledger {
    /// A ledger as another one left off: with these entries, those `settled` at their rank, after `seen`
    /// tokens and at most `peak` entries. `None` where no ledger can have been there: entries out of order, or more than
    /// tokens.
    pub fn restore(entries: Vec<Place>, settled: Settled, seen: usize, peak: usize) -> Option<Self> {
        let ordered = entries.is_sorted_by(|a, b| a.index < b.index);
        let possible = ordered && settled.count <= entries.len() && entries.len() <= peak && peak <= seen;
        possible.then_some(Self { entries, settled, seen, peak })
    }

    /// The entries held, in order.
    pub fn entries(&self) -> &[Place] {
        &self.entries
    }

    /// Tokens processed so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The most entries that one-token steps hold at a time, whatever the chunks really were.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Which entries at the front stand at their rank, not at their original position: only where a policy renumbers.
    pub fn settled(&self) -> Settled {
        self.settled
    }

    /// Plans the next `chunk` and enters it: the ledger then stands as it will after the forward pass.
    pub fn advance(&mut self, policy: &dyn CachePolicy, chunk: &[Place]) -> ChunkPlan {
        let cached = self.entries.len();
        self.entries.extend_from_slice(chunk);
        let keys = &mut self.entries;
        let reach = policy.reach(chunk, keys);
        let renumbering =
            (policy.positions() == Positions::Renumbered).then(|| Renumbering::of(&reach, keys, cached, self.settled));
        let document = |place: Option<&Place>| place.map(|place| place.document);
        let ended = document(keys.first()) != document(chunk.last());

        // Token by token, as a decoder would go: this gives the exact peak, and the same survivors for any chunking.
        let mut survivors = Survivors::all(cached);
        for (offset, newest) in chunk.iter().enumerate() {
            survivors.push(cached + offset);
            self.seen += 1;
            self.peak = self.peak.max(survivors.count());
            if policy.may_drop(newest) {
                survivors.retain(|slot| policy.keeps(&keys[slot], newest));
            }
        }
        for (to, &from) in survivors.moved.iter().enumerate() {
            keys[survivors.unmoved + to] = keys[from];
        }
        keys.truncate(survivors.count());
        self.settled = renumbering.as_ref().map_or_else(Settled::default, |turned| turned.left(&survivors, ended));
        ChunkPlan { reach, survivors, positions: chunk.iter().map(|p| p.position).collect(), renumbering, cached }
    }

    /// Enters one token without planning for it: for accounts of sequences that no model processes.
    pub fn enter(&mut self, policy: &dyn CachePolicy, newest: Place) {
        self.entries.push(newest);
        self.seen += 1;
        self.peak = self.peak.max(self.entries.len());
        if policy.may_drop(&newest) {
            self.entries.retain(|entry| policy.keeps(entry, &newest));
        }
    }

    /// The most entries held at a time while `places` come, without taking them in.
    pub fn most_held(&self, policy: &dyn CachePolicy, places: impl IntoIterator<Item = Place>) -> usize {
        let mut ahead = Self { peak: self.entries.len(), ..self.clone() };
        for place in places {
            ahead.enter(policy, place);
        }
        ahead.peak
    }

    /// The account so far, for entries of `bytes_per_entry` bytes over all layers.
    pub fn stats(&self, policy: &dyn CachePolicy, bytes_per_entry: usize) -> CacheStats {
        CacheStats::new(policy, self, bytes_per_entry)
    }
}
