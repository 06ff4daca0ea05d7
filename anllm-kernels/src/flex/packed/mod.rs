//! Products with matrices of few bits, which stay packed.
//!
//! A few rows of `x` are rounded to integers and multiplied as such, 16 rows of the weights at once: reading the
//! weights is what takes time. With many rows the products do, and floats have the faster ones: each block is unpacked
//! in registers, once for all rows of a tile.

mod blocks;
mod rounded;
mod tile;

use std::borrow::Cow;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use self::blocks::Multiplied;
use self::rounded::rounded;
use self::tile::{Input, Piece, TILE};
use super::lanes;
use super::tensors::{filled, values};
use crate::packed::{PackedMatrix, ROWS, VALUES, each_type};

/// Bytes of weights that one thread takes at a time.
const PIECE: usize = 1 << 15;
/// Rows of `x` up to which they are multiplied as integers.
const FEW: usize = 7;

/// `x·weightᵀ`: `x` is `[N, in]`, `weight` `[out, in]`.
pub(super) fn times_packed(x: &FlexTensor, weight: &PackedMatrix) -> FlexTensor {
    let rows = x.layout().shape()[0];
    let [out, width] = weight.dims();
    // `[groups, N, 16]` first: what a thread writes lies in a row.
    let mut sums = vec![0.0; out.div_ceil(ROWS) * rows * ROWS];
    if rows > 0 && width > 0 {
        let x = values(x);
        let x = whole_blocks(&x, width);
        let columns = width.div_ceil(VALUES);
        each_type!(weight.blocks(), blocks => multiply(&x, blocks, columns, &mut sums));
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

/// Rows of `width` values, each filled up with 0 to whole blocks.
fn whole_blocks(x: &[f32], width: usize) -> Cow<'_, [f32]> {
    let padded = width.next_multiple_of(VALUES);
    if padded == width {
        return Cow::Borrowed(x);
    }
    let mut rows = vec![0.0; x.len() / width * padded];
    for (row, x) in rows.chunks_exact_mut(padded).zip(x.chunks_exact(width)) {
        row[..width].copy_from_slice(x);
    }
    Cow::Owned(rows)
}

/// Rows of `width` values, eight side by side.
fn side_by_side(x: &[f32], width: usize) -> Vec<[f32; TILE]> {
    let rows = x.len() / width;
    let mut tiles = vec![[0.0; TILE]; rows.div_ceil(TILE) * width];
    tiles.par_chunks_mut(width).zip(x.par_chunks(TILE * width)).with_min_len(8).for_each(|(tile, x)| {
        for (lane, x) in x.chunks_exact(width).enumerate() {
            tile.iter_mut().zip(x).for_each(|(values, x)| values[lane] = *x);
        }
    });
    tiles
}

/// `x` is `[N, columns·32]`, `blocks` `[groups, columns]`, `sums` `[groups, N, 16]`.
fn multiply<T: Multiplied>(x: &[f32], blocks: &[T], columns: usize, sums: &mut [f32]) {
    let rows = x.len() / (columns * VALUES);
    let (integers, floats) = match rows <= FEW {
        true => (rounded(x), Vec::new()),
        false => (Vec::new(), side_by_side(x, columns * VALUES)),
    };
    let x = if rows <= FEW { Input::Integers(&integers) } else { Input::Floats(&floats) };
    let piece = (PIECE / (columns * size_of::<T>())).max(1);
    let pieces = sums.par_chunks_mut(piece * rows * ROWS).zip(blocks.par_chunks(piece * columns));
    pieces.for_each(|(sums, blocks)| lanes::run(Piece { x, rows, blocks, columns, sums }));
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Lanes, OnLanes, Plain};
    use super::*;
    use crate::packed::PackedType;

    #[test]
    fn every_kind_of_lanes_gives_what_plain_ones_give() {
        fn sums<T: Multiplied>(lanes: impl Lanes, x: Input<'_>, rows: usize, blocks: &[T]) -> Vec<f32> {
            let columns = 4;
            let mut sums = vec![0.0; blocks.len() / columns * rows * ROWS];
            Piece { x, rows, blocks, columns, sums: &mut sums }.on(lanes);
            sums
        }
        let (out, width, rows) = (48, 128, 13);
        let value = |i: usize| ((i * 7919 % 1013) as f32 / 506.0 - 1.0) * (i % 5) as f32;
        let floats: Vec<f32> = (0..rows * width).map(value).collect();
        let (integers, floats) = (rounded(&floats), side_by_side(&floats, width));
        let weight: Vec<f32> = (0..out * width).map(|i| value(i + 3)).collect();
        for kind in [PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1] {
            let matrix = PackedMatrix::nearest(kind, [out, width], &weight);
            for x in [Input::Integers(&integers), Input::Floats(&floats)] {
                each_type!(matrix.blocks(), blocks => {
                    let plain = sums(Plain, x, rows, blocks);
                    let check = |found: Vec<f32>, name: &str| {
                        for (a, b) in found.iter().zip(&plain) {
                            // Integers are exact everywhere; fused multiplications round once less.
                            assert!((a - b).abs() <= 1e-4 + 1e-5 * b.abs(), "{kind} on {name}: {a} instead of {b}");
                        }
                    };
                    #[cfg(target_arch = "x86_64")]
                    {
                        if let Some(simd) = pulp::x86::V3::try_new() {
                            check(sums(simd, x, rows, blocks), "AVX2");
                        }
                        if let Some(simd) = pulp::x86::V4::try_new() {
                            check(sums(simd, x, rows, blocks), "AVX-512");
                        }
                    }
                    check(plain.clone(), "plain lanes");
                });
            }
        }
    }
}
