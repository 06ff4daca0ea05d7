//! The kernels for GPUs against attention on paper: as SPIR-V and as WGSL on any Vulkan driver, as CUDA on an NVIDIA device,
//! inside Burn's fusion and under its differentiation.
#![cfg(all(any(feature = "vulkan", feature = "cuda"), feature = "flex"))]
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[path = "../common/mod.rs"]
mod common;
mod devices;

use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Reach, Segments};
use anllm_kernels::{Kernels, PackedMatrix, PackedType, QuantizedMatrix, Reaches, attend, linear, pick, product};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData};
use burn_flex::Flex;
use common::{close, noise, on_paper, row};
use devices::Gpu;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The tests below on one kind of device.
macro_rules! tests {
    ($module:ident, $gpu:ty: $($test:ident),+) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::$test::<$gpu>();
            })+
        }
    };
}

macro_rules! all_tests {
    ($module:ident, $gpu:ty) => {
        tests! {
            $module, $gpu:
            attention_of_whole_rows, attention_over_a_cache, attention_of_a_row_too_long_for_a_matrix,
            gradients_are_the_same_each_time, attention_in_half_precision, keys_may_be_views,
            quantized_products_are_those_of_the_values, products_keep_the_precision_of_floats,
            rows_give_the_element_that_is_asked_for
        }
    };
}

#[cfg(feature = "vulkan")]
all_tests!(vulkan, crate::devices::SpirV);
#[cfg(feature = "vulkan")]
// The kernels are those of `vulkan` but for their compiler.
tests! {
    wgpu, crate::devices::Wgsl:
    attention_of_whole_rows, attention_over_a_cache, attention_of_a_row_too_long_for_a_matrix
}
#[cfg(feature = "cuda")]
all_tests!(cuda, crate::devices::Cuda);

/// Sizes of a call.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    groups: usize,
    sharing: usize,
    width: usize,
    seed: u64,
}

/// Output and gradients of the kernels, and those on paper.
fn compare<G: Kernels>(device: &G::Device, reaches: &[Reach], rows: usize, sizes: Sizes) -> Result<(), TestCaseError> {
    let Sizes { groups, sharing, width, seed } = sizes;
    let (tokens, keys) = (reaches[0].looks().len(), reaches[0].keys());
    let shapes = [[rows, tokens, groups * sharing, width], [rows, keys, groups, width], [rows, keys, groups, width]];
    let input =
        |i: usize| noise::<Flex, 4>(shapes[i], seed ^ i as u64, &Default::default()).mul_scalar([3.0, 1.0, 1.0][i]);
    let slope = noise::<Flex, 4>(shapes[0], 99, &Default::default());

    let plain: [Tensor<Autodiff<Flex>, 4>; 3] = [0, 1, 2].map(|i| Tensor::from_inner(input(i)).require_grad());
    let of_rows: Vec<Reach> = (0..rows).map(|row| reaches[row % reaches.len()].clone()).collect();
    let expected = on_paper(plain.clone(), &of_rows);
    let slopes = (expected.clone() * Tensor::from_inner(slope.clone())).sum().backward();

    let there = |x: Tensor<Flex, 4>| Tensor::<Autodiff<G>, 4>::from_data(x.into_data(), device);
    let ours = [0, 1, 2].map(|i| there(input(i)).require_grad());
    let [q, k, v] = ours.clone();
    let found = attend(q, k, v, &Reaches::new(reaches.to_vec())).expect("shapes fit");
    close("output", found.clone().into_data(), expected.into_data(), 5e-5)?;
    let found = (found * there(slope)).sum().backward();
    for (name, (a, b)) in ["query", "key", "value"].into_iter().zip(ours.iter().zip(&plain)) {
        let (a, b) = (a.grad(&found).expect("a gradient"), b.grad(&slopes).expect("a gradient"));
        close(&format!("gradient of {name}"), a.into_data(), b.into_data(), 5e-5)?;
    }
    Ok(())
}

fn attention_of_whole_rows<G: Gpu>() {
    let Some(device) = G::device() else { return };
    let inputs = (1usize..4, any::<bool>(), 1usize..90, sizes(), 0..3);
    TestRunner::new(Config { cases: 10, failure_persistence: None, ..Config::default() })
        .run(&inputs, |(rows, shared, tokens, sizes, policy)| {
            let reach = |number: usize| {
                let places = row(tokens, sizes.seed.wrapping_add(number as u64));
                match policy {
                    0 => FullPolicy.reach(&places, &places),
                    1 => AnchorPolicy.reach(&places, &places),
                    // Lists that name a key once for each query that sees it from afar.
                    _ => Reach::by_asking(&places, &places, |query, key| AnchorPolicy.visible(query, key)),
                }
            };
            let reaches: Vec<Reach> = (0..if shared { 1 } else { rows }).map(reach).collect();
            compare::<G::Backend>(&device, &reaches, rows, sizes)
        })
        .unwrap();
}

