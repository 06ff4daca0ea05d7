//! Which keys the lines of a tile see: a part of the far list, then a run of slots.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::fetch::Lines;
use super::tile::Tile;

/// Keys that are seen from afar, by their place in the far list.
pub(super) const FAR: usize = 0;

/// Both kinds of keys: the near ones, by their slot, come second.
pub(super) const KINDS: usize = 2;

/// What each line of a tile sees, in shared memory: for either kind the first place and one behind the last.
#[derive(CubeType)]
pub(super) struct Seen {
    /// `[KINDS, lines]`.
    starts: SharedMemory<u32>,
    /// `[KINDS, lines]`.
    ends: SharedMemory<u32>,
    #[cube(comptime)]
    tile: Tile,
}

/// A run of places.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Run {
    pub(super) start: u32,
    /// One behind the last.
    pub(super) end: u32,
}

/// Numbers of 32 bits that [`Seen`] takes of shared memory.
pub(super) fn shared(tile: Tile) -> usize {
    2 * KINDS * tile.lines
}

#[cube]
impl Seen {
    /// Of lines `first..`, from `looks`, `[R, T, 4]`. The units wait for each other before they use it.
    pub(super) fn fetch(looks: &Tensor<i32>, lines: &Lines, first: usize, #[comptime] tile: Tile) -> Seen {
        let mut starts = SharedMemory::<u32>::new(comptime!(KINDS * tile.lines));
        let mut ends = SharedMemory::<u32>::new(comptime!(KINDS * tile.lines));
        let place = UNIT_POS as usize;
        if place < comptime!(tile.lines) {
            let line = first + place;
            let there = line < lines.count;
            let token = line / lines.sharing;
            let look = lines.row % looks.shape(0) * looks.stride(0) + token * looks.stride(1);
            #[unroll]
            for kind in 0..KINDS {
                let mut start = 0u32;
                let mut end = 0u32;
                if there {
                    start = looks[look + 2 * kind] as u32;
                    end = looks[look + 2 * kind + 1] as u32;
                }
                starts[kind * comptime!(tile.lines) + place] = start;
                ends[kind * comptime!(tile.lines) + place] = end;
            }
        }
        Seen { starts, ends, tile }
    }

    /// What a line of the tile sees of one kind.
    pub(super) fn of(&self, kind: usize, line: usize) -> Run {
        let place = kind * comptime!(self.tile.lines) + line;
        Run { start: self.starts[place], end: self.ends[place] }
    }

    /// From the first that any line sees to the last; the start is not before the end if none sees any.
    pub(super) fn hull(&self, kind: usize) -> Run {
        let mut start = u32::MAX.runtime();
        let mut end = 0u32.runtime();
        for line in 0..comptime!(self.tile.lines) {
            let run = self.of(kind, line);
            if run.start < run.end {
                start = min(start, run.start);
                end = max(end, run.end);
            }
        }
        Run { start, end }
    }
}
