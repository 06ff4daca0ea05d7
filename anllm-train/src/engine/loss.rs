//! Next-token cross-entropy with its gradient, worked out in chunks of positions: the logits of a batch over a
//! vocabulary of 49,152 would be larger than the model.

use anllm_kernels::{Kernels, Slope, add_product, product};
use burn::module::ParamId;
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, IndexingUpdateOp, Int, Tensor, TensorData};

use super::gradients::Gradients;
use super::rows::Question;

/// How the loss is formed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossOptions {
    /// What each position's loss counts: one over the number of positions of the whole step.
    pub scale: f64,
    /// Bytes that one chunk of logits may take.
    pub chunk_bytes: usize,
}

/// Learning from another model's scores beside the text (Hinton et al. 2015, at temperature 1).
#[derive(Debug, Clone)]
pub struct Distillation<B: Backend> {
    /// The teacher's hidden states, `[B·T, C]`.
    pub hidden: Tensor<B, 2>,
    /// The teacher's head, `[V, C]`.
    pub head: Tensor<B, 2>,
    /// Share of the divergence from the teacher in the loss, from 0 to 1; the cross-entropy has the rest.
    pub weight: f64,
}

/// What the positions of a pass lost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Losses {
    /// Cross-entropy of each question, in nats.
    pub cross_entropy: Vec<f32>,
    /// Divergence from the teacher of each question, in nats; empty without one.
    pub divergence: Vec<f32>,
}

/// The output matrix that the loss goes through.
pub(crate) struct Head<B: Backend> {
    /// `[V, C]`.
    pub(crate) weight: Tensor<B, 2>,
    /// How much of it learns.
    pub(crate) learns: Learns,
}

/// How much of a matrix over the vocabulary learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learns {
    /// Nothing: it is frozen.
    Nothing,
    /// The row of this token, in this parameter.
    Row(ParamId, u32),
    /// Everything in this parameter.
    All(ParamId),
}

/// The loss of `questions` on `hidden` `[B·T, C]`, and its gradient there. The head's own gradient is added to
/// `gradients`.
pub(crate) fn cross_entropy<B: Kernels>(
    hidden: Tensor<B, 2>,
    head: &Head<B>,
    questions: &[Question],
    distillation: Option<&Distillation<B>>,
    options: LossOptions,
    gradients: &mut Gradients<B>,
) -> (Losses, Tensor<B, 2>) {
    let device = hidden.device();
    let [vocab, _] = head.weight.dims();
    let at_once = (options.chunk_bytes / (vocab * 4)).max(16);
    let dtype = FloatDType::from(hidden.dtype());
    let matrix = head.weight.clone().cast(dtype);
    let mut losses = Losses::default();
    let mut of_hidden = hidden.zeros_like();
    let mut of_head: Option<(ParamId, Tensor<B, 2>)> = None;
    for chunk in questions.chunks(at_once) {
        let positions = indices(chunk.iter().map(|q| q.position as i32), &device);
        let answers = indices(chunk.iter().map(|q| q.answer as i32), &device).unsqueeze_dim::<2>(1);
        let states = hidden.clone().select(0, positions.clone());
        let scores = logits(states.clone(), &matrix);
        // ∂/∂logits of the cross-entropy is p − onehot; of the divergence from a teacher, p − p_teacher.
        let of_text = distillation.map_or(1.0, |teacher| 1.0 - teacher.weight);
        let ours = Slope { hit: of_text, scale: options.scale };
        let slope = match distillation {
            None => {
                let found = anllm_kernels::cross_entropy(scores, answers, ours);
                losses.cross_entropy.extend(values(found.surprise));
                found.slope
            }
            Some(teacher) => {
                let theirs = logits(teacher.hidden.clone().select(0, positions.clone()), &teacher.head);
                let apart = theirs.clone() - scores.clone();
                let found = anllm_kernels::cross_entropy(scores, answers.clone(), ours);
                let taught = anllm_kernels::cross_entropy(theirs, answers, Slope { hit: 0.0, scale: 1.0 });
                losses.cross_entropy.extend(values(found.surprise));
                // Σ p_teacher·(log p_teacher − log p)
                let divergence = (taught.slope.clone() * apart).sum_dim(1) - taught.log_sum + found.log_sum;
                losses.divergence.extend(values(divergence));
                found.slope - taught.slope.mul_scalar(teacher.weight * options.scale)
            }
        };
        let slope = slope.cast(dtype);

        let back = product(slope.clone(), matrix.clone());
        of_hidden = of_hidden.select_assign(0, positions, back, IndexingUpdateOp::Add);
        let (parameter, slope) = match head.learns {
            Learns::Nothing => continue,
            Learns::Row(parameter, token) => (parameter, slope.narrow(1, token as usize, 1)),
            Learns::All(parameter) => (parameter, slope),
        };
        let slope = slope.transpose();
        of_head = Some(match of_head {
            Some((_, sum)) => (parameter, add_product(sum, slope, states)),
            None => (parameter, product(slope, states).cast(FloatDType::from(head.weight.dtype()))),
        });
    }
    if let Some((parameter, gradient)) = of_head {
        gradients.add(parameter, gradient);
    }
    (losses, of_hidden)
}

/// The loss of `questions` alone.
pub(crate) fn surprise<B: Kernels>(
    hidden: Tensor<B, 2>,
    head: &Tensor<B, 2>,
    questions: &[Question],
    chunk_bytes: usize,
) -> Vec<f32> {
    let device = hidden.device();
    let at_once = (chunk_bytes / (head.dims()[0] * 4)).max(16);
    let of_chunk = |chunk: &[Question]| {
        let positions = indices(chunk.iter().map(|q| q.position as i32), &device);
        let answers = indices(chunk.iter().map(|q| q.answer as i32), &device).unsqueeze_dim::<2>(1);
        let scores = logits(hidden.clone().select(0, positions), head);
        values(anllm_kernels::cross_entropy(scores, answers, Slope { hit: 0.0, scale: 1.0 }).surprise)
    };
    questions.chunks(at_once).flat_map(of_chunk).collect()
}

/// The logits of `N` positions, `[N, V]` in 32 bits.
fn logits<B: Kernels>(states: Tensor<B, 2>, head: &Tensor<B, 2>) -> Tensor<B, 2> {
    product(states, head.clone().transpose()).cast(FloatDType::F32)
}

fn indices<B: Backend>(values: impl Iterator<Item = i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i32> = values.collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn values<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