/// A cache before the queries, of which only some keys are left; one token alone as in decoding.
fn attention_over_a_cache<G: Gpu>() {
    let Some(device) = G::device() else { return };
    let inputs = (prop_oneof![Just(1usize), 2usize..40], 0usize..150, sizes());
    TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() })
        .run(&inputs, |(tokens, before, sizes)| {
            let places = row(before + tokens, sizes.seed);
            let (cached, chunk) = places.split_at(before);
            let kept = cached.iter().filter(|key| chunk.iter().any(|query| AnchorPolicy.visible(query, key)));
            let keys: Vec<_> = kept.chain(chunk).copied().collect();
            compare::<G::Backend>(&device, &[AnchorPolicy.reach(chunk, &keys)], 1, sizes)
        })
        .unwrap();
}

fn sizes() -> impl Strategy<Value = Sizes> {
    // Few widths, since each is compiled anew.
    let width = prop_oneof![Just(2usize), Just(14), Just(64), Just(100)];
    (1usize..3, 1usize..4, width, any::<u64>()).prop_map(|(groups, sharing, width, seed)| Sizes {
        groups,
        sharing,
        width,
        seed,
    })
}

/// Rows longer than the number of cubes that a grid takes along one side, and far too long for a matrix of scores.
fn attention_of_a_row_too_long_for_a_matrix<G: Gpu>() {
    let Some(device) = G::device() else { return };
    let tokens = 70_000;
    let documents: Vec<Vec<bool>> = (0..tokens / 100).map(|_| (0..100).map(|i| i % 24 == 23).collect()).collect();
    let places = Segments::from_documents(documents.iter().map(Vec::as_slice)).places().to_vec();
    let reach = AnchorPolicy.reach(&places, &places);
    let shape = [1, tokens, 1, 4];
    let expected = gradients::<Flex>(&reach, shape, &Default::default());
    for (found, expected) in gradients::<G::Backend>(&reach, shape, &device).into_iter().zip(expected) {
        close("output or gradient", found, expected, 5e-5).unwrap();
    }
}

fn gradients_are_the_same_each_time<G: Gpu>() {
    let Some(device) = G::device() else { return };
    let places = row(300, 5);
    let reach = AnchorPolicy.reach(&places, &places);
    let run = || gradients::<G::Backend>(&reach, [1, 300, 2, 16], &device);
    assert_eq!(run(), run());
}

/// The output, and the gradients of query, key and value.
fn gradients<B: Kernels>(reach: &Reach, shape: [usize; 4], device: &B::Device) -> Vec<TensorData> {
    let inputs = [1, 2, 3].map(|seed| noise::<Autodiff<B>, 4>(shape, seed, device).require_grad());
    let [q, k, v] = inputs.clone();
    let output = attend(q, k, v, &Reaches::new(vec![reach.clone()])).expect("shapes fit");
    let slopes = (output.clone() * noise(shape, 4, device)).sum().backward();
    let gradients = inputs.iter().map(|input| input.grad(&slopes).expect("a gradient").into_data());
    std::iter::once(output.into_data()).chain(gradients).collect()
}

fn attention_in_half_precision<G: Gpu>() {
    let Some(device) = G::device() else { return };
    if !G::Backend::supports_dtype(&device, DType::F16) {
        eprintln!("skipped: the driver has no numbers of 16 bits");
        return;
    }
    let places = row(50, 3);
    let reaches = Reaches::new(vec![AnchorPolicy.reach(&places, &places)]);
    let [q, k, v] = [1, 2, 3].map(|seed| noise::<G::Backend, 4>([1, 50, 2, 16], seed, &device));
    let expected = attend(q.clone(), k.clone(), v.clone(), &reaches).unwrap();
    let [q, k, v] = [q, k, v].map(|x| x.cast(FloatDType::F16));
    let found = attend(q, k, v, &reaches).unwrap();
    assert_eq!(found.dtype(), DType::F16);
    close("output", found.cast(FloatDType::F32).into_data(), expected.into_data(), 4e-3).unwrap();
}

/// The cache hands out the filled part of a longer buffer, and heads may lie the other way round.
fn keys_may_be_views<G: Gpu>() {
    let Some(device) = G::device() else { return };
    let places = row(60, 7);
    let reach = vec![AnchorPolicy.reach(&places, &places)];
    fn inputs<B: Backend>(device: &B::Device) -> [Tensor<B, 4>; 3] {
        let query = noise([1, 60, 4, 16], 1, device);
        let long = noise([1, 128, 2, 16], 2, device).narrow(1, 0, 60);
        [query, long, noise([1, 2, 16, 60], 3, device).permute([0, 3, 1, 2])]
    }
    let [q, k, v] = inputs::<G::Backend>(&device);
    let found = attend(q, k, v, &Reaches::new(reach.clone())).unwrap();
    let expected = on_paper(inputs::<Autodiff<Flex>>(&Default::default()), &reach);
    close("output", found.into_data(), expected.into_data(), 5e-5).unwrap();
}

