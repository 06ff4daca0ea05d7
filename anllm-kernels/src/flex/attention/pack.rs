//! Keys and values, laid out for the tiles.

use super::super::tensors::View;

/// Keys that the product with a tile's queries takes at once.
pub(super) const STRIP: usize = 8;

/// Strips of [`STRIP`] keys, element by element: `[strips, D, STRIP]`, filled up with zeros. One strip after the other
/// is read from front to back while scores form.
pub(super) fn strips(view: View<'_>, row: usize, slots: &[usize], group: usize, width: usize, out: &mut Vec<f32>) {
    out.clear();
    out.resize(slots.len().div_ceil(STRIP) * width * STRIP, 0.0);
    for (slots, strip) in slots.chunks(STRIP).zip(out.chunks_exact_mut(width * STRIP)) {
        for (lane, &slot) in slots.iter().enumerate() {
            for (x, place) in view.get(row, slot, group).iter().zip(strip[lane..].iter_mut().step_by(STRIP)) {
                *place = *x;
            }
        }
    }
}

/// One key after another, `[slots, D]`, filled up with zeros to whole strips.
pub(super) fn lines(view: View<'_>, row: usize, slots: &[usize], group: usize, width: usize, out: &mut Vec<f32>) {
    out.clear();
    for &slot in slots {
        out.extend_from_slice(view.get(row, slot, group));
    }
    out.resize(slots.len().next_multiple_of(STRIP) * width, 0.0);
}
