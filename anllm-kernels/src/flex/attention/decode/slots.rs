//! Which of a cache's slots a token reaches.

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

    #[inline(always)]
    pub(super) fn get(&self, number: usize) -> usize {
        match self.far.get(number) {
            Some(slot) => *slot,
            None => self.near + (number - self.far.len()),
        }
    }
}
