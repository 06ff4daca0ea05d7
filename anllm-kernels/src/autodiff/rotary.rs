//! The rotation under differentiation: gradients turn back. The angles are no parameters.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

use crate::kernels::Kernels;
use crate::rotary::Turn;

#[derive(Debug)]
struct Rotate;

/// The angles, and which way the input turned.
#[derive(Debug, Clone)]
struct State<F> {
    cos: F,
    sin: F,
    turn: Turn,
}

impl<B: Kernels> Backward<B, 1> for Rotate {
    type State = State<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let slope = grads.consume::<B>(&ops.node);
        let State { cos, sin, turn } = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::rotate(slope, cos, sin, turn.reversed()));
        }
    }
}

pub(super) fn rotate<B: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    cos: FloatTensor<Autodiff<B, C>>,
    sin: FloatTensor<Autodiff<B, C>>,
    turn: Turn,
) -> FloatTensor<Autodiff<B, C>> {
    let output = B::rotate(x.primitive, cos.primitive.clone(), sin.primitive.clone(), turn);
    match Rotate.prepare::<C>([x.node]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(State { cos: cos.primitive, sin: sin.primitive, turn }, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}