/// The integers and scales on the device are those of the packed matrix, for one row and for many.
fn quantized_products_are_those_of_the_values<G: Gpu>() {
    let Some(device) = G::device() else { return };
    const { assert!(<G::Backend as Kernels>::MULTIPLIES_QUANTIZED) };
    let values = |shape: [usize; 2], seed| noise::<Flex, 2>(shape, seed, &Default::default());
    // Each is a way to multiply and a layout: shaders take the longest.
    let cases = [
        (PackedType::Q8_0, [1, 40, 64]),
        (PackedType::Q4_0, [3, 96, 128]),
        (PackedType::Q4_1, [1, 72, 96]),
        (PackedType::Q8_0, [70, 72, 96]),
    ];
    for (kind, [rows, out, width]) in cases {
        let weight: Vec<f32> = values([out, width], 5).into_data().into_vec().unwrap();
        let packed = PackedMatrix::nearest(kind, [out, width], &weight);
        let x = values([rows, width], 6);
        let weight = Tensor::<Flex, 2>::from_data(TensorData::new(packed.values(), [out, width]), &Default::default());
        let expected = x.clone().matmul(weight.transpose()).into_data();
        let matrix = QuantizedMatrix::<G::Backend>::new(packed, &device).expect("whole blocks");
        let found = matrix.times(Tensor::from_data(x.into_data(), &device)).into_data();
        close(&format!("{kind} {rows} × {width} by {out}"), found, expected, 1e-4).unwrap();
    }
    let odd = PackedMatrix::nearest(PackedType::Q4_0, [4, 33], &[1.0; 132]);
    assert!(QuantizedMatrix::<G::Backend>::new(odd, &device).is_none(), "no whole number of blocks");
}

/// Matrix units would round each number to 11 bits first, an error of up to 2e-4 of it.
fn products_keep_the_precision_of_floats<G: Gpu>() {
    let Some(device) = G::device() else { return };
    for [rows, inner, columns] in [[1, 64, 200], [5, 96, 1], [19, 33, 70], [130, 72, 65]] {
        let here = Default::default();
        let (left, right) = (noise::<Flex, 2>([rows, inner], 1, &here), noise::<Flex, 2>([inner, columns], 2, &here));
        let exact = exact(&left, &right);
        let [there, turned] =
            [left.clone(), left.transpose()].map(|x| Tensor::<G::Backend, 2>::from_data(x.into_data(), &device));
        let [right, weight] =
            [right.clone(), right.transpose()].map(|x| Tensor::<G::Backend, 2>::from_data(x.into_data(), &device));
        let batch = |x: &Tensor<G::Backend, 2>| x.clone().unsqueeze::<4>().repeat_dim(1, 3);
        let ways = [
            ("plain", product(there.clone(), right.clone())),
            ("a view on the left", product(turned.transpose(), right.clone())),
            ("a view on the right", linear(there.clone(), weight)),
            ("many", product(batch(&there), batch(&right)).slice_dim(1, 2..3).reshape([rows, columns])),
        ];
        for (way, found) in ways {
            let name = format!("{way}: {rows} × {inner} by {columns}");
            close(&name, found.into_data(), exact.clone(), 2e-6 * (inner as f32).sqrt()).unwrap();
        }
    }
}

/// `left·right` in 64 bits.
fn exact(left: &Tensor<Flex, 2>, right: &Tensor<Flex, 2>) -> TensorData {
    let ([rows, inner], [_, columns]) = (left.dims(), right.dims());
    let numbers = |x: &Tensor<Flex, 2>| -> Vec<f64> { x.to_data().iter::<f64>().collect() };
    let (left, right) = (numbers(left), numbers(right));
    let value =
        |row: usize, column: usize| (0..inner).map(|i| left[row * inner + i] * right[i * columns + column]).sum();
    let values: Vec<f64> = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
    TensorData::new(values.iter().map(|value| *value as f32).collect::<Vec<_>>(), [rows, columns])
}

/// Beside operations on whole rows, with which Burn would fuse it.
fn rows_give_the_element_that_is_asked_for<G: Gpu>() {
    let Some(device) = G::device() else { return };
    let (rows, columns) = (150, 96);
    let x = noise::<Flex, 2>([rows, columns], 3, &Default::default());
    let asked: Vec<i32> = (0..rows as i32).map(|row| row * 37 % columns as i32).collect();
    let values: Vec<f32> = x.to_data().into_vec().unwrap();
    let expected: Vec<f32> =
        asked.iter().enumerate().map(|(row, &i)| 1.5 - values[row * columns + i as usize]).collect();
    for _ in 0..2 {
        let there = Tensor::<G::Backend, 2>::from_data(x.to_data(), &device);
        let places = Tensor::<G::Backend, 2, Int>::from_data(TensorData::new(asked.clone(), [rows, 1]), &device);
        let found = pick(there.clone(), places).neg().add_scalar(1.5);
        let shares = there.clone().div(there.abs().sum_dim(1)).abs().sum_dim(1).into_data();
        close("elements", found.into_data(), TensorData::new(expected.clone(), [rows, 1]), 1e-6).unwrap();
        close("shares of whole rows", shares, TensorData::new(vec![1.0f32; rows], [rows, 1]), 1e-5).unwrap();
    }
}
