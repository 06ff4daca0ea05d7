//! Blocks of each type, in lanes.

use super::super::lanes::Lanes;
use super::Inputs;
use super::tile;
use crate::packed::{Block, Brains, Bytes, Halves, Nibbles, ROWS, RaisedNibbles, Singles, VALUES};

/// A block of any type.
pub(super) trait Multiplied: Block {
    /// `[N, columns]` inputs with the blocks `[columns]` of sixteen rows: `[N, 16]`.
    fn product<L: Lanes>(lanes: L, inputs: Inputs<'_>, blocks: &[Self], sums: &mut [f32]);

    /// The values.
    fn unpack<L: Lanes>(&self, lanes: L, panel: &mut [[f32; ROWS]; VALUES]);
}

macro_rules! multiplied {
    ($($block:ident),* by $product:path, $unpack:path) => {
        $(impl Multiplied for $block {
            #[inline(always)]
            fn product<L: Lanes>(lanes: L, inputs: Inputs<'_>, blocks: &[Self], sums: &mut [f32]) {
                $product(lanes, inputs, blocks, sums);
            }

            #[inline(always)]
            fn unpack<L: Lanes>(&self, lanes: L, panel: &mut [[f32; ROWS]; VALUES]) {
                $unpack(lanes, self, panel);
            }
        })*
    };
}

multiplied!(Bytes by tile::integers, tile::unpack);
multiplied!(Nibbles, RaisedNibbles by tile::digits, tile::unpack);
multiplied!(Singles, Halves, Brains by tile::floats, tile::widen);

/// A block of floats.
pub(super) trait Floats: Block {
    /// Value `i` of each row.
    fn value<L: Lanes>(&self, lanes: L, i: usize) -> L::Floats;
}

impl Floats for Singles {
    #[inline(always)]
    fn value<L: Lanes>(&self, lanes: L, i: usize) -> L::Floats {
        lanes.load(&self.values[i])
    }
}

impl Floats for Halves {
    #[inline(always)]
    fn value<L: Lanes>(&self, lanes: L, i: usize) -> L::Floats {
        lanes.halves(&self.values[i])
    }
}

impl Floats for Brains {
    #[inline(always)]
    fn value<L: Lanes>(&self, lanes: L, i: usize) -> L::Floats {
        lanes.brains(&self.values[i])
    }
}

/// A block whose values are `scale·q + minimum`.
pub(super) trait Scaled: Block {
    /// Which values of a quarter stand in each of its pairs.
    const PLACES: [[usize; 2]; 4];

    /// Values `8·quarter` to `8·quarter + 7` of each row, as pairs of integers.
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4];

    /// Of each row.
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats;

    /// Of each row, whose scales are these.
    fn minima<L: Lanes>(&self, lanes: L, scales: L::Floats) -> L::Floats;
}

impl Scaled for Bytes {
    const PLACES: [[usize; 2]; 4] = [[0, 1], [2, 3], [4, 5], [6, 7]];

    #[inline(always)]
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4] {
        let [a, b, c, d] = &self.pairs.as_chunks::<4>().0[quarter];
        [lanes.bytes(a), lanes.bytes(b), lanes.bytes(c), lanes.bytes(d)]
    }

    #[inline(always)]
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats {
        lanes.halves(&self.scales)
    }

    #[inline(always)]
    fn minima<L: Lanes>(&self, lanes: L, _: L::Floats) -> L::Floats {
        lanes.floats(0.0)
    }
}

/// The pairs of a word of nibbles.
const PAIRED: [[usize; 2]; 4] = [[0, 2], [4, 6], [1, 3], [5, 7]];

impl Scaled for Nibbles {
    const PLACES: [[usize; 2]; 4] = PAIRED;

    #[inline(always)]
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4] {
        lanes.nibbles(&self.words[quarter])
    }

    #[inline(always)]
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats {
        lanes.halves(&self.scales)
    }

    /// `d·(q − 8)`.
    #[inline(always)]
    fn minima<L: Lanes>(&self, lanes: L, scales: L::Floats) -> L::Floats {
        lanes.times(scales, -8.0)
    }
}

impl Scaled for RaisedNibbles {
    const PLACES: [[usize; 2]; 4] = PAIRED;

    #[inline(always)]
    fn pairs<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Pairs; 4] {
        lanes.nibbles(&self.words[quarter])
    }

    #[inline(always)]
    fn scales<L: Lanes>(&self, lanes: L) -> L::Floats {
        lanes.halves(&self.scales)
    }

    #[inline(always)]
    fn minima<L: Lanes>(&self, lanes: L, _: L::Floats) -> L::Floats {
        lanes.halves(&self.minima)
    }
}

/// A block of nibbles.
pub(super) trait Nibbled: Scaled {
    /// Values `8·quarter` to `8·quarter + 3` of each row, and the next four.
    fn quads<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Quads; 2];
}

impl Nibbled for Nibbles {
    #[inline(always)]
    fn quads<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Quads; 2] {
        lanes.quads(&self.words[quarter])
    }
}

impl Nibbled for RaisedNibbles {
    #[inline(always)]
    fn quads<L: Lanes>(&self, lanes: L, quarter: usize) -> [L::Quads; 2] {
        lanes.quads(&self.words[quarter])
    }
}
