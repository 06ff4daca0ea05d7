//! Next-token cross-entropy over a vocabulary, with its gradient.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use crate::kernels::Kernels;
use crate::primitive::{primitive, tensor};

/// What scores say of the answers.
#[derive(Debug, Clone)]
pub struct CrossEntropy<T> {
    /// `−log p(answer)`, `[N, 1]`.
    pub surprise: T,
    /// `log Σ exp(score)`, `[N, 1]`.
    pub log_sum: T,
    /// `scale·(p − hit·onehot(answer))`, `[N, V]`.
    pub slope: T,
}

/// How the gradient is formed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// What the answer counts: 1 where it is all that is learnt from, 0 for shares alone.
    pub hit: f64,
    /// What everything is multiplied by.
    pub scale: f64,
}

/// The cross-entropy of `answers`, `[N, 1]`, under the softmax of `scores`, `[N, V]` in 32 bits, and the gradient of the
/// scores. It takes their place in memory where this is their only holder and the backend can. A row with a score that is
/// not a number has a loss that is none.
pub fn cross_entropy<B: Kernels>(
    scores: Tensor<B, 2>,
    answers: Tensor<B, 2, Int>,
    slope: Slope,
) -> CrossEntropy<Tensor<B, 2>> {
    let found = B::cross_entropy(primitive(scores), answers.into_primitive(), slope);
    let CrossEntropy { surprise, log_sum, slope } = found;
    CrossEntropy { surprise: tensor(surprise), log_sum: tensor(log_sum), slope: tensor(slope) }
}

pub(crate) fn reference<B: Kernels>(
    scores: FloatTensor<B>,
    answers: IntTensor<B>,
    Slope { hit, scale }: Slope,
) -> CrossEntropy<FloatTensor<B>> {
    let (scores, answers) = (tensor::<B, 2>(scores), Tensor::<B, 2, Int>::from_primitive(answers));
    let highest = scores.clone().max_dim(1);
    let shifted = scores - highest.clone();
    let weights = shifted.clone().exp();
    let sum = weights.clone().sum_dim(1);
    let log = sum.clone().log();
    let surprise = log.clone() - crate::pick(shifted, answers.clone());
    let shares = weights / sum;
    let slope = match hit == 0.0 {
        true => shares,
        false => {
            let hit = Tensor::full(answers.dims(), -hit, (&shares.device(), shares.dtype()));
            shares.scatter(1, answers, hit, IndexingUpdateOp::Add)
        }
    };
    let slope = if scale == 1.0 { slope } else { slope.mul_scalar(scale) };
    CrossEntropy { surprise: primitive(surprise), log_sum: primitive(log + highest), slope: primitive(slope) }
}
