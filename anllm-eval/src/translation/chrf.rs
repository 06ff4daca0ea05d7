//! chrF (Popović 2015) as sacreBLEU computes it by default: character n-grams up to 6, recall counted twice.

use std::collections::HashMap;

/// The longest n-gram.
const ORDER: usize = 6;
/// How much more recall counts than precision.
const BETA: f64 = 2.0;

/// How it was computed, in sacreBLEU's words.
pub const CHRF_SIGNATURE: &str = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no";

/// What a translation adds to a corpus: counts that add up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChrfCounts {
    translated: [usize; ORDER],
    expected: [usize; ORDER],
    matched: [usize; ORDER],
}

impl ChrfCounts {
    /// Of a translation and its reference.
    pub fn of(translation: &str, reference: &str) -> Self {
        let characters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>();
        let (translated, expected) = (characters(translation), characters(reference));
        let mut counts = Self::default();
        for order in 0..ORDER {
            let (found, known) = (grams(&translated, order + 1), grams(&expected, order + 1));
            counts.expected[order] = known.values().sum();
            // Where the reference has no n-gram of this length, those of the translation are not held against it.
            counts.translated[order] = if known.is_empty() { 0 } else { found.values().sum() };
            counts.matched[order] =
                found.iter().map(|(gram, count)| (*count).min(known.get(gram).copied().unwrap_or(0))).sum();
        }
        counts
    }

    /// The corpus of both.
    pub fn add(&mut self, other: &Self) {
        for order in 0..ORDER {
            self.translated[order] += other.translated[order];
            self.expected[order] += other.expected[order];
            self.matched[order] += other.matched[order];
        }
    }

    /// chrF2, from 0 to 100.
    pub fn score(&self) -> f64 {
        let (mut sum_precision, mut sum_recall, mut orders) = (0.0, 0.0, 0);
        for order in 0..ORDER {
            let [translated, expected, matched] =
                [self.translated[order], self.expected[order], self.matched[order]].map(|count| count as f64);
            if translated > 0.0 && expected > 0.0 {
                sum_precision += matched / translated;
                sum_recall += matched / expected;
                orders += 1;
            }
        }
        if orders == 0 {
            return 0.0;
        }
        let (precision, recall) = (sum_precision / f64::from(orders), sum_recall / f64::from(orders));
        let weighted = BETA * BETA * precision + recall;
        if weighted > 0.0 { 100.0 * (1.0 + BETA * BETA) * precision * recall / weighted } else { 0.0 }
    }
}

fn grams(characters: &[char], order: usize) -> HashMap<&[char], usize> {
    let mut counts = HashMap::new();
    for gram in characters.windows(order) {
        *counts.entry(gram).or_insert(0) += 1;
    }
    counts
}
