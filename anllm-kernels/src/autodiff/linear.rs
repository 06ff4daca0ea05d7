//! `x·Wᵀ` and its gradients `g·W` and `gᵀ·x`.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

use crate::kernels::Kernels;
use crate::linear::product;
use crate::primitive::{primitive, tensor};

#[derive(Debug)]
struct Linear;

impl<B: Kernels> Backward<B, 2> for Linear {
    /// `x` where the weight learns, the weight where `x` does.
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let slope = tensor::<B, 2>(grads.consume::<B>(&ops.node));
        let [of_x, of_weight] = ops.parents;
        let (x, weight) = ops.state;
        if let (Some(node), Some(x)) = (of_weight, x) {
            grads.register::<B>(node.id, primitive(product(slope.clone().transpose(), tensor::<B, 2>(x))));
        }
        if let (Some(node), Some(weight)) = (of_x, weight) {
            grads.register::<B>(node.id, primitive(product(slope, tensor::<B, 2>(weight))));
        }
    }
}

pub(super) fn linear<B: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let output = B::times_transposed(x.primitive.clone(), weight.primitive.clone());
    match Linear.prepare::<C>([x.node.clone(), weight.node.clone()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (of_x, of_weight) = (x.is_tracked(), weight.is_tracked());
            let state = (of_weight.then_some(x.primitive), of_x.then_some(weight.primitive));
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}
