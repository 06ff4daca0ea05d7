//! Ranges in shared memory: which keys a line sees, or which tokens look at a key.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::fetch::Lines;

/// Keys that are seen from afar. Their places are those in the far list.
pub(super) const FAR: usize = 0;

/// Keys of the near run. Their places are their slots.
pub(super) const NEAR: usize = 1;

/// How many kinds of keys there are.
pub(super) const KINDS: usize = 2;

/// From `start` to before `end`.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Places of one kind of keys that a line sees: none beyond the last line. `looks` is `[R, T, 4]`.
#[cube]
pub(super) fn look(looks: &Tensor<i32>, lines: &Lines, line: usize, end: usize, kind: usize) -> Run {
    let mut run = Run { start: 0u32.runtime(), end: 0u32.runtime() };
    if line < end {
        let token = line / lines.sharing;
        let place = lines.row % looks.shape(0) * looks.stride(0) + token * looks.stride(1) + 2 * kind;
        run.start = looks[place] as u32;
        run.end = looks[place + 1] as u32;
    }
    run
}

/// Some runs that a cube's units share.
#[derive(CubeType)]
pub(super) struct Runs {
    starts: SharedMemory<u32>,
    ends: SharedMemory<u32>,
}

#[cube]
impl Runs {
    /// Room for `count`.
    pub(super) fn new(#[comptime] count: usize) -> Runs {
        Runs { starts: SharedMemory::<u32>::new(count), ends: SharedMemory::<u32>::new(count) }
    }

    pub(super) fn set(&mut self, place: usize, run: Run) {
        self.starts[place] = run.start;
        self.ends[place] = run.end;
    }

    pub(super) fn get(&self, place: usize) -> Run {
        Run { start: self.starts[place], end: self.ends[place] }
    }

    /// From the first start to the last end of the `count` runs from `from` on, leaving out the empty ones. Nothing is
    /// between them if all are.
    pub(super) fn hull(&self, from: usize, #[comptime] count: usize) -> Run {
        let mut start = u32::MAX.runtime();
        let mut end = 0u32.runtime();
        for place in 0..count {
            let run = self.get(from + place);
            if run.start < run.end {
                start = min(start, run.start);
                end = max(end, run.end);
            }
        }
        Run { start, end }
    }
}
