//! Keys and values, laid out for the tiles.

use super::super::lanes::{self, Lanes, OnLanes};
use super::super::tensors::View;

/// Keys that the product with a tile's queries takes at once.
pub(super) const STRIP: usize = 8;
/// Elements of values that lie side by side.
pub(super) const QUAD: usize = 4;

/// Strips of [`STRIP`] keys, element by element: `[strips, D, STRIP]`, filled up with zeros. One strip after the other
/// is read from front to back while scores form.
pub(super) fn strips(view: View<'_>, row: usize, slots: &[usize], group: usize, width: usize, out: &mut Vec<f32>) {
    out.clear();
    out.resize(slots.len().div_ceil(STRIP) * width * STRIP, 0.0);
    lanes::run(Strips { view, row, slots, group, width, out });
}

struct Strips<'a> {
    view: View<'a>,
    row: usize,
    slots: &'a [usize],
    group: usize,
    width: usize,
    out: &'a mut [f32],
}

impl OnLanes for Strips<'_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { view, row, slots, group, width, out } = self;
        for (slots, strip) in slots.chunks(STRIP).zip(out.chunks_exact_mut(width * STRIP)) {
            let mut keys: [&[f32]; STRIP] = [&[]; STRIP];
            for (key, slot) in keys.iter_mut().zip(slots) {
                *key = view.get(row, *slot, group);
            }
            // Squares are turned by vectors; what is left at the edges is not.
            let whole = if slots.len() == STRIP { width / STRIP * STRIP } else { 0 };
            for start in (0..whole).step_by(STRIP) {
                let mut square = [[0.0; STRIP]; STRIP];
                for (line, key) in square.iter_mut().zip(keys) {
                    line.copy_from_slice(&key[start..start + STRIP]);
                }
                let turned = lanes.turned(square.each_ref());
                strip[start * STRIP..(start + STRIP) * STRIP].copy_from_slice(turned.as_flattened());
            }
            for (element, line) in strip.as_chunks_mut::<STRIP>().0.iter_mut().enumerate().skip(whole) {
                for (place, key) in line.iter_mut().zip(&keys[..slots.len()]) {
                    *place = key[element];
                }
            }
        }
    }
}

/// Vectors [`QUAD`] elements at a time: `[quads, slots, QUAD]`, an even number of quads, filled up with zeros. The same
/// elements of one key after the other are read while weighted sums form.
pub(super) fn quads(view: View<'_>, row: usize, slots: &[usize], group: usize, width: usize, out: &mut Vec<f32>) {
    out.clear();
    out.resize(slots.len() * width.next_multiple_of(2 * QUAD), 0.0);
    let quads = out.as_chunks_mut::<QUAD>().0;
    // Some slots at a time, so that what is written side by side fills whole lines of the cache.
    for (part, some) in slots.chunks(STRIP).enumerate() {
        let mut vectors: [&[f32]; STRIP] = [&[]; STRIP];
        for (vector, slot) in vectors.iter_mut().zip(some) {
            *vector = view.get(row, *slot, group);
        }
        let mut start = part * STRIP;
        for number in 0..width / QUAD {
            for (place, vector) in quads[start..start + some.len()].iter_mut().zip(vectors) {
                place.copy_from_slice(&vector[number * QUAD..][..QUAD]);
            }
            start += slots.len();
        }
        if !width.is_multiple_of(QUAD) {
            for (place, vector) in quads[start..start + some.len()].iter_mut().zip(vectors) {
                let rest = &vector[width / QUAD * QUAD..];
                place[..rest.len()].copy_from_slice(rest);
            }
        }
    }
}
