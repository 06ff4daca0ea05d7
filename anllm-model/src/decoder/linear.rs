//! `y = x·Wᵀ + b`, with the weight kept as checkpoints store it.

use anllm_kernels::Kernels;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use super::adapter::Adapter;
use super::weight::Weight;

/// A linear layer.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[out, in]`.
    pub weight: Weight<B>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// A low-rank addition.
    pub adapter: Option<Adapter<B>>,
}

impl<B: Kernels> Linear<B> {
    /// From a weight `[out, in]` and a bias `[out]`.
    pub fn new(weight: Weight<B>, bias: Option<Tensor<B, 1>>) -> Self {
        Self { weight, bias: bias.map(Param::from_tensor), adapter: None }
    }

    /// `[B, T, in]` to `[B, T, out]`, in the type of `x`.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [rows, tokens, width] = x.dims();
        let dtype = FloatDType::from(x.dtype());
        let [out, _] = self.weight.dims();
        // One matrix product over all rows: two dimensions take the fastest path of every backend.
        let x = x.reshape([rows * tokens, width]);
        let added = self.adapter.as_ref().map(|adapter| adapter.forward(x.clone()));
        let y = self.weight.times(x);
        let y = match &self.bias {
            Some(bias) => y + bias.val().cast(dtype).unsqueeze(),
            None => y,
        };
        let y = match added {
            Some(added) => y + added,
            None => y,
        };
        y.reshape([rows, tokens, out])
    }

    /// The layer with its adapter, if any, added to the weight.
    #[must_use]
    pub fn merged(self) -> Self {
        match self.adapter {
            Some(adapter) => Self { weight: self.weight.plus(adapter.delta()), bias: self.bias, adapter: None },
            None => self,
        }
    }
}
