//! Forward and backward through the decoder, a block at a time.

use anllm_kernels::{Kernels, TrainableKernels};
use anllm_model::Decoder;
use anllm_model::decoder::{Batch, Sight};
use burn::module::{AutodiffModule, Module};
use burn::tensor::{DType, Tensor};

use super::gradients::Gradients;
use super::loss::{Distillation, Head, Learns, LossOptions, Losses, cross_entropy, surprise};
use super::rows::Prepared;

/// What happens to a block's intermediate results between forward and backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recompute {
    /// They are kept: fastest, and memory grows with the number of blocks.
    #[default]
    Never,
    /// They are dropped and computed again (gradient checkpointing, Chen et al. 2016): a third more work, the memory
    /// of one block.
    Blocks,
}

/// How a pass runs.
#[derive(Debug, Clone, Copy)]
pub struct PassOptions<'a> {
    /// What tokens see of each other.
    pub sight: Sight<'a>,
    /// Keep or recompute.
    pub recompute: Recompute,
    /// What activations and their gradients are computed in. Weights, their gradients and the loss stay as they are.
    pub compute: DType,
    /// The loss.
    pub loss: LossOptions,
    /// Where the random choices of this pass start (dropout).
    pub seed: u64,
    /// A token whose rows of the embedding and the output matrix learn where these are frozen.
    pub row: Option<u32>,
}

/// A decoder's passes over prepared rows.
#[derive(Debug)]
pub struct Pass<'a, A: TrainableKernels> {
    /// The weights.
    pub decoder: &'a Decoder<A>,
}

/// What is kept of one block.
enum Stage<A: TrainableKernels> {
    /// Its input and its output, with the graph between them.
    Graph { input: Tensor<A, 3>, output: Tensor<A, 3> },
    /// Its input.
    Input(Tensor<A::InnerBackend, 3>),
}

impl<A: TrainableKernels> Pass<'_, A> {
    /// The loss of `rows`; gradients are added to `gradients`.
    pub fn backward(
        &self,
        rows: &Prepared,
        teacher: Option<(&Decoder<A::InnerBackend>, f64)>,
        options: PassOptions<'_>,
        gradients: &mut Gradients<A::InnerBackend>,
    ) -> Losses {
        let decoder = self.decoder;
        let batch = rows.batch(decoder, options.sight, options.compute);
        let distillation = teacher.map(|(teacher, weight)| distillation(teacher, rows, weight));

        let embedded = decoder.embed_batch(&batch);
        let mut x = embedded.clone().inner();
        let mut stages = Vec::with_capacity(decoder.blocks.len());
        for layer in 0..decoder.blocks.len() {
            x = match options.recompute {
                Recompute::Never => {
                    let (input, output) = self.block(layer, x, &batch, options.seed);
                    let x = output.clone().inner();
                    stages.push(Stage::Graph { input, output });
                    x
                }
                Recompute::Blocks => {
                    stages.push(Stage::Input(x.clone()));
                    self.without_graph(layer, x, &batch, options.seed)
                }
            };
        }

        let last = Tensor::<A, 3>::from_inner(x).require_grad();
        let hidden = decoder.norm.forward(last.clone());
        let [number, tokens, width] = hidden.dims();
        let flat = hidden.clone().inner().reshape([number * tokens, width]);
        let head = head(decoder, options.row);
        let (losses, slope) =
            cross_entropy(flat, &head, rows.questions(), distillation.as_ref(), options.loss, gradients);
        let slope = slope.reshape([number, tokens, width]);
        let mut slope = pull(&decoder.norm, &last, hidden, slope, gradients);

        while let Some(stage) = stages.pop() {
            let layer = stages.len();
            let (input, output) = match stage {
                Stage::Graph { input, output } => (input, output),
                Stage::Input(x) => self.block(layer, x, &batch, options.seed),
            };
            slope = pull(&decoder.blocks[layer], &input, output, slope, gradients);
        }
        // The embedding is the last to learn, and adds to what the head found where both are one matrix.
        if let Some(embedding) = decoder.embedding.parameter() {
            if embedding.val().is_require_grad() {
                let mut found = (embedded * Tensor::from_inner(slope)).sum().backward();
                if let Some(gradient) = embedding.val().grad_remove(&mut found) {
                    gradients.add(embedding.id, gradient);
                }
            } else if let Some(token) = options.row {
                gradients.add(embedding.id, rows.of_token(token, slope));
            }
        }
        losses
    }

    /// A block's output alone. Autodiff would hold a graph until the next backward pass, even where nobody has its end,
    /// so that none is made: nothing is asked for its gradient. It stays the backend of training, for dropout.
    fn without_graph(
        &self,
        layer: usize,
        x: Tensor<A::InnerBackend, 3>,
        batch: &Batch<A>,
        seed: u64,
    ) -> Tensor<A::InnerBackend, 3> {
        A::seed(&x.device(), seed.wrapping_add((layer as u64) << 32));
        let block = self.decoder.blocks[layer].clone().no_grad();
        block.forward(Tensor::from_inner(x), &batch.rotary, &batch.mask).inner()
    }

    /// A block's input, ready to receive a gradient, and its output. The random choices are the same each time.
    fn block(
        &self,
        layer: usize,
        x: Tensor<A::InnerBackend, 3>,
        batch: &Batch<A>,
        seed: u64,
    ) -> (Tensor<A, 3>, Tensor<A, 3>) {
        A::seed(&x.device(), seed.wrapping_add((layer as u64) << 32));
        let input = Tensor::<A, 3>::from_inner(x).require_grad();
        let output = self.decoder.blocks[layer].forward(input.clone(), &batch.rotary, &batch.mask);
        (input, output)
    }
}

