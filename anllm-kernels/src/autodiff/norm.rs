//! The norm under differentiation.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

use crate::kernels::Kernels;

#[derive(Debug)]
struct RmsNorm;

/// What the norm's gradient needs.
#[derive(Debug, Clone)]
struct State<F> {
    x: F,
    weight: F,
    epsilon: f64,
}

impl<B: Kernels> Backward<B, 2> for RmsNorm {
    type State = State<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let slope = grads.consume::<B>(&ops.node);
        let State { x, weight, epsilon } = ops.state;
        let (of_x, of_weight) = B::rms_norm_backward(x, weight, epsilon, slope);
        for (node, gradient) in ops.parents.into_iter().zip([of_x, of_weight]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

pub(super) fn rms_norm<B: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    epsilon: f64,
) -> FloatTensor<Autodiff<B, C>> {
    let output = B::rms_norm(x.primitive.clone(), weight.primitive.clone(), epsilon);
    match RmsNorm.prepare::<C>([x.node.clone(), weight.node.clone()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(State { x: x.primitive, weight: weight.primitive, epsilon }, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}
