//! Rows of tokens on the device, with everything the blocks share: ids, rotary tables and mask, each made once.

use anllm_core::{CachePolicy, Place, Positions, Renumbering, Settled, visible};
use anllm_kernels::{Kernels, Reaches};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::mask::{AttentionMask, lowest};
use super::model::{Decoder, on_device};
use super::renumbered::Renumbered;
use super::rotary::Rotary;

/// One row: its token ids and where each of them stands.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// `T` ids.
    pub ids: &'a [u32],
    /// `T` places.
    pub places: &'a [Place],
}

/// What the tokens of a batch see of each other.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    /// What a policy says.
    Policy(&'a dyn CachePolicy),
    /// The anchor mask, closing: what it will hide still counts with this weight, from 1 (full attention) to 0.
    Closing(f64),
}

/// Rows of equal length, ready for a decoder.
#[derive(Debug, Clone)]
pub struct Batch<B: Backend> {
    /// `[B·T]`.
    pub(crate) ids: Tensor<B, 1, Int>,
    /// Number of rows, `B`.
    pub(crate) rows: usize,
    /// What activations are computed in.
    pub(crate) dtype: DType,
    /// Positions, turned.
    pub rotary: Rotary<B>,
    /// What sees what.
    pub mask: AttentionMask<B>,
}

impl<B: Kernels> Batch<B> {
    /// Prepares `rows`, which must all have the same length, for `decoder`.
    ///
    /// A closing mask is written out, `T × T` for each row.
    pub fn new(decoder: &Decoder<B>, rows: &[Row<'_>], sight: Sight<'_>) -> Self {
        Self::computed_in(decoder.dtype(), decoder, rows, sight)
    }

    /// The same with activations of another type than the weights, which are cast where they are used: mixed precision.
    pub fn computed_in(dtype: DType, decoder: &Decoder<B>, rows: &[Row<'_>], sight: Sight<'_>) -> Self {
        let device = decoder.device();
        let positions: Vec<usize> = rows.iter().flat_map(|row| row.places).map(|p| p.position).collect();
        Self {
            ids: on_device(rows.iter().flat_map(|row| row.ids.iter().copied()), &device),
            rows: rows.len(),
            dtype,
            rotary: decoder.rotary(&positions, rows.len(), dtype, &device),
            mask: match sight {
                Sight::Policy(policy) if policy.positions() == Positions::Renumbered => {
                    let renumbered = |row: &Row<'_>| {
                        let reach = policy.reach(row.places, row.places);
                        let turned = Renumbering::of(&reach, row.places, 0, Settled::default());
                        Renumbered::new(&reach, &turned, &decoder.frequencies, dtype, &device)
                    };
                    AttentionMask::Renumbered(rows.iter().map(renumbered).collect())
                }
                Sight::Policy(policy) => AttentionMask::Reaches(Reaches::new(
                    rows.iter().map(|r| policy.reach(r.places, r.places)).collect(),
                )),
                Sight::Closing(weight) => closing(rows, weight, dtype, &device),
            },
        }
    }
}

/// `[B, 1, T, T]`.
fn closing<B: Kernels>(rows: &[Row<'_>], weight: f64, dtype: DType, device: &B::Device) -> AttentionMask<B> {
    let shut = lowest(dtype);
    let fading = (weight.max(0.0).ln() as f32).max(shut);
    let bias = |query: &Place, key: &Place| match () {
        () if visible(query, key) => 0.0,
        () if query.document == key.document && key.index <= query.index => fading,
        () => shut,
    };
    let values: Vec<f32> = rows
        .iter()
        .flat_map(|row| row.places.iter().flat_map(move |q| row.places.iter().map(move |k| bias(q, k))))
        .collect();
    let tokens = rows.first().map_or(0, |row| row.ids.len());
    AttentionMask::Bias(Tensor::from_data(TensorData::new(values, [rows.len(), 1, tokens, tokens]), (device, dtype)))
}
