//! The kernels for GPUs against attention on paper, on any Vulkan driver: as SPIR-V and as WGSL, inside Burn's fusion and
//! under its differentiation.
#![cfg(all(feature = "vulkan", feature = "flex"))]
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::sync::OnceLock;

use anllm_core::{AnchorPolicy, CachePolicy, FullPolicy, Reach};
use anllm_kernels::{Kernels, Reaches, attend};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn_cubecl::cubecl::Runtime;
use burn_flex::Flex;
use burn_wgpu::graphics::{GraphicsApi, Vulkan, WebGpu};
use burn_wgpu::{Wgpu, WgpuDevice, WgpuRuntime, WgpuSetup, init_device, init_setup};
use common::{close, noise, on_paper, row};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

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
fn compare<B: Kernels<Device = WgpuDevice>>(
    device: &WgpuDevice,
    reaches: &[Reach],
    rows: usize,
    sizes: Sizes,
) -> Result<(), TestCaseError> {
    let Sizes { groups, sharing, width, seed } = sizes;
    let (tokens, keys) = (reaches[0].looks().len(), reaches[0].keys());
    let shapes = [[rows, tokens, groups * sharing, width], [rows, keys, groups, width], [rows, keys, groups, width]];
    let input = |i: usize| noise::<Flex, 4>(shapes[i], seed ^ i as u64, &Default::default()).mul_scalar(1.0 + 2.0 * (i == 0) as u8 as f64);
    let slope = noise::<Flex, 4>(shapes[0], 99, &Default::default());

    let plain: [Tensor<Autodiff<Flex>, 4>; 3] = [0, 1, 2].map(|i| Tensor::from_inner(input(i)).require_grad());
    let of_rows: Vec<Reach> = (0..rows).map(|row| reaches[row % reaches.len()].clone()).collect();
    let expected = on_paper(plain.clone(), &of_rows);
    let slopes = (expected.clone() * Tensor::from_inner(slope.clone())).sum().backward();

    let there = |x: Tensor<Flex, 4>| Tensor::<Autodiff<B>, 4>::from_data(x.into_data(), device);
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
    TestRunner::new(Config::with_cases(12))
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
            compare::<Wgpu<f32, i32, u32>>(&device, &reaches, rows, sizes)
        })
        .unwrap();
}

fn sizes() -> impl Strategy<Value = Sizes> {
    // Few widths, since each is compiled anew.
    let width = prop_oneof![Just(2usize), Just(14), Just(64)];
    (1usize..3, 1usize..4, width, any::<u64>())
        .prop_map(|(groups, sharing, width, seed)| Sizes { groups, sharing, width, seed })
}

#[test]
fn vulkan_attention_of_whole_rows() {
    whole_rows(Language::SpirV);
}

#[test]
fn wgpu_attention_of_whole_rows() {
    whole_rows(Language::Wgsl);
}
