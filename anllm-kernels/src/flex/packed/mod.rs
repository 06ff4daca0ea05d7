//! Products with matrices of few bits, which stay packed.
//!
//! A few rows of `x` are rounded to integers and multiplied as such, 16 rows of the weights at once: reading the
//! weights is what takes time. With many rows the products do, and floats have the faster ones: sixteen rows of the
//! weights are unpacked into a panel, once for all rows of `x`.

mod blocks;
mod rounded;
mod tile;

use std::borrow::Cow;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use self::blocks::Multiplied;
use self::rounded::rounded;
use self::tile::{Integers, Unpacked};
use super::lanes;
use super::panel::{Product, columns as columns_of, groups_at_once};
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
    if rows * out * width == 0 {
        return filled(vec![0.0; rows * out], [rows, out]);
    }
    let x = values(x);
    let x = whole_blocks(&x, width);
    let result = each_type!(weight.blocks(), blocks => match rows <= FEW {
        true => few(&x, rows, blocks, out),
        false => many(&x, rows, blocks, out),
    });
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

/// `x` is `[N, columns·32]`, `blocks` `[groups, columns]`, the result `[N, out]`.
fn few<T: Multiplied>(x: &[f32], rows: usize, blocks: &[T], out: usize) -> Vec<f32> {
    let columns = x.len() / rows / VALUES;
    let x = rounded(x);
    // `[groups, N, 16]` first: what a thread writes lies in a row.
    let mut sums = vec![0.0; blocks.len() / columns * rows * ROWS];
    let piece = (PIECE / (columns * size_of::<T>())).max(1);
    let pieces = sums.par_chunks_mut(piece * rows * ROWS).zip(blocks.par_chunks(piece * columns));
    pieces.for_each(|(sums, blocks)| lanes::run(Integers { x: &x, rows, blocks, columns, sums }));
    if rows == 1 {
        sums.truncate(out);
        return sums;
    }
    let mut result = vec![0.0; rows * out];
    for (row, result) in result.chunks_exact_mut(out).enumerate() {
        for (group, result) in result.chunks_mut(ROWS).enumerate() {
            let from = (group * rows + row) * ROWS;
            result.copy_from_slice(&sums[from..from + result.len()]);
        }
    }
    result
}

/// The same where the products are what takes time.
fn many<T: Multiplied>(x: &[f32], rows: usize, blocks: &[T], out: usize) -> Vec<f32> {
    let columns = x.len() / rows / VALUES;
    let piece = groups_at_once(rows, columns * VALUES);
    let mut result = vec![0.0; rows * out];
    let pieces = columns_of(&mut result, out, piece * ROWS);
    pieces.into_par_iter().zip(blocks.par_chunks(piece * columns)).for_each(|(mut into, blocks)| {
        let mut panel = vec![[0.0; ROWS]; columns * VALUES];
        for (group, blocks) in blocks.chunks_exact(columns).enumerate() {
            lanes::run(Unpacked { blocks, panel: &mut panel });
            lanes::run(Product { x, panel: &panel, into: &mut into, first: group * ROWS });
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Lanes, OnLanes, Plain};
    use super::*;
    use crate::packed::PackedType;

    #[test]
    fn every_kind_of_lanes_gives_what_plain_ones_give() {
        /// Products of integers, and of floats.
        fn sums<T: Multiplied>(lanes: impl Lanes, x: &[f32], rows: usize, blocks: &[T]) -> [Vec<f32>; 2] {
            let columns = x.len() / rows / VALUES;
            let out = blocks.len() / columns * ROWS;
            let [mut integers, mut floats] = [vec![0.0; rows * out], vec![0.0; rows * out]];
            Integers { x: &rounded(x), rows, blocks, columns, sums: &mut integers }.on(lanes);
            let mut panel = vec![[0.0; ROWS]; columns * VALUES];
            for (mut into, blocks) in columns_of(&mut floats, out, ROWS).into_iter().zip(blocks.chunks_exact(columns)) {
                Unpacked { blocks, panel: &mut panel }.on(lanes);
                Product { x, panel: &panel, into: &mut into, first: 0 }.on(lanes);
            }
            [integers, floats]
        }
        let (out, width, rows) = (48, 128, 13);
        let value = |i: usize| ((i * 7919 % 1013) as f32 / 506.0 - 1.0) * (i % 5) as f32;
        let x: Vec<f32> = (0..rows * width).map(value).collect();
        let weight: Vec<f32> = (0..out * width).map(|i| value(i + 3)).collect();
        for kind in [PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1] {
            let matrix = PackedMatrix::nearest(kind, [out, width], &weight);
            each_type!(matrix.blocks(), blocks => {
                let plain = sums(Plain, &x, rows, blocks);
                let check = |found: [Vec<f32>; 2], name: &str| {
                    for (a, b) in found.iter().flatten().zip(plain.iter().flatten()) {
                        // Integers are exact everywhere; fused multiplications round once less.
                        assert!((a - b).abs() <= 1e-4 + 1e-5 * b.abs(), "{kind} on {name}: {a} instead of {b}");
                    }
                };
                #[cfg(target_arch = "x86_64")]
                {
                    if let Some(simd) = pulp::x86::V3::try_new() {
                        check(sums(simd, &x, rows, blocks), "AVX2");
                    }
                    if let Some(simd) = pulp::x86::V4::try_new() {
                        check(sums(simd, &x, rows, blocks), "AVX-512");
                    }
                }
                check(plain.clone(), "plain lanes");
            });
        }
    }
}
