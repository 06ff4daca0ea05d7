//! Packed matrices: what is stored is kept bit for bit, and products are those of the values.
#![cfg(feature = "flex")]
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use anllm_kernels::{
    Kernels, PackedMatrix, PackedType, add_gated_packed, add_linear_packed, linear, linear_packed,
    norm_linear_packed_each, rms_norm, swiglu,
};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use burn_flex::Flex;
use half::{bf16, f16};
use proptest::prelude::*;

/// Types whose blocks have scales.
const SCALED: [PackedType; 3] = [PackedType::Q8_0, PackedType::Q4_0, PackedType::Q4_1];
const FLOATS: [PackedType; 3] = [PackedType::F32, PackedType::F16, PackedType::BF16];
const KINDS: [PackedType; 6] = [SCALED[0], SCALED[1], SCALED[2], FLOATS[0], FLOATS[1], FLOATS[2]];

fn noise(count: usize, seed: u64) -> Vec<f32> {
    common::noise::<Flex, 1>([count], seed, &Default::default()).into_data().into_vec().unwrap()
}

fn tensor(values: Vec<f32>, shape: [usize; 2]) -> Tensor<Flex, 2> {
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

fn values(tensor: Tensor<Flex, 2>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap()
}

/// `x·wᵀ` in 64 bits, and what it would be if all of `x` and `w` were positive and `x` as great as its greatest value:
/// the size that errors are measured against.
fn on_paper(x: &[f32], weight: &[f32], width: usize) -> Vec<(f64, f64)> {
    let product = |x: &[f32], weight: &[f32]| {
        let greatest = x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let sum = x.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        (sum, weight.iter().map(|w| f64::from(greatest * w.abs())).sum())
    };
    x.chunks_exact(width).flat_map(|x| weight.chunks_exact(width).map(move |weight| product(x, weight))).collect()
}

fn check(found: &[f32], expected: &[(f64, f64)], allowed: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (i, (found, (sum, size))) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(*found) - sum).abs();
        prop_assert!(off <= allowed * size + 1e-9, "{} at {}: {} instead of {}", off, i, found, sum);
    }
    Ok(())
}

