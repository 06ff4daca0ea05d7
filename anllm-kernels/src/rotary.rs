//! Rotary position embedding (Su et al. 2021): pairs of channels turn by an angle that grows with the position.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// By the angle.
    Forward,
    /// Back: the transpose of [`Turn::Forward`], which is how its gradient goes.
    Back,
}

impl Turn {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Back,
            Self::Back => Self::Forward,
        }
    }

    /// What the sine counts.
    pub(crate) fn sign(self) -> f32 {
        match self {
            Self::Forward => 1.0,
            Self::Back => -1.0,
        }
    }
}

/// Turns the channel pairs `(i, i + D/2)` of `x`, `[B, T, H, D]`. Cosines and sines of the angles are
/// `[B | 1, T, D/2]`.
pub fn rotate<B: Kernels>(x: Tensor<B, 4>, cos: Tensor<B, 3>, sin: Tensor<B, 3>) -> Tensor<B, 4> {
    tensor(B::rotate(primitive(x), primitive(cos), primitive(sin), Turn::Forward))
}

pub(crate) fn reference<B: Backend>(
    x: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    turn: Turn,
) -> FloatTensor<B> {
    let x = tensor::<B, 4>(x);
    let cos = tensor::<B, 3>(cos).unsqueeze_dim::<4>(2);
    let sin = tensor::<B, 3>(sin).unsqueeze_dim::<4>(2).mul_scalar(turn.sign());
    let half = x.dims()[3] / 2;
    let first = x.clone().narrow(3, 0, half);
    let second = x.narrow(3, half, half);
    let turned_first = first.clone() * cos.clone() - second.clone() * sin.clone();
    let turned_second = second * cos + first * sin;
    primitive(Tensor::cat(vec![turned_first, turned_second], 3))
}
