//! What one cube works on, and how it is shared among the cube's units.
//!
//! ```text
//!               keys, one column of units each: x, x + SIDE, …
//!          ┌ ─ ─ ─ ─ ─ ─ ┐
//! lines    │ scores      │    a unit (x, y) holds every SIDE-th line from y on, and of those every SIDE-th key,
//! y, y+S…  │             │    or every SIDE-th element of the head's width, from x on
//!          └ ─ ─ ─ ─ ─ ─ ┘
//! ```
//!
//! A *line* is one query head of one token. The query heads that share a key head follow each other, token by token, so
//! that they share the keys that a cube fetches.

/// Units along each side of a cube.
pub(super) const SIDE: usize = 8;

/// Units of a cube.
pub(super) const UNITS: usize = SIDE * SIDE;

/// Shared memory that a cube takes at most, in bytes, also where the device offers more: other cubes are to run beside
/// it on the same processor.
const LARGEST: usize = 48 * 1024;

/// How many lines and keys a cube takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    /// `D`, the width of a head.
    pub(super) width: usize,
    /// A multiple of [`SIDE`].
    pub(super) lines: usize,
    /// A multiple of [`SIDE`].
    pub(super) keys: usize,
}

impl Tile {
    /// The largest tile whose shared memory, `numbers` of 32 bits, fits into `bytes`; `None` where none does.
    pub(super) fn fitting(width: usize, bytes: usize, numbers: impl Fn(Tile) -> usize) -> Option<Self> {
        let tiles = [(32, 32), (32, 16), (16, 16), (16, 8), (8, 8)].map(|(lines, keys)| Tile { width, lines, keys });
        tiles.into_iter().find(|tile| 4 * numbers(*tile) <= bytes.min(LARGEST))
    }

    /// Elements of a head that a unit holds. Those beyond the width are 0.
    pub(super) fn columns(self) -> usize {
        self.width.div_ceil(SIDE)
    }

    /// From one line or key to the next in shared memory. Odd, so that units that read the same element of neighbouring
    /// lines find it in different banks.
    pub(super) fn pitch(self) -> usize {
        self.columns() * SIDE + 1
    }

    /// From one line's scores to the next's.
    pub(super) fn score_pitch(self) -> usize {
        self.keys + 1
    }

    /// Lines that a unit holds.
    pub(super) fn unit_lines(self) -> usize {
        self.lines / SIDE
    }

    /// Keys that a unit holds.
    pub(super) fn unit_keys(self) -> usize {
        self.keys / SIDE
    }
}
