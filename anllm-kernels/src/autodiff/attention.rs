//! Attention under differentiation: inputs, output and the sums of the scores are kept, the shares are worked out again.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

use burn::tensor::backend::AutodiffBackend;

use crate::attention::{Attended, Reaches};
use crate::kernels::Kernels;

#[derive(Debug)]
struct Attention;

/// What attention's gradient needs: memory of the order of its inputs.
#[derive(Debug, Clone)]
struct State<B: Kernels> {
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    attended: Attended<B>,
    reaches: Reaches<B>,
}

impl<B: Kernels> Backward<B, 3> for Attention {
    type State = State<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let slope = grads.consume::<B>(&ops.node);
        let State { query, key, value, attended, reaches } = ops.state;
        let found = B::reach_attention_backward(query, key, value, attended, slope, &reaches);
        for (node, gradient) in ops.parents.into_iter().zip([found.query, found.key, found.value]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The sums carry no gradient.
pub(super) fn attention<B: Kernels, C: CheckpointStrategy>(
    query: FloatTensor<Autodiff<B, C>>,
    key: FloatTensor<Autodiff<B, C>>,
    value: FloatTensor<Autodiff<B, C>>,
    reaches: &Reaches<B>,
) -> Attended<Autodiff<B, C>> {
    let attended = B::reach_attention(query.primitive.clone(), key.primitive.clone(), value.primitive.clone(), reaches);
    let log_sum = Autodiff::<B, C>::from_inner(attended.log_sum.clone());
    let nodes = [query.node.clone(), key.node.clone(), value.node.clone()];
    let output = match Attention.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let output = attended.output.clone();
            let (query, key, value) = (query.primitive, key.primitive, value.primitive);
            prep.finish(State { query, key, value, attended, reaches: reaches.clone() }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(attended.output),
    };
    Attended { output, log_sum }
}