proptest! {
    #![proptest_config(common::cases(96))]

    /// Activations are rounded to as many bits as a float has: the products are off by as little as those of floats.
    #[test]
    fn products_are_those_of_the_values(
        kind in prop::sample::select(&KINDS), out in 1usize..70, width in 1usize..150, rows in 1usize..23, seed: u64,
    ) {
        let matrix = PackedMatrix::nearest(kind, [out, width], &noise(out * width, seed));
        let x = noise(rows * width, seed ^ 1);
        let found = values(linear_packed(tensor(x.clone(), [rows, width]), &matrix));
        check(&found, &on_paper(&x, &matrix.values(), width), 1e-6)?;
    }

    /// A row's result does not depend on what stands beside it, while there are few: a batch gives what single requests do.
    #[test]
    fn a_row_alone_gives_the_same(
        kind in prop::sample::select(&KINDS), out in 1usize..40, width in 1usize..100, rows in 2usize..8, seed: u64,
    ) {
        let matrix = PackedMatrix::nearest(kind, [out, width], &noise(out * width, seed));
        let x = noise(rows * width, seed ^ 1);
        let together = values(linear_packed(tensor(x.clone(), [rows, width]), &matrix));
        for (x, together) in x.chunks_exact(width).zip(together.chunks_exact(out)) {
            prop_assert_eq!(values(linear_packed(tensor(x.to_vec(), [1, width]), &matrix)), together);
        }
    }

    /// What comes before and after a product gives the same with it as apart from it, of one weight or of several of
    /// different types.
    #[test]
    fn together_with_its_neighbours_it_gives_the_same(
        kinds in prop::array::uniform3(prop::sample::select(&KINDS)), outs in prop::array::uniform3(1usize..70),
        width in 1usize..150, rows in 0usize..23, seed: u64,
    ) {
        let matrix = |number: usize| {
            let (kind, out) = (kinds[number], outs[number]);
            PackedMatrix::nearest(kind, [out, width], &noise(out * width, seed ^ number as u64))
        };
        let matrices = [matrix(0), matrix(1), matrix(2)];
        let each = [&matrices[0], &matrices[1], &matrices[2]];
        let [x, up] = [3, 4].map(|more| tensor(noise(rows * width, seed ^ more), [rows, width]));
        let norm = tensor(noise(width, seed ^ 5), [1, width]).reshape([width]);
        let normed = rms_norm(x.clone(), norm.clone(), 1e-5);
        let together = norm_linear_packed_each(x.clone(), norm, 1e-5, each);
        for (together, matrix) in together.into_iter().zip(each) {
            let apart = linear_packed(normed.clone(), matrix);
            prop_assert_eq!(together.dims(), apart.dims());
            prop_assert_eq!(values(together), values(apart));
        }
        let gated = swiglu(x.clone(), up.clone());
        for matrix in each {
            let [out, _] = matrix.dims();
            let sum = tensor(noise(rows * out, seed ^ 6), [rows, out]);
            let apart = sum.clone() + linear_packed(x.clone(), matrix);
            prop_assert_eq!(values(add_linear_packed(sum.clone(), x.clone(), matrix)), values(apart));
            let apart = sum.clone() + linear_packed(gated.clone(), matrix);
            prop_assert_eq!(values(add_gated_packed(sum.clone(), x.clone(), up.clone(), matrix)), values(apart));
            if rows == 0 {
                continue;
            }
            // A holder beside it, and a view: neither is written into.
            let kept = sum.clone();
            let twice = Tensor::cat(vec![sum.clone(), sum.clone()], 0);
            let view = twice.clone().narrow(0, rows, rows);
            let found = [add_linear_packed(sum, x.clone(), matrix), add_linear_packed(view, x.clone(), matrix)];
            let [first, second] = found.map(values);
            prop_assert_eq!(first, second);
            let kept = values(kept);
            prop_assert_eq!(values(twice), [kept.clone(), kept].concat());
        }
    }

    /// Few rows and many, whatever the weights' width, and edges that fill no vector.
    #[test]
    fn float_weights_give_what_their_values_give(
        dtype in prop::sample::select(&[DType::F32, DType::F16, DType::BF16]),
        out in 1usize..40, width in 1usize..150, rows in 1usize..23, seed: u64,
    ) {
        let weight = tensor(noise(out * width, seed), [out, width]).cast(FloatDType::from(dtype));
        let x = noise(rows * width, seed ^ 1);
        let found = linear(tensor(x.clone(), [rows, width]), weight.clone());
        prop_assert_eq!(found.dtype(), DType::F32);
        check(&values(found), &on_paper(&x, &values(weight.cast(FloatDType::F32)), width), 1e-6)?;
    }

    /// As with packed weights: a batch of a few requests gives what each alone does.
    #[test]
    fn a_row_alone_gives_the_same_with_float_weights(
        dtype in prop::sample::select(&[DType::F32, DType::F16, DType::BF16]),
        out in 1usize..40, width in 1usize..100, rows in 2usize..8, seed: u64,
    ) {
        let weight = tensor(noise(out * width, seed), [out, width]).cast(FloatDType::from(dtype));
        let x = noise(rows * width, seed ^ 1);
        let together = values(linear(tensor(x.clone(), [rows, width]), weight.clone()));
        for (x, together) in x.chunks_exact(width).zip(together.chunks_exact(out)) {
            prop_assert_eq!(values(linear(tensor(x.to_vec(), [1, width]), weight.clone())), together);
        }
    }

    /// The nearest blocks are at most half a step off, a step being the block's range over the number of steps; 4-bit
    /// blocks may cut their ends off to come nearer on the whole.
    #[test]
    fn the_nearest_matrix_is_near(kind in prop::sample::select(&KINDS), seed: u64, scale in -20f32..10.0) {
        let original: Vec<f32> = noise(64 * 8, seed).iter().map(|value| value * scale.exp()).collect();
        let found = PackedMatrix::nearest(kind, [8, 64], &original).values();
        for (original, found) in original.chunks(32).zip(found.chunks(32)) {
            let size: f32 = original.iter().map(|value| value * value).sum();
            let error: f32 = original.iter().zip(found).map(|(a, b)| (a - b) * (a - b)).sum();
            let allowed = match kind {
                PackedType::F32 => 0.0,
                PackedType::F16 => 5e-4,
                PackedType::BF16 => 4e-3,
                PackedType::Q8_0 => 0.006,
                PackedType::Q4_0 | PackedType::Q4_1 => 0.15,
            };
            // A half-precision scale has few bits below 6e-5.
            let denormal = 32.0 * 8.0 * 6e-8f32;
            prop_assert!(error.sqrt() <= allowed * size.sqrt() + denormal, "{} of {}", error.sqrt(), size.sqrt());
        }
    }
}

/// Floats of random values, and these values.
fn stored_floats(kind: PackedType, count: usize, seed: u64) -> (Vec<u8>, Vec<f32>) {
    let values = noise(count, seed);
    match kind {
        PackedType::F16 => {
            let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
            (halves.iter().flat_map(|x| x.to_le_bytes()).collect(), halves.iter().map(|x| x.to_f32()).collect())
        }
        PackedType::BF16 => {
            let brains: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
            (brains.iter().flat_map(|x| x.to_le_bytes()).collect(), brains.iter().map(|x| x.to_f32()).collect())
        }
        _ => (values.iter().flat_map(|x| x.to_le_bytes()).collect(), values),
    }
}

