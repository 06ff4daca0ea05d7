//! Products with matrices of few bits, which stay packed: integer dot products of 16 rows at once, and one scale for
//! each block of 32.

mod rounded;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use self::rounded::{Rounded, rounded};
use super::lanes::{self, Lanes, OnLanes};
use super::tensors::{filled, values};
use crate::packed::{Block, Bytes, Nibbles, PackedMatrix, ROWS, RaisedNibbles, VALUES, each_type};

/// Bytes of weights that one thread takes at a time.
const PIECE: usize = 1 << 15;
/// Rows of `x` that share what is unpacked of the weights.
const TILE: usize = 4;
/// Rows of `x` that stay in the second cache while all weights of a piece are multiplied with them.
const STRIP: usize = 256;

/// `x·weightᵀ`: `x` is `[N, in]`, `weight` `[out, in]`.
pub(super) fn times_packed(x: &FlexTensor, weight: &PackedMatrix) -> FlexTensor {
    let rows = x.layout().shape()[0];
    let [out, width] = weight.dims();
    let groups = out.div_ceil(ROWS);
    // `[groups, N, 16]` first: what a thread writes lies in a row.
    let mut sums = vec![0.0; groups * rows * ROWS];
    if rows > 0 && width > 0 {
        let x = rounded(&values(x), width);
        each_type!(weight.blocks(), blocks => multiply(&x, blocks, width.div_ceil(VALUES), &mut sums));
    }
    if rows == 1 {
        sums.truncate(out);
        return filled(sums, [1, out]);
    }
    let mut result = vec![0.0; rows * out];
    if out > 0 {
        result.par_chunks_mut(out).enumerate().with_min_len(16).for_each(|(row, result)| {
            for (group, result) in result.chunks_mut(ROWS).enumerate() {
                let from = (group * rows + row) * ROWS;
                result.copy_from_slice(&sums[from..from + result.len()]);
            }
        });
    }
    filled(result, [rows, out])
}

/// `x` is `[N, columns]`, `blocks` `[groups, columns]`, `sums` `[groups, N, 16]`.
fn multiply<T: Multiplied>(x: &[Rounded], blocks: &[T], columns: usize, sums: &mut [f32]) {
    let rows = x.len() / columns;
    let piece = (PIECE / (columns * size_of::<T>())).max(1);
    let pieces = sums.par_chunks_mut(piece * rows * ROWS).zip(blocks.par_chunks(piece * columns));
    pieces.for_each(|(sums, blocks)| lanes::run(Piece { x, blocks, columns, sums }));
}

/// Some groups of rows of the weights.
struct Piece<'a, T> {
    x: &'a [Rounded],
    blocks: &'a [T],
    columns: usize,
    sums: &'a mut [f32],
}

impl<T: Multiplied> OnLanes for Piece<'_, T> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let Self { x, blocks, columns, sums } = self;
        let rows = x.len() / columns;
        let strip = STRIP.min(rows);
        for first in (0..rows).step_by(strip) {
            let last = (first + strip).min(rows);
            for (blocks, sums) in blocks.chunks_exact(columns).zip(sums.chunks_exact_mut(rows * ROWS)) {
                let mut row = first;
                while row + TILE <= last {
                    tile::<_, _, TILE>(lanes, &x[row * columns..], blocks, columns, &mut sums[row * ROWS..]);
                    row += TILE;
                }
                while row < last {
                    tile::<_, _, 1>(lanes, &x[row * columns..], blocks, columns, &mut sums[row * ROWS..]);
                    row += 1;
                }
            }
        }
    }
}

/// `N` rows of `x` with one group of rows of the weights.
#[inline(always)]
fn tile<L: Lanes, T: Multiplied, const N: usize>(
    lanes: L,
    x: &[Rounded],
    blocks: &[T],
    columns: usize,
    out: &mut [f32],
) {
    let mut sums = [lanes.floats(0.0); N];
    for (column, block) in blocks.iter().enumerate() {
        let mut rounded = [&x[column]; N];
        for n in 1..N {
            rounded[n] = &x[n * columns + column];
        }
        block.add_products(lanes, rounded, &mut sums);
    }
    for n in 0..N {
        out[n * ROWS..(n + 1) * ROWS].copy_from_slice(&lanes.rows(sums[n]));
    }
}

/// Blocks that can be multiplied.
trait Multiplied: Block {
    /// Adds the products with `N` blocks of activations.
    fn add_products<L: Lanes, const N: usize>(&self, lanes: L, x: [&Rounded; N], sums: &mut [L::Floats; N]);
}

