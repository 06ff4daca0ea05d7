//! Entries of a cache, of whatever type it holds, as 32-bit floats.

use burn::tensor::DType;
use burn_flex::FlexTensor;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::super::tensors::View;

/// Keys or values, `[B, S, K, D]`, where they lie.
#[derive(Clone, Copy)]
pub(super) enum Entries<'a> {
    Single(View<'a>),
    Half(View<'a, f16>),
    Brain(View<'a, bf16>),
}

impl<'a> Entries<'a> {
    /// Of a tensor that [`laid_out`](super::super::tensors::laid_out) returned, of one of these types.
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

    /// Head `group` of the `count` entries in the slots that `slot` names. Those that are no 32-bit floats become such in
    /// `room`, once for all queries that look at them.
    #[inline(always)]
    pub(super) fn of_group<'b, F: Fn(usize) -> usize>(
        self,
        group: usize,
        count: usize,
        slot: F,
        room: &'b mut Vec<f32>,
    ) -> Group<'b, F>
    where
        'a: 'b,
    {
        match self {
            Self::Single(view) => Group::Held { view, group, slot },
            Self::Half(view) => Group::made(count, |number| view.get(0, slot(number), group), room),
            Self::Brain(view) => Group::made(count, |number| view.get(0, slot(number), group), room),
        }
    }
}

/// One head's keys or values.
pub(super) enum Group<'a, F> {
    /// Read where they lie.
    Held { view: View<'a>, group: usize, slot: F },
    /// One after another, `width` numbers each.
    Made { numbers: &'a [f32], width: usize },
}

impl<'a, F: Fn(usize) -> usize> Group<'a, F> {
    fn made<'s, E>(count: usize, entry: impl Fn(usize) -> &'s [E], room: &'a mut Vec<f32>) -> Self
    where
        E: 's,
        [E]: HalfFloatSliceExt,
    {
        let width = if count == 0 { 0 } else { entry(0).len() };
        room.resize(count * width, 0.0);
        for (number, made) in room.chunks_exact_mut(width.max(1)).enumerate() {
            entry(number).convert_to_f32_slice(made);
        }
        Self::Made { numbers: room, width }
    }

    /// `D` numbers.
    #[inline(always)]
    pub(super) fn get(&self, number: usize) -> &'a [f32] {
        match self {
            Self::Held { view, group, slot } => view.get(0, slot(number), *group),
            Self::Made { numbers, width } => &numbers[number * width..(number + 1) * width],
        }
    }
}
