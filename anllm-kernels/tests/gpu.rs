//! The kernels for GPUs against attention on paper, on any Vulkan driver: as SPIR-V and as WGSL, inside Burn's fusion and
//! under its differentiation.
#![cfg(all(feature = "vulkan", feature = "flex"))]
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::sync::OnceLock;

use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Reach, Segments};
use anllm_kernels::{Kernels, Reaches, attend};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use burn_cubecl::cubecl::Runtime;
use burn_flex::Flex;
use burn_wgpu::graphics::{GraphicsApi, Vulkan, WebGpu};
use burn_wgpu::{Wgpu, WgpuDevice, WgpuRuntime, WgpuSetup, init_device, init_setup};
use common::{close, noise, on_paper, row};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Booleans of 32 bits suit both languages.
type G = Wgpu<f32, i32, u32>;

/// What shaders are written in.
#[derive(Debug, Clone, Copy)]
enum Language {
    SpirV,
    Wgsl,
}

/// The driver's device that takes shaders in the language; `None` where there is no driver.
fn device(language: Language) -> Option<WgpuDevice> {
    static DEVICES: OnceLock<Option<[WgpuDevice; 2]>> = OnceLock::new();
    let [spirv, wgsl] = DEVICES.get_or_init(open).as_ref()?;
    Some(match language {
        Language::SpirV => spirv.clone(),
        Language::Wgsl => wgsl.clone(),
    })
}

fn open() -> Option<[WgpuDevice; 2]> {
    if WgpuRuntime::enumerate_all_devices(&Vulkan::backend()).is_empty() {
        eprintln!("skipped: no Vulkan driver");
        return None;
    }
    let spirv = WgpuDevice::DefaultDevice;
    let setup = init_setup::<Vulkan>(&spirv, Default::default());
    // The compiler is chosen by the interface's name; the driver below takes what either gives.
    let wgsl = init_device(WgpuSetup { backend: WebGpu::backend(), ..setup }, Default::default());
    let names = [&spirv, &wgsl].map(|device| WgpuRuntime::name(&WgpuRuntime::client(device)));
    assert_eq!(names, ["wgpu<spirv>", "wgpu<wgsl>"]);
    Some([spirv, wgsl])
}

/// Sizes of a call.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    groups: usize,
    sharing: usize,
    width: usize,
    seed: u64,
}

/// Output and gradients of the kernels, and those on paper.
fn compare(device: &WgpuDevice, reaches: &[Reach], rows: usize, sizes: Sizes) -> Result<(), TestCaseError> {
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

fn whole_rows(language: Language) {
    let Some(device) = device(language) else { return };
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
            compare(&device, &reaches, rows, sizes)
        })
        .unwrap();
}

/// A cache before the queries, of which only some keys are left; one token alone as in decoding.
fn over_a_cache(language: Language) {
    let Some(device) = device(language) else { return };
    let inputs = (prop_oneof![Just(1usize), 2usize..40], 0usize..150, sizes());
    TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() })
        .run(&inputs, |(tokens, before, sizes)| {
            let places = row(before + tokens, sizes.seed);
            let (cached, chunk) = places.split_at(before);
            let kept = cached.iter().filter(|key| chunk.iter().any(|query| AnchorPolicy.visible(query, key)));
            let keys: Vec<_> = kept.chain(chunk).copied().collect();
            compare(&device, &[AnchorPolicy.reach(chunk, &keys)], 1, sizes)
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

#[test]
fn vulkan_attention_of_whole_rows() {
    whole_rows(Language::SpirV);
}

#[test]
fn wgpu_attention_of_whole_rows() {
    whole_rows(Language::Wgsl);
}

#[test]
fn vulkan_attention_over_a_cache() {
    over_a_cache(Language::SpirV);
}

#[test]
fn wgpu_attention_over_a_cache() {
    over_a_cache(Language::Wgsl);
}

/// Rows longer than the number of cubes that a grid takes along one side, and far too long for a matrix of scores.
fn too_long_for_a_matrix(language: Language) {
    let Some(device) = device(language) else { return };
    let tokens = 70_000;
    let documents: Vec<Vec<bool>> = (0..tokens / 100).map(|_| (0..100).map(|i| i % 24 == 23).collect()).collect();
    let places = Segments::from_documents(documents.iter().map(Vec::as_slice)).places().to_vec();
    let reach = AnchorPolicy.reach(&places, &places);
    let shape = [1, tokens, 1, 4];
    let expected = gradients::<Flex>(&reach, shape, &Default::default());
    for (found, expected) in gradients::<G>(&reach, shape, &device).into_iter().zip(expected) {
        close("output or gradient", found, expected, 5e-5).unwrap();
    }
}

#[test]
fn vulkan_attention_of_a_row_too_long_for_a_matrix() {
    too_long_for_a_matrix(Language::SpirV);
}

#[test]
fn wgpu_attention_of_a_row_too_long_for_a_matrix() {
    too_long_for_a_matrix(Language::Wgsl);
}

#[test]
fn vulkan_gradients_are_the_same_each_time() {
    let Some(device) = device(Language::SpirV) else { return };
    let places = row(300, 5);
    let reach = AnchorPolicy.reach(&places, &places);
    let run = || gradients::<G>(&reach, [1, 300, 2, 16], &device);
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

#[test]
fn vulkan_attention_in_half_precision() {
    let Some(device) = device(Language::SpirV) else { return };
    if !G::supports_dtype(&device, DType::F16) {
        eprintln!("skipped: the driver has no numbers of 16 bits");
        return;
    }
    let places = row(50, 3);
    let reaches = Reaches::new(vec![AnchorPolicy.reach(&places, &places)]);
    let [q, k, v] = [1, 2, 3].map(|seed| noise::<G, 4>([1, 50, 2, 16], seed, &device));
    let expected = attend(q.clone(), k.clone(), v.clone(), &reaches).unwrap();
    let [q, k, v] = [q, k, v].map(|x| x.cast(FloatDType::F16));
    let found = attend(q, k, v, &reaches).unwrap();
    assert_eq!(found.dtype(), DType::F16);
    close("output", found.cast(FloatDType::F32).into_data(), expected.into_data(), 4e-3).unwrap();
}

/// The cache hands out the filled part of a longer buffer, and heads may lie the other way round.
#[test]
fn vulkan_keys_may_be_views() {
    let Some(device) = device(Language::SpirV) else { return };
    let places = row(60, 7);
    let reach = vec![AnchorPolicy.reach(&places, &places)];
    fn inputs<B: Backend>(device: &B::Device) -> [Tensor<B, 4>; 3] {
        let query = noise([1, 60, 4, 16], 1, device);
        let long = noise([1, 128, 2, 16], 2, device).narrow(1, 0, 60);
        [query, long, noise([1, 2, 16, 60], 3, device).permute([0, 3, 1, 2])]
    }
    let [q, k, v] = inputs::<G>(&device);
    let found = attend(q, k, v, &Reaches::new(reach.clone())).unwrap();
    let expected = on_paper(inputs::<Autodiff<Flex>>(&Default::default()), &reach);
    close("output", found.into_data(), expected.into_data(), 5e-5).unwrap();
}
