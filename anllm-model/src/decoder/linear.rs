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
        let [y] = Self::forward_each(x, [self]);
        y
    }

    /// [`forward`](Self::forward) of each of some layers.
    pub fn forward_each<const N: usize>(x: Tensor<B, 3>, layers: [&Self; N]) -> [Tensor<B, 3>; N] {
        let [rows, tokens, width] = x.dims();
        // One matrix product over all rows: two dimensions take the fastest path of every backend.
        let x = x.reshape([rows * tokens, width]);
        let mut products = Weight::times_each(x.clone(), layers.map(|layer| &layer.weight)).into_iter();
        layers.map(|layer| {
            // As many as there are layers.
            let Some(y) = products.next() else { unreachable!("a product for each layer") };
            let [_, out] = y.dims();
            layer.added_to(y, &x).reshape([rows, tokens, out])
        })
    }

    /// `y` `[N, out]`, the product of `x` `[N, in]` with the weight, with what else the layer adds.
    fn added_to(&self, y: Tensor<B, 2>, x: &Tensor<B, 2>) -> Tensor<B, 2> {
        let y = match &self.bias {
            Some(bias) => {
                let dtype = FloatDType::from(y.dtype());
                y + bias.val().cast(dtype).unsqueeze()
            }
            None => y,
        };
        match &self.adapter {
            Some(adapter) => y + adapter.forward(x.clone()),
            None => y,
        }
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
