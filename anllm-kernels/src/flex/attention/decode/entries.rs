//! Entries of a cache, of whatever type it holds, as 32-bit floats.

use burn::tensor::{DType, Element};
use burn_flex::FlexTensor;
use bytemuck::Pod;
use half::{bf16, f16};

use super::super::super::fetch::fetch;
use super::super::super::lanes::{Lanes, OnLanes, run};
use super::super::super::tensors::View;
use super::super::super::widen::Widen;
use super::BLOCK;

/// Keys or values, `[B, S, K, D]`, where they lie.
#[derive(Clone, Copy)]
pub(super) enum Entries<'a> {
    Single(View<'a>),
    Half(View<'a, f16>),
    Brain(View<'a, bf16>),
}

impl<'a> Entries<'a> {
    /// Of a tensor that [`laid_out`](super::super::super::tensors::laid_out) returned, of one of these types.
    pub(super) fn of(x: &'a FlexTensor) -> Self {
        match x.dtype() {
            DType::F16 => Self::Half(View::of(x)),
            DType::BF16 => Self::Brain(View::of(x)),
            _ => Self::Single(View::of(x)),
        }
    }

    /// Those of row `row`.
    pub(super) fn row(self, row: usize) -> Self {
        match self {
            Self::Single(view) => Self::Single(view.from(row, 0)),
            Self::Half(view) => Self::Half(view.from(row, 0)),
            Self::Brain(view) => Self::Brain(view.from(row, 0)),
        }
    }

    /// Asks for the entry in `slot`, `heads` of them: where they lie side by side, all will come to be read, one after the
    /// other.
    #[inline(always)]
    pub(super) fn fetch(self, slot: usize, heads: usize) {
        match self {
            Self::Single(view) => fetch(view.several(0, slot, heads)),
            Self::Half(view) => fetch(view.several(0, slot, heads)),
            Self::Brain(view) => fetch(view.several(0, slot, heads)),
        }
    }

    /// The entries in `slots`, at most [`BLOCK`]. Those that are no 32-bit floats become such in `room`.
    #[inline(always)]
    pub(super) fn lines<'b>(self, slots: &[usize], groups: usize, room: &'b mut Vec<f32>) -> Lines<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Single(view) => {
                let mut starts = [0; BLOCK];
                starts.iter_mut().zip(slots).for_each(|(start, slot)| *start = view.start(0, *slot, 0));
                Lines {
                    numbers: view.data(),
                    starts,
                    next: view.start(0, 0, 1) - view.start(0, 0, 0),
                    width: view.width(),
                }
            }
            Self::Half(view) => Lines::widened(view, slots, groups, room),
            Self::Brain(view) => Lines::widened(view, slots, groups, room),
        }
    }
}

/// Keys or values of some entries, `D` numbers for each entry and head.
pub(super) struct Lines<'a> {
    numbers: &'a [f32],
    /// Where each entry starts.
    starts: [usize; BLOCK],
    /// From a head to the next.
    next: usize,
    /// `D`.
    width: usize,
}

impl<'a> Lines<'a> {
    #[inline(always)]
    fn widened<E: Widen + Element + Pod>(
        view: View<'_, E>,
        slots: &[usize],
        groups: usize,
        room: &'a mut Vec<f32>,
    ) -> Self {
        let width = view.width();
        room.resize(slots.len() * groups * width, 0.0);
        run(Widened { view, slots, groups, wide: room });
        let mut starts = [0; BLOCK];
        starts.iter_mut().enumerate().for_each(|(number, start)| *start = number * groups * width);
        Self { numbers: room, starts, next: width, width }
    }

    /// Head `group` of entry `number`.
    #[inline(always)]
    pub(super) fn get(&self, number: usize, group: usize) -> &'a [f32] {
        let start = self.starts[number] + group * self.next;
        &self.numbers[start..start + self.width]
    }
}

/// Entries that become 32-bit floats.
struct Widened<'a, E> {
    view: View<'a, E>,
    slots: &'a [usize],
    groups: usize,
    /// `[slots, K, D]`.
    wide: &'a mut [f32],
}

impl<E: Widen + Element + Pod> OnLanes for Widened<'_, E> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { view, slots, groups, wide } = self;
        let mut wide = wide.chunks_exact_mut(view.width());
        for &slot in slots {
            for group in 0..groups {
                let Some(wide) = wide.next() else { return };
                let (narrow, narrow_rest) = view.get(0, slot, group).as_chunks();
                let (wide, wide_rest) = wide.as_chunks_mut();
                for (wide, narrow) in wide.iter_mut().zip(narrow) {
                    *wide = lanes.rows(E::wide_on(lanes, narrow));
                }
                for (wide, narrow) in wide_rest.iter_mut().zip(narrow_rest) {
                    *wide = narrow.wide();
                }
            }
        }
    }
}
