//! `l·r` and its gradients `g·rᵀ` and `lᵀ·g`.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::TensorMetadata;
use burn::tensor::ops::{FloatTensor, FloatTensorOps};

use crate::kernels::Kernels;

#[derive(Debug)]
struct Product;

impl<B: Kernels> Backward<B, 2> for Product {
    /// The left matrices where the right ones learn, the right ones where the left do.
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let slope = grads.consume::<B>(&ops.node);
        let [of_left, of_right] = ops.parents;
        let (left, right) = ops.state;
        if let (Some(node), Some(left)) = (of_right, left) {
            grads.register::<B>(node.id, B::product(B::float_transpose(left), slope.clone()));
        }
        if let (Some(node), Some(right)) = (of_left, right) {
            grads.register::<B>(node.id, B::product(slope, B::float_transpose(right)));
        }
    }
}

pub(super) fn product<B: Kernels, C: CheckpointStrategy>(
    left: FloatTensor<Autodiff<B, C>>,
    right: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let batches = |tensor: &FloatTensor<B>| {
        let shape = tensor.shape();
        shape[..shape.num_dims() - 2].to_vec()
    };
    if batches(&left.primitive) != batches(&right.primitive) {
        // Where one is used for several of the other, gradients are sums.
        return Autodiff::<B, C>::float_matmul(left, right);
    }
    let output = B::product(left.primitive.clone(), right.primitive.clone());
    match Product.prepare::<C>([left.node.clone(), right.node.clone()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (of_left, of_right) = (left.is_tracked(), right.is_tracked());
            let state = (of_right.then_some(left.primitive), of_left.then_some(right.primitive));
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}
