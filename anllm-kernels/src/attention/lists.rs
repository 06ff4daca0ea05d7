//! Reaches as integers on the device, for kernels there: what each query looks at, and from the other side, which
//! queries look at a key.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anllm_core::{Look, Reach};
use burn::tensor::backend::Backend;
use burn::tensor::ops::IntTensor;
use burn::tensor::{Int, Tensor, TensorData};

/// Made when first asked for, and kept for all layers. `I` is a backend's tensor of integers.
#[derive(Debug)]
pub(crate) struct Lists<I> {
    ahead: Mutex<Option<Ahead<I>>>,
    back: Mutex<Option<Back<I>>>,
}

/// What queries look at. `R` is the number of reaches, `F` the length of the longest far list, at least 1.
#[derive(Debug, Clone)]
pub(crate) struct Ahead<I> {
    /// Start and end in the far list, start and end of the near run: `[R, T, 4]`.
    pub(crate) looks: I,
    /// Slots of the far keys, `[R, F]`; 0 beyond the end of a list.
    pub(crate) far: I,
}

/// Who looks at keys.
///
/// Queries are given as the first that looks and one behind the last, or as `(T, 0)` for nobody. Those between need not
/// all look.
#[derive(Debug, Clone)]
pub(crate) struct Back<I> {
    /// Queries whose near run holds the slot, `[R, S, 2]`.
    pub(crate) near: I,
    /// Queries that look at the place in the far list, `[R, F, 2]`.
    pub(crate) far: I,
    /// Where each slot's part of `places` starts, and the last one's end: `[R, S + 1]`.
    pub(crate) starts: I,
    /// The places at which a slot stands in the far list, slot after slot: `[R, F]`.
    pub(crate) places: I,
}

impl<I> Default for Lists<I> {
    fn default() -> Self {
        Self { ahead: Mutex::default(), back: Mutex::default() }
    }
}

impl<I: Clone> Lists<I> {
    pub(super) fn ahead<B: Backend<IntTensorPrimitive = I>>(&self, rows: &[Reach], device: &B::Device) -> Ahead<I> {
        let mut held = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let tokens = rows.first().map_or(0, |row| row.looks().len());
            let numbers = |look: &Look| [look.far.start, look.far.end, look.near.start, look.near.end];
            let looks = rows.iter().flat_map(|row| row.looks().iter().flat_map(numbers));
            let far = rows.iter().flat_map(|row| padded(row.far().iter().copied(), longest(rows), 0));
            Ahead {
                looks: upload::<B, 3>(looks, [rows.len(), tokens, 4], device),
                far: upload::<B, 2>(far, [rows.len(), longest(rows)], device),
            }
        };
        held.get_or_insert_with(make).clone()
    }

    pub(super) fn back<B: Backend<IntTensorPrimitive = I>>(&self, rows: &[Reach], device: &B::Device) -> Back<I> {
        let mut held = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let keys = rows.first().map_or(0, Reach::keys);
            let longest = longest(rows);
            let sorted: Vec<_> = rows.iter().map(by_slot).collect();
            let near = rows.iter().flat_map(|row| lookers(row.looks(), |look| look.near.clone(), keys));
            let far = rows.iter().flat_map(|row| lookers(row.looks(), |look| look.far.clone(), longest));
            let starts = sorted.iter().flat_map(|(starts, _)| starts.iter().copied());
            let places = sorted.iter().flat_map(|(_, places)| padded(places.iter().copied(), longest, 0));
            Back {
                near: upload::<B, 3>(near.flatten(), [rows.len(), keys, 2], device),
                far: upload::<B, 3>(far.flatten(), [rows.len(), longest, 2], device),
                starts: upload::<B, 2>(starts, [rows.len(), keys + 1], device),
                places: upload::<B, 2>(places, [rows.len(), longest], device),
            }
        };
        held.get_or_insert_with(make).clone()
    }
}

fn longest(rows: &[Reach]) -> usize {
    // Devices know no empty buffers.
    rows.iter().map(|row| row.far().len()).max().unwrap_or(0).max(1)
}

fn padded(values: impl ExactSizeIterator<Item = usize>, length: usize, with: usize) -> impl Iterator<Item = usize> {
    let missing = length.saturating_sub(values.len());
    values.chain(std::iter::repeat_n(with, missing))
}

