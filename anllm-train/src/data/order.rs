//! The order of examples: a function of the seed and the number of the draw alone, so that a run can be taken up
//! anywhere.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

/// How many rows a source has, and how often it is drawn from in relation to the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Number of rows.
    pub rows: usize,
    /// Weight, above 0.
    pub weight: f64,
}

/// Draws rows: sources in turn by their weights, each source's rows in a new random order every time round.
#[derive(Debug, Clone)]
pub struct Order {
    seed: u64,
    shares: Vec<Share>,
    drawn: Vec<usize>,
    permutations: Vec<(usize, Vec<u32>)>,
}

/// One drawn row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Draw {
    /// Number of the source.
    pub source: usize,
    /// Number of the row in it.
    pub row: usize,
}

impl Order {
    /// An order over sources, of which at least one has rows; those without are passed over.
    pub fn new(seed: u64, shares: Vec<Share>) -> Self {
        let drawn = vec![0; shares.len()];
        let permutations = vec![(usize::MAX, Vec::new()); shares.len()];
        Self { seed, shares, drawn, permutations }
    }

    /// Passes over `count` draws.
    pub fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(source) = self.next_source() {
                self.drawn[source] += 1;
            }
        }
    }

    /// The next row; none where no source has any.
    pub fn draw(&mut self) -> Option<Draw> {
        let source = self.next_source()?;
        let number = self.drawn[source];
        self.drawn[source] += 1;
        let rows = self.shares[source].rows;
        let (round, at) = (number / rows, number % rows);
        if self.permutations[source].0 != round {
            self.permutations[source] = (round, self.permutation(source, round));
        }
        Some(Draw { source, row: self.permutations[source].1[at] as usize })
    }

    /// The source that is furthest behind its weight; the first of equals.
    fn next_source(&self) -> Option<usize> {
        let behind = |i: usize| (self.drawn[i] as f64 + 1.0) / self.shares[i].weight;
        (0..self.shares.len()).filter(|&i| self.shares[i].rows > 0).min_by(|&a, &b| behind(a).total_cmp(&behind(b)))
    }

    fn permutation(&self, source: usize, round: usize) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(((source as u64) << 40) + round as u64);
        let mut rows: Vec<u32> = (0..self.shares[source].rows as u32).collect();
        rows.shuffle(&mut random);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        let share = |rows, weight| Share { rows, weight };
        Order::new(7, vec![share(10, 3.0), share(0, 5.0), share(4, 1.0)])
    }

    #[test]
    fn every_row_comes_once_a_round_and_weights_hold() {
        let mut order = order();
        let draws: Vec<Draw> = (0..40).filter_map(|_| order.draw()).collect();
        let of = |source: usize| draws.iter().filter(|d| d.source == source).map(|d| d.row).collect::<Vec<_>>();
        assert_eq!((of(0).len(), of(1).len(), of(2).len()), (30, 0, 10));
        for round in of(0).chunks(10) {
            let mut rows = round.to_vec();
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(of(0)[..10], of(0)[10..20], "each round has its own order");
    }

    #[test]
    fn skipping_is_drawing() {
        let (mut drawn, mut skipped) = (order(), order());
        for _ in 0..23 {
            drawn.draw();
        }
        skipped.skip(23);
        assert_eq!(drawn.draw(), skipped.draw());
        assert_eq!(Order::new(1, Vec::new()).draw(), None);
    }
}
