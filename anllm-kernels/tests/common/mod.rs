//! What the tests of several backends share: values, rows of tokens, and attention as one would write it on paper.

// Not every test needs everything.
#![allow(dead_code)]

use anllm_core::{Place, Reach, Segments};
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;

/// Values that repeat for no reason that a kernel could have in common with them.
pub(crate) fn noise<B: Backend, const N: usize>(shape: [usize; N], seed: u64, device: &B::Device) -> Tensor<B, N> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `cases` random cases, or as many as PROPTEST_CASES says: there are slow machines.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let chosen = std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok());
    ProptestConfig::with_cases(chosen.unwrap_or(cases))
}

/// Equal within `tolerance`, of each value and of 1.
pub(crate) fn close(what: &str, found: TensorData, expected: TensorData, tolerance: f32) -> Result<(), TestCaseError> {
    prop_assert_eq!(&found.shape, &expected.shape, "{}", what);
    for (i, (a, b)) in found.iter::<f32>().zip(expected.iter::<f32>()).enumerate() {
        prop_assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{} at {}: {} instead of {}", what, i, a, b);
    }
    Ok(())
}

/// Attention as one would write it on paper: keys repeated, everything scored, the rest hidden.
pub(crate) fn on_paper<B: Backend>([query, key, value]: [Tensor<B, 4>; 3], reaches: &[Reach]) -> Tensor<B, 4> {
    let [rows, tokens, heads, width] = query.dims();
    let [_, keys, groups, _] = key.dims();
    let repeat = |x: Tensor<B, 4>| {
        x.unsqueeze_dim::<5>(3).repeat_dim(3, heads / groups).reshape([rows, keys, heads, width]).swap_dims(1, 2)
    };
    let scores = query.swap_dims(1, 2).matmul(repeat(key).transpose()).div_scalar((width as f64).sqrt());
    let hidden = reaches.iter().map(|reach| reach.dense().hidden::<B>(&scores.device()).unsqueeze::<3>());
    let hidden = Tensor::stack::<4>(hidden.collect(), 0).expand([rows, heads, tokens, keys]);
    softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 3).matmul(repeat(value)).swap_dims(1, 2)
}

/// A row of `len` tokens: documents, adjacent anchors, anchors first and last, or none at all.
pub(crate) fn row(len: usize, seed: u64) -> Vec<Place> {
    let mut state = seed | 1;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let often = [2, 5, 24, u64::MAX][next(4) as usize];
    let mut documents = vec![Vec::new()];
    for _ in 0..len {
        if next(40) == 0 {
            documents.push(Vec::new());
        }
        documents.last_mut().unwrap().push(often != u64::MAX && next(often) == 0);
    }
    Segments::from_documents(documents.iter().map(Vec::as_slice)).places().to_vec()
}
