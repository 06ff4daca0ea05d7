//! `y = x·Wᵀ + b`, with the weight kept as checkpoints store it.

use anllm_kernels::{Kernels, PackedMatrix, add_gated_packed, add_linear_packed, norm_linear_packed_each, swiglu};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use super::adapter::Adapter;
use super::norm::RmsNorm;
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

    /// [`forward_each`](Self::forward_each) of `norm`'s result.
    pub fn forward_each_of_norm<const N: usize>(
        x: Tensor<B, 3>,
        norm: &RmsNorm<B>,
        layers: [&Self; N],
    ) -> [Tensor<B, 3>; N] {
        let matrices = Weight::all_packed(layers.map(|layer| &layer.weight));
        let Some(matrices) = matrices.filter(|_| layers.iter().all(|layer| layer.adapter.is_none())) else {
            return Self::forward_each(norm.forward(x), layers);
        };
        let [rows, tokens, width] = x.dims();
        let x = x.reshape([rows * tokens, width]);
        let weight = norm.weight_as(x.dtype());
        let mut products = norm_linear_packed_each(x, weight, norm.eps, matrices).into_iter();
        layers.map(|layer| {
            // As many as there are layers.
            let Some(y) = products.next() else { unreachable!("a product for each layer") };
            let [_, out] = y.dims();
            layer.with_bias(y).reshape([rows, tokens, out])
        })
    }

    /// `sum + forward(x)`: `sum` is `[B, T, out]`, `x` `[B, T, in]`.
    pub fn add_to(&self, sum: Tensor<B, 3>, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match self.alone() {
            Some(matrix) => {
                let shape = sum.dims();
                add_linear_packed(flat(sum), flat(x), matrix).reshape(shape)
            }
            None => sum + self.forward(x),
        }
    }

    /// `sum + forward(swiglu(gate, up))`: `sum` is `[B, T, out]`, `gate` and `up` are `[B, T, in]`.
    pub fn add_gated_to(&self, sum: Tensor<B, 3>, gate: Tensor<B, 3>, up: Tensor<B, 3>) -> Tensor<B, 3> {
        let (shape, inner) = (sum.dims(), gate.dims());
        match self.alone() {
            Some(matrix) => add_gated_packed(flat(sum), flat(gate), flat(up), matrix).reshape(shape),
            None => sum + self.forward(swiglu(flat(gate), flat(up)).reshape(inner)),
        }
    }

    /// The matrix, where it is packed and all there is.
    fn alone(&self) -> Option<&PackedMatrix> {
        self.weight.packed().filter(|_| self.bias.is_none() && self.adapter.is_none())
    }

    /// `y` `[N, out]`, the product of `x` `[N, in]` with the weight, with what else the layer adds.
    fn added_to(&self, y: Tensor<B, 2>, x: &Tensor<B, 2>) -> Tensor<B, 2> {
        let y = self.with_bias(y);
        match &self.adapter {
            Some(adapter) => y + adapter.forward(x.clone()),
            None => y,
        }
    }

    /// `y`, `[N, out]`, with the bias.
    fn with_bias(&self, y: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.bias {
            Some(bias) => {
                let dtype = FloatDType::from(y.dtype());
                y + bias.val().cast(dtype).unsqueeze()
            }
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

/// `[B, T, C]` as `[B·T, C]`.
fn flat<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 2> {
    let [rows, tokens, width] = x.dims();
    x.reshape([rows * tokens, width])
}
