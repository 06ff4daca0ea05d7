//! The control: as many entries as a budget allows, drawn at random. What another policy keeps must be worth more.

use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::CachePolicy;
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// Attention over the open segment, and over so many tokens of the document, drawn without regard to what they are.
///
/// Each position has a number from a hash of the seed; at any time those with the lowest numbers so far are in (a
/// bottom-k sample, Cohen and Kaplan 2007: uniform at any time, and what is out once never comes back). Anchors see what
/// every token sees.
#[derive(Debug)]
pub struct RandomPolicy {
    entries: NonZeroUsize,
    seed: u64,
    bar: Mutex<Bar>,
}

impl RandomPolicy {
    /// `entries` of each document, by `seed`.
    pub fn new(entries: NonZeroUsize, seed: u64) -> Self {
        Self { entries, seed, bar: Mutex::default() }
    }

    /// Whether `position` is in the sample once `newest` has come.
    fn drawn(&self, position: usize, newest: usize) -> bool {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        number(self.seed, position) <= bar.at(newest, self.entries.get(), self.seed)
    }
}

impl CachePolicy for RandomPolicy {
    fn name(&self) -> String {
        let seed = if self.seed == 0 { String::new() } else { format!(",seed={}", self.seed) };
        format!("random:{}{seed}", self.entries)
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.explain(query, key).allowed()
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        match apart(query, key) {
            Some(blocked) => blocked,
            None if key.segment == query.segment => Verdict::SameSegment,
            None if self.drawn(key.position, query.position) => Verdict::Drawn,
            None => Verdict::NotDrawn,
        }
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        let open = !newest.anchor && entry.segment == newest.segment;
        // The next token counts already: it may push one out before anybody looks.
        entry.document == newest.document && (open || self.drawn(entry.position, newest.position + 1))
    }
}

/// The number of a position; all bits depend on all bits (SplitMix64, Steele et al. 2014).
fn number(seed: u64, position: usize) -> u64 {
    let mut x = seed.wrapping_add((position as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The highest number that is in, at every position so far. It only falls, and ever more rarely: after `n` positions it
/// has fallen about `k·ln(n/k)` times.
#[derive(Debug, Default)]
struct Bar {
    /// The lowest numbers so far.
    lowest: BinaryHeap<u64>,
    /// Positions counted.
    counted: usize,
    /// From which position on which number is the highest that is in.
    falls: Vec<(usize, u64)>,
}

impl Bar {
    /// The bar once `newest` has come.
    fn at(&mut self, newest: usize, entries: usize, seed: u64) -> u64 {
        while self.counted <= newest {
            let number = number(seed, self.counted);
            if self.lowest.len() < entries {
                self.lowest.push(number);
                if self.lowest.len() == entries {
                    self.falls.extend(self.lowest.peek().map(|highest| (self.counted, *highest)));
                }
            } else if self.lowest.peek().is_some_and(|highest| number < *highest) {
                self.lowest.pop();
                self.lowest.push(number);
                self.falls.extend(self.lowest.peek().map(|highest| (self.counted, *highest)));
            }
            self.counted += 1;
        }
        let falls = self.falls.partition_point(|(from, _)| *from <= newest);
        falls.checked_sub(1).map_or(u64::MAX, |last| self.falls[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_kept_at_every_position() {
        let policy = RandomPolicy::new(NonZeroUsize::new(5).unwrap(), 3);
        for newest in 0..200 {
            let drawn = (0..=newest).filter(|&position| policy.drawn(position, newest)).count();
            assert_eq!(drawn, 5.min(newest + 1), "at {newest}");
        }
        // The same whoever asks first.
        let other = RandomPolicy::new(NonZeroUsize::new(5).unwrap(), 3);
        for newest in (0..200).rev() {
            for position in 0..=newest {
                assert_eq!(policy.drawn(position, newest), other.drawn(position, newest));
            }
        }
    }

    #[test]
    fn every_part_of_the_text_is_drawn_from() {
        let count = |seed| {
            let policy = RandomPolicy::new(NonZeroUsize::new(100).unwrap(), seed);
            (0..500).filter(|&position| policy.drawn(position, 999)).count()
        };
        let in_first_half: usize = (0..20).map(count).sum();
        assert!((900..1100).contains(&in_first_half), "{in_first_half} of 2000");
    }

    #[test]
    fn what_is_held_grows_with_the_logarithm() {
        let policy = RandomPolicy::new(NonZeroUsize::new(16).unwrap(), 0);
        policy.drawn(0, 100_000);
        let falls = policy.bar.lock().unwrap().falls.len();
        assert!(falls < 16 * 12, "{falls}");
    }
}
