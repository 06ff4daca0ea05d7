//! What one cube works on, and how its units share it.
//!
//! A *line* is one query head of one token. The query heads that share a key head follow each other, token by token, so
//! that the keys a cube fetches serve all of them.
//!
//! ```text
//!                    passing: keys, block by block (in the kernel of the keys' gradients: lines)
//!                  ┌───────────────┐
//! held: lines      │    scores     │    unit (x, y) has the rows y, y + SIDE, … of what is held; of each row the
//! (there: keys)    │               │    columns x, x + SIDE, … of the scores, and the same elements of the head
//!                  └───────────────┘
//! ```

/// Units along each side of a cube.
pub(super) const SIDE: usize = 8;

/// Shared memory that a cube takes at most, in bytes, even where the device has more: other cubes are to run beside it
/// on the same processor.
const LARGEST: usize = 48 * 1024;

/// How much a cube takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    /// `D`, the width of a head.
    pub(super) width: usize,
    /// Lines or keys that it holds from beginning to end, a multiple of [`SIDE`], at most all units.
    pub(super) held: usize,
    /// Keys or lines of a block that passes by, a multiple of [`SIDE`], at most all units.
    pub(super) passing: usize,
}

impl Tile {
    /// The largest tile whose shared memory, `numbers` of 32 bits, fits into `bytes`; `None` where none does.
    pub(super) fn fitting(width: usize, bytes: usize, numbers: fn(Tile) -> usize) -> Option<Self> {
        let tiles = [(32, 32), (32, 16), (16, 16), (16, 8), (8, 8)];
        let mut tiles = tiles.into_iter().map(|(held, passing)| Tile { width, held, passing });
        tiles.find(|tile| 4 * numbers(*tile) <= bytes.min(LARGEST))
    }

    /// Elements of a head that a unit has. Those beyond the width are 0.
    pub(super) fn columns(self) -> usize {
        self.width.div_ceil(SIDE)
    }

    /// From one line or key to the next in shared memory. Odd, so that units that read one element of neighbouring rows
    /// find them in different banks.
    pub(super) fn pitch(self) -> usize {
        self.columns() * SIDE + 1
    }

    /// From one row of scores to the next.
    pub(super) fn score_pitch(self) -> usize {
        self.passing + 1
    }

    /// Rows that a unit has.
    pub(super) fn unit_held(self) -> usize {
        self.held / SIDE
    }

    /// Scores that a unit has in each of them.
    pub(super) fn unit_passing(self) -> usize {
        self.passing / SIDE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_tile_that_fits_is_taken() {
        let numbers = |tile: Tile| (tile.held + 2 * tile.passing) * tile.pitch();
        let sizes = |width, bytes| Tile::fitting(width, bytes, numbers).map(|tile| (tile.held, tile.passing));
        assert_eq!(sizes(64, 32 << 10), Some((32, 32)));
        assert_eq!(sizes(64, 16 << 10), Some((16, 16)));
        assert_eq!(sizes(64, 1 << 20), Some((32, 32)));
        assert_eq!(sizes(1 << 14, 1 << 20), None);
    }
}