/// Cross-entropy of every question, without gradients.
pub(crate) fn evaluate<B: Kernels>(decoder: &Decoder<B>, rows: &Prepared, sight: Sight<'_>, bytes: usize) -> Vec<f32> {
    let hidden = decoder.forward_batch(&rows.batch(decoder, sight, decoder.dtype()));
    let [number, tokens, width] = hidden.dims();
    surprise(
        hidden.reshape([number * tokens, width]),
        &decoder.output_weight().values(&decoder.device()),
        rows.questions(),
        bytes,
    )
}

/// Carries the gradient of `output` back to `input`; what the parameters of `module` get is collected.
fn pull<A: TrainableKernels, M: AutodiffModule<A>>(
    module: &M,
    input: &Tensor<A, 3>,
    output: Tensor<A, 3>,
    slope: Tensor<A::InnerBackend, 3>,
    gradients: &mut Gradients<A::InnerBackend>,
) -> Tensor<A::InnerBackend, 3> {
    // The sum's gradient is 1, so that the output's is `slope`.
    let mut found = (output * Tensor::from_inner(slope)).sum().backward();
    gradients.collect::<A, M>(module, &mut found);
    input.grad_remove(&mut found).unwrap_or_else(|| input.clone().inner().zeros_like())
}

fn head<A: TrainableKernels>(decoder: &Decoder<A>, row: Option<u32>) -> Head<A::InnerBackend> {
    let output = decoder.output_weight();
    let weight = output.values(&decoder.device());
    let parameter = output.parameter().map(|parameter| parameter.id);
    let learns = match (parameter, weight.is_require_grad(), row) {
        (Some(parameter), true, _) => Learns::All(parameter),
        (Some(parameter), false, Some(token)) => Learns::Row(parameter, token),
        _ => Learns::Nothing,
    };
    Head { learns, weight: weight.inner() }
}

/// The teacher sees everything: full attention over each document.
fn distillation<B: Kernels>(teacher: &Decoder<B>, rows: &Prepared, weight: f64) -> Distillation<B> {
    let hidden = teacher.forward_batch(&rows.batch(teacher, Sight::Policy(&anllm_core::FullPolicy), teacher.dtype()));
    let [number, tokens, width] = hidden.dims();
    Distillation {
        hidden: hidden.reshape([number * tokens, width]),
        head: teacher.output_weight().values(&teacher.device()),
        weight,
    }
}
