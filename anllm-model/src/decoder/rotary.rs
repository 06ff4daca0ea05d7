//! Rotary position embedding. Each pair of channels `(i, i + D/2)` of a query or key turns by `position · frequency_i`,
//! so that their products depend on distance alone. Keys and queries are turned to the original positions of the document
//! when they are made; where a policy renumbers, some are turned on from there ([`Rotary::onward`]).

use anllm_kernels::{Kernels, rotate};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use anllm_core::Renumber;

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
        let angles = positions.iter().flat_map(|p| frequencies.iter().map(|w| angle(*p, *w)));
        Self::of_angles(angles.collect(), amplitude, [rows, positions.len() / rows.max(1)], dtype, device)
    }

    /// Tables that turn what stands at one position to another, `[1, N]`.
    pub(crate) fn onward(frequencies: &[f64], moves: &[Renumber], dtype: DType, device: &B::Device) -> Self {
        let angles = moves.iter().flat_map(|m| frequencies.iter().map(|w| angle(m.to, *w) - angle(m.from, *w)));
        Self::of_angles(angles.collect(), 1.0, [1, moves.len()], dtype, device)
    }

    fn of_angles(
        angles: Vec<f64>,
        amplitude: f64,
        [rows, tokens]: [usize; 2],
        dtype: DType,
        device: &B::Device,
    ) -> Self {
        let channels = angles.len() / (rows * tokens).max(1);
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|angle| (amplitude * f(*angle)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [rows, tokens, channels]), (device, dtype))
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// Turns queries or keys, `[B, T, H, D]`.
    pub fn apply(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        rotate(x, self.cos.clone(), self.sin.clone())
    }
}

/// The angle in radians that a pair of channels of this frequency turns by at a position.
///
/// Up to some thousand turns it is rounded to 32 bits, as the implementations compute it that models were trained with.
/// Beyond, that would be wrong by more than a thousandth of a radian, and by a twentieth after a million positions: the
/// product is then taken in 64 bits, of the frequency that 32 bits hold.
pub fn angle(position: usize, frequency: f64) -> f64 {
    const EXACT_ENOUGH: f32 = 16_384.0;
    let rounded = position as f32 * frequency as f32;
    if rounded < EXACT_ENOUGH { f64::from(rounded) } else { position as f64 * f64::from(frequency as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_the_references_where_those_are_right_and_right_where_not() {
        let frequency = 10_000f64.powf(-2.0 / 64.0);
        for position in [0, 1, 511, 8191] {
            assert_eq!(angle(position, frequency), f64::from(position as f32 * frequency as f32));
        }
        // At a million positions neighbours must still be one step apart.
        for position in [1_000_000usize, 16_777_217, 100_000_001] {
            let step = angle(position + 1, frequency) - angle(position, frequency);
            assert!((step - frequency).abs() < 1e-7, "{position}: {step}");
            let rounded = f64::from(position as f32 * frequency as f32);
            assert!((angle(position, frequency) - rounded).abs() > 1e-3, "32 bits were enough at {position}");
        }
    }
}
