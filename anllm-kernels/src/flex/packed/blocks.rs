//! Blocks of each type, in lanes.

use super::super::lanes::Lanes;
use crate::packed::{Block, Bytes, Nibbles, RaisedNibbles};

/// A block whose values are `scale·(q − SHIFT) + minimum`.
pub(super) trait Multiplied: Block {
    /// What is subtracted from the stored integers.
    const SHIFT: i32;

    /// Values `8·quarter` to `8·quarter + 7` of each row, as pairs of integers.
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4];

    /// Of each row.
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats;

    /// Of each row, where there are any.
    #[inline(always)]
    fn minima<L: Lanes>(&self, _: L) -> Option<L::Floats> {
        None
    }
}

impl Multiplied for Bytes {
    const SHIFT: i32 = 0;

    #[inline(always)]
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4] {
        let [a, b, c, d] = &self.pairs.as_chunks::<4>().0[quarter];
        [lanes.bytes(a), lanes.bytes(b), lanes.bytes(c), lanes.bytes(d)]
    }

    #[inline(always)]
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats {
        lanes.halves(&self.scales)
    }
}

impl Multiplied for Nibbles {
    const SHIFT: i32 = 8;

    #[inline(always)]
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4] {
        lanes.nibbles(&self.words[quarter])
    }

    #[inline(always)]
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats {
        lanes.halves(&self.scales)
    }
}

impl Multiplied for RaisedNibbles {
    const SHIFT: i32 = 0;

    #[inline(always)]
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4] {
        lanes.nibbles(&self.words[quarter])
    }

    #[inline(always)]
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats {
        lanes.halves(&self.scales)
    }

    #[inline(always)]
    fn minima<L: Lanes>(&self, lanes: L) -> Option<L::Floats> {
        Some(lanes.halves(&self.minima))
    }
}