/// Stored blocks of random bytes with finite scales, and their values by the format's definition.
fn stored(kind: PackedType, blocks: usize, seed: u64) -> (Vec<u8>, Vec<f32>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    let random = noise(blocks * 40, seed);
    for random in random.chunks_exact(40) {
        let (d, m) = (f16::from_f32(random[0]), f16::from_f32(random[1]));
        let q: Vec<u8> = random[2..34].iter().map(|r| ((r + 1.0) * 127.9) as u8).collect();
        bytes.extend(d.to_le_bytes());
        if kind == PackedType::Q4_1 {
            bytes.extend(m.to_le_bytes());
        }
        let (d, m) = (d.to_f32(), m.to_f32());
        match kind {
            PackedType::Q8_0 => {
                bytes.extend(&q);
                expected.extend(q.iter().map(|q| d * f32::from(*q as i8)));
            }
            _ => {
                bytes.extend(&q[..16]);
                let nibbles = q[..16].iter().map(|q| q & 15).chain(q[..16].iter().map(|q| q >> 4));
                let value = |q: u8| match kind {
                    PackedType::Q4_0 => d * (f32::from(q) - 8.0),
                    _ => d * f32::from(q) + m,
                };
                expected.extend(nibbles.map(value));
            }
        }
    }
    (bytes, expected)
}

#[test]
fn stored_blocks_keep_their_values_in_any_order_of_rows() {
    let floats = FLOATS.map(|kind| (kind, 35, stored_floats(kind, 37 * 35, 7)));
    let scaled = SCALED.map(|kind| (kind, 96, stored(kind, 37 * 96 / 32, 7)));
    for (kind, width, (bytes, expected)) in floats.into_iter().chain(scaled) {
        let out = 37;
        let place = |row: usize| (row * 5) % out;
        let matrix = PackedMatrix::from_stored(kind, [out, width], &bytes, place).unwrap();
        let expected: Vec<f32> =
            (0..out).flat_map(|row| expected[place(row) * width..(place(row) + 1) * width].to_vec()).collect();
        assert_eq!(matrix.values(), expected, "{kind}");
        assert_eq!(matrix.rows(&[3, 36, 3])[width..2 * width], expected[36 * width..], "{kind}");
        assert_eq!((matrix.dims(), matrix.kind()), ([out, width], kind));
    }
}

#[test]
fn memory_is_what_the_file_takes() {
    for kind in SCALED {
        let (bytes, _) = stored(kind, 64 * 4, 3);
        let matrix = PackedMatrix::from_stored(kind, [64, 128], &bytes, |row| row).unwrap();
        assert_eq!(matrix.bytes(), bytes.len(), "{kind}");
    }
}

#[test]
fn bytes_that_are_no_such_matrix_are_refused() {
    let refused = |shape, bytes: usize| {
        PackedMatrix::from_stored(PackedType::Q8_0, shape, &vec![0; bytes], |row| row).unwrap_err().to_string()
    };
    assert!(refused([2, 33], 68).contains("a multiple of 32 values"));
    assert!(refused([2, 32], 67).contains("67 bytes of Q8_0 cannot be a matrix of 2 rows of 32 values"));
    assert!(refused([usize::MAX, 32], 68).contains("68 bytes"));
    let short = PackedMatrix::from_stored(PackedType::BF16, [2, 33], &[0; 130], |row| row).unwrap_err().to_string();
    assert!(short.contains("130 bytes of BF16 cannot be a matrix of 2 rows of 33 values: 2 times 66"), "{short}");
}

#[test]
fn odd_inputs_give_what_floats_give() {
    let matrix = PackedMatrix::nearest(PackedType::Q4_1, [20, 40], &noise(800, 1));
    let zeros = values(linear_packed(tensor(vec![0.0; 40], [1, 40]), &matrix));
    assert!(zeros.iter().all(|value| *value == 0.0));
    let tiny = values(linear_packed(tensor(vec![1e-38; 40], [1, 40]), &matrix));
    assert!(tiny.iter().all(|value| value.abs() < 1e-30));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = vec![1.0; 40];
        x[35] = bad;
        let found = values(linear_packed(tensor(x, [1, 40]), &matrix));
        assert!(found.iter().all(|value| !value.is_finite()), "{bad} is not lost");
    }
    let none = linear_packed(tensor(Vec::new(), [0, 40]), &matrix);
    assert_eq!(none.dims(), [0, 20]);
    const { assert!(Flex::MULTIPLIES_PACKED) };
}

#[test]
fn other_types_of_activations_keep_their_type() {
    let matrix = PackedMatrix::nearest(PackedType::Q8_0, [20, 40], &noise(800, 1));
    let x = tensor(noise(80, 2), [2, 40]);
    let exact = values(linear_packed(x.clone(), &matrix));
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        let found = linear_packed(x.clone().cast(dtype), &matrix);
        assert_eq!(FloatDType::from(found.dtype()), dtype);
        let found = values(found.cast(FloatDType::F32));
        assert!(found.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 0.05 + 0.02 * b.abs()));
    }
}
