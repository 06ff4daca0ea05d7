//! Rotary position embedding. Each pair of channels `(i, i + D/2)` of a query or key turns by `position · frequency_i`,
//! so that their products depend on distance alone. Positions are the original ones of the document, always: entries
//! that a cache keeps are never renumbered.

use anllm_kernels::{Kernels, rotate};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

/// Cosines and sines for one set of tokens, shared by all layers.
#[derive(Debug, Clone)]
pub struct Rotary<B: Backend> {
    /// `[B, T, D/2]`.
    cos: Tensor<B, 3>,
    /// `[B, T, D/2]`.
    sin: Tensor<B, 3>,
}

impl<B: Kernels> Rotary<B> {
    /// Tables for `rows` rows of tokens, `positions` listing row after row.
    ///
    /// `frequencies` are radians per position, `D/2` of them; `amplitude` scales both tables (1 but for yarn).
    pub fn new(
        frequencies: &[f64],
        amplitude: f64,
        positions: &[usize],
        rows: usize,
        dtype: DType,
        device: &B::Device,
    ) -> Self {
        let tokens = positions.len() / rows.max(1);
        let table = |f: fn(f64) -> f64| {
            // The angle is rounded to 32 bits before its cosine, as reference implementations compute it.
            let angle = |p: &usize, w: &f64| f64::from(*p as f32 * *w as f32);
            let values: Vec<f32> = positions
                .iter()
                .flat_map(|p| frequencies.iter().map(move |w| (amplitude * f(angle(p, w))) as f32))
                .collect();
            let data = TensorData::new(values, [rows, tokens, frequencies.len()]);
            Tensor::from_data(data, (device, dtype))
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// Turns queries or keys, `[B, T, H, D]`.
    pub fn apply(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        rotate(x, self.cos.clone(), self.sin.clone())
    }
}