fn upload<B: Backend, const N: usize>(
    values: impl Iterator<Item = usize>,
    shape: [usize; N],
    device: &B::Device,
) -> IntTensor<B> {
    let values: Vec<i32> = values.map(|value| value as i32).collect();
    Tensor::<B, N, Int>::from_data(TensorData::new(values, shape), device).into_primitive()
}

/// For each of `count` keys, the first query whose range holds it and one behind the last.
fn lookers(looks: &[Look], range: impl Fn(&Look) -> Range<usize>, count: usize) -> Vec<[usize; 2]> {
    let mut found = vec![[looks.len(), 0]; count];
    let mut unseen = Unseen::new(count);
    for (query, look) in looks.iter().enumerate() {
        unseen.take(range(look), |key| found[key][0] = query);
    }
    let mut unseen = Unseen::new(count);
    for (query, look) in looks.iter().enumerate().rev() {
        unseen.take(range(look), |key| found[key][1] = query + 1);
    }
    found
}

/// Keys that no range has held yet. Each is found once, so that many long ranges cost little more than their number.
struct Unseen {
    /// For each key the next that may be unseen: itself, as long as it is.
    next: Vec<usize>,
}

impl Unseen {
    fn new(count: usize) -> Self {
        Self { next: (0..=count).collect() }
    }

    fn take(&mut self, range: Range<usize>, mut found: impl FnMut(usize)) {
        let mut key = self.from(range.start);
        while key < range.end {
            found(key);
            self.next[key] = key + 1;
            key = self.from(key);
        }
    }

    /// The first unseen key from `key` on.
    fn from(&mut self, key: usize) -> usize {
        let mut end = key;
        while self.next[end] != end {
            end = self.next[end];
        }
        // Later searches go straight there.
        let mut at = key;
        while self.next[at] != end && at != end {
            at = std::mem::replace(&mut self.next[at], end);
        }
        end
    }
}

/// Where each slot's places start, `[S + 1]`, and the places in the far list by slot.
fn by_slot(reach: &Reach) -> (Vec<usize>, Vec<usize>) {
    let mut places: Vec<usize> = (0..reach.far().len()).collect();
    places.sort_by_key(|&place| reach.far()[place]);
    let mut starts = vec![0; reach.keys() + 1];
    for &slot in reach.far() {
        starts[slot + 1] += 1;
    }
    for slot in 0..reach.keys() {
        starts[slot + 1] += starts[slot];
    }
    (starts, places)
}

#[cfg(test)]
mod tests {
    use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Place, Segments};

    use super::*;

    fn places() -> Vec<Place> {
        let documents = [vec![false, false, true, false, true, true, false], vec![true, false, false, true, false]];
        Segments::from_documents(documents.iter().map(Vec::as_slice)).places().to_vec()
    }

    #[test]
    fn lookers_are_the_first_and_the_last_query_that_look() {
        let places = places();
        for policy in [&AnchorPolicy as &dyn CachePolicy, &FullPolicy] {
            let reach = policy.reach(&places, &places);
            for (which, count) in [(0, reach.keys()), (1, reach.far().len() + 3)] {
                let range = |look: &Look| if which == 0 { look.near.clone() } else { look.far.clone() };
                for (key, found) in lookers(reach.looks(), range, count).into_iter().enumerate() {
                    let looks = |i: &usize| range(&reach.looks()[*i]).contains(&key);
                    let first = (0..places.len()).find(looks).unwrap_or(places.len());
                    let end = (0..places.len()).rev().find(looks).map_or(0, |last| last + 1);
                    assert_eq!(found, [first, end], "key {key}");
                }
            }
        }
    }

    #[test]
    fn every_place_of_the_far_list_is_found_from_its_slot() {
        let places = places();
        // By asking, slots are listed once for each query that looks far.
        let reach = Reach::by_asking(&places, &places, |query, key| AnchorPolicy.visible(query, key));
        let (starts, sorted) = by_slot(&reach);
        assert_eq!((starts[0], starts[reach.keys()]), (0, reach.far().len()));
        for slot in 0..reach.keys() {
            let expected: Vec<usize> = (0..reach.far().len()).filter(|&place| reach.far()[place] == slot).collect();
            assert_eq!(sorted[starts[slot]..starts[slot + 1]], expected);
        }
    }
}