impl Multiplied for Bytes {
    #[inline(always)]
    fn add_products<L: Lanes, const N: usize>(&self, lanes: L, x: [&Rounded; N], sums: &mut [L::Floats; N]) {
        let mut ints = [lanes.ints(0); N];
        for (pair, stored) in self.pairs.iter().enumerate() {
            let pairs = lanes.bytes(stored);
            for n in 0..N {
                ints[n] = lanes.add_products(pairs, x[n].pairs[pair], ints[n]);
            }
        }
        let scales = lanes.halves(&self.scales);
        for n in 0..N {
            sums[n] = lanes.add_scaled(scales, ints[n], x[n].scale, sums[n]);
        }
    }
}

impl Multiplied for Nibbles {
    #[inline(always)]
    fn add_products<L: Lanes, const N: usize>(&self, lanes: L, x: [&Rounded; N], sums: &mut [L::Floats; N]) {
        // Σ (q − 8)·x = Σ q·x − 8·Σ x
        let mut ints = [lanes.ints(0); N];
        for n in 0..N {
            ints[n] = lanes.ints(-8 * x[n].sum);
        }
        add_nibbles(lanes, &self.words, x, &mut ints);
        let scales = lanes.halves(&self.scales);
        for n in 0..N {
            sums[n] = lanes.add_scaled(scales, ints[n], x[n].scale, sums[n]);
        }
    }
}

impl Multiplied for RaisedNibbles {
    #[inline(always)]
    fn add_products<L: Lanes, const N: usize>(&self, lanes: L, x: [&Rounded; N], sums: &mut [L::Floats; N]) {
        let mut ints = [lanes.ints(0); N];
        add_nibbles(lanes, &self.words, x, &mut ints);
        let (scales, minima) = (lanes.halves(&self.scales), lanes.halves(&self.minima));
        for n in 0..N {
            // Σ (d·q + m)·x = d·Σ q·x + m·Σ x
            sums[n] = lanes.add_scaled(scales, ints[n], x[n].scale, sums[n]);
            sums[n] = lanes.add(minima, x[n].sum as f32 * x[n].scale, sums[n]);
        }
    }
}

#[inline(always)]
fn add_nibbles<L: Lanes, const N: usize>(
    lanes: L,
    words: &[[u32; ROWS]; 4],
    x: [&Rounded; N],
    ints: &mut [L::Ints; N],
) {
    for (number, words) in words.iter().enumerate() {
        for (i, pairs) in lanes.nibbles(words).into_iter().enumerate() {
            for n in 0..N {
                ints[n] = lanes.add_products(pairs, x[n].pairs[4 * number + i], ints[n]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::*;
    use crate::packed::PackedType;

    /// The same piece on the given lanes.
    fn sums<T: Multiplied>(lanes: impl Lanes, x: &[Rounded], blocks: &[T], columns: usize) -> Vec<f32> {
        let mut sums = vec![0.0; blocks.len() / columns * (x.len() / columns) * ROWS];
        Piece { x, blocks, columns, sums: &mut sums }.on(lanes);
        sums
    }

    #[test]
    fn every_kind_of_lanes_gives_what_plain_ones_give() {
        let (out, width, rows) = (48, 100, 7);
        let value = |i: usize| ((i * 7919 % 1013) as f32 / 506.0 - 1.0) * (i % 5) as f32;
        let x: Vec<f32> = (0..rows * width).map(value).collect();
        let x = rounded(&x, width);
        let weight: Vec<f32> = (0..out * width).map(|i| value(i + 3)).collect();
        for kind in [PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1] {
            let matrix = PackedMatrix::nearest(kind, [out, width], &weight);
            each_type!(matrix.blocks(), blocks => {
                let columns = width.div_ceil(VALUES);
                let plain = sums(Plain, &x, blocks, columns);
                let check = |found: Vec<f32>, name: &str| {
                    for (a, b) in found.iter().zip(&plain) {
                        // Integers are exact everywhere; fused multiplications round once less.
                        assert!((a - b).abs() <= 1e-5 + 1e-5 * b.abs(), "{kind} on {name}: {a} instead of {b}");
                    }
                };
                #[cfg(target_arch = "x86_64")]
                {
                    if let Some(simd) = pulp::x86::V3::try_new() {
                        check(sums(simd, &x, blocks, columns), "AVX2");
                    }
                    if let Some(simd) = pulp::x86::V4::try_new() {
                        check(sums(simd, &x, blocks, columns), "AVX-512");
                    }
                }
                check(plain.clone(), "plain lanes");
            });
        }
    }
}
