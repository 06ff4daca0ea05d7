//! Which of a cache's slots a token reaches.

use std::ops::Range;

use anllm_core::Reach;

/// The keys that the token reaches, where they are: no list is made of them.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a> {
    far: &'a [usize],
    /// The first near one.
    near: usize,
    near_count: usize,
}

impl<'a> Slots<'a> {
    /// None where it reaches nothing.
    pub(super) fn of(reach: &'a Reach) -> Option<Self> {
        let look = reach.looks().first()?;
        Some(Self { far: &reach.far()[look.far.clone()], near: look.near.start, near_count: look.near.len() })
    }

    pub(super) fn count(&self) -> usize {
        self.far.len() + self.near_count
    }

    /// Takes as many numbers as there is room for in `block` off `numbers`, and says where they are. Returns how many.
    #[inline(always)]
    pub(super) fn take(&self, numbers: &mut Range<usize>, block: &mut [usize]) -> usize {
        let count = numbers.len().min(block.len());
        for (slot, number) in block.iter_mut().zip(numbers.take(count)) {
            *slot = match self.far.get(number) {
                Some(slot) => *slot,
                None => self.near + (number - self.far.len()),
            };
        }
        count
    }
}
