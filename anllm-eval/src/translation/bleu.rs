//! BLEU (Papineni et al. 2002) as sacreBLEU computes it by default: n-grams up to 4, tokens of `13a`, exponential
//! smoothing.

use std::collections::HashMap;

use super::tokens::tokens;

/// The longest n-gram.
const ORDER: usize = 4;

/// How it was computed, in sacreBLEU's words.
pub const BLEU_SIGNATURE: &str = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";

/// What a translation adds to a corpus: counts that add up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BleuCounts {
    matched: [usize; ORDER],
    possible: [usize; ORDER],
    translated: usize,
    expected: usize,
}

impl BleuCounts {
    /// Of a translation and its reference.
    pub fn of(translation: &str, reference: &str) -> Self {
        let (translated, expected) = (tokens(translation), tokens(reference));
        let mut counts = Self { translated: translated.len(), expected: expected.len(), ..Self::default() };
        for order in 0..ORDER {
            let (found, known) = (grams(&translated, order + 1), grams(&expected, order + 1));
            counts.possible[order] = found.values().sum();
            counts.matched[order] =
                found.iter().map(|(gram, count)| (*count).min(known.get(gram).copied().unwrap_or(0))).sum();
        }
        counts
    }

    /// The corpus of both.
    pub fn add(&mut self, other: &Self) {
        for order in 0..ORDER {
            self.matched[order] += other.matched[order];
            self.possible[order] += other.possible[order];
        }
        self.translated += other.translated;
        self.expected += other.expected;
    }

    /// BLEU, from 0 to 100.
    pub fn score(&self) -> f64 {
        if self.matched == [0; ORDER] {
            return 0.0;
        }
        let mut halved = 1.0;
        let mut logarithms = 0.0;
        for (matched, possible) in self.matched.iter().zip(self.possible) {
            // A corpus too short for an n-gram of this order has no score.
            if possible == 0 {
                return 0.0;
            }
            let precision = if *matched == 0 {
                halved *= 2.0;
                100.0 / (halved * possible as f64)
            } else {
                100.0 * *matched as f64 / possible as f64
            };
            logarithms += precision.ln();
        }
        let brevity = match self.translated < self.expected {
            true if self.translated == 0 => return 0.0,
            true => (1.0 - self.expected as f64 / self.translated as f64).exp(),
            false => 1.0,
        };
        brevity * (logarithms / ORDER as f64).exp()
    }
}

/// How often each run of `order` tokens occurs.
fn grams(tokens: &[String], order: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(order) {
        *counts.entry(gram).or_insert(0) += 1;
    }
    counts
}
