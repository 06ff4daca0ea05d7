//! Small pieces of work on one stretch of memory, shared between threads.

use std::iter::Enumerate;
use std::slice::ChunksMut;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

/// `work` on each piece of `numbers`, of `piece` of them; it is told the piece's number.
///
/// Every thread has a part of its own, which it goes through from front to back, so that what it asks for ahead is what it
/// reads next; then it helps others from the back. They come to the end together, and one that was asleep takes part from
/// when it is there. Worth it for pieces of some microseconds, where cutting a range in halves and stealing them costs
/// more.
pub(super) fn share<T: Send>(numbers: &mut [T], piece: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let threads = rayon::current_num_threads();
    let each = numbers.len().div_ceil(piece).div_ceil(threads).max(1);
    let parts: Vec<Mutex<Enumerate<ChunksMut<'_, T>>>> =
        numbers.chunks_mut(each * piece).map(|part| Mutex::new(part.chunks_mut(piece).enumerate())).collect();
    // A panic in `work` is not while the lock is held.
    let take = |part: usize, own: bool| {
        let mut part = parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        if own { part.next() } else { part.next_back() }
    };
    (0..parts.len()).into_par_iter().with_max_len(1).for_each(|own| {
        for part in (own..parts.len()).chain(0..own) {
            while let Some((number, numbers)) = take(part, part == own) {
                work(part * each + number, numbers);
            }
        }
    });
}
