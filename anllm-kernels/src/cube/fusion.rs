//! How a kernel takes its place among the operations that Burn fuses: it is written down when called, and runs when its
//! turn comes.

use std::fmt;

use burn::tensor::{DType, Shape};
use burn_cubecl::fusion::FusionCubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};
use burn_fusion::stream::{Operation, OperationStreams};
use burn_fusion::{FusionHandle, FusionTensor};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};

/// A tensor of the backend that fuses.
pub(super) type Deferred<R> = FusionTensor<FusionCubeRuntime<R>>;

/// The backend below. All its tensors are of one Rust type, so that its element types make no difference here.
type Plain<R> = CubeBackend<R, f32, i32, u32>;

/// A call that waits for its turn.
struct Call<R: CubeRuntime, const I: usize, const O: usize> {
    description: CustomOpIr,
    run: Box<dyn Run<R, I, O>>,
}

/// What is done then.
trait Run<R: CubeRuntime, const I: usize, const O: usize>:
    Fn([CubeTensor<R>; I]) -> [CubeTensor<R>; O] + Send + Sync
{
}

impl<R: CubeRuntime, const I: usize, const O: usize, F> Run<R, I, O> for F where
    F: Fn([CubeTensor<R>; I]) -> [CubeTensor<R>; O] + Send + Sync
{
}

/// Has `run` called with the `inputs` once they are there. It gives tensors of the shapes and types in `outputs`, which
/// stand for them until then.
///
/// Calls of the same name, with inputs and outputs of the same shapes, must mean the same.
pub(super) fn defer<R: CubeRuntime, const I: usize, const O: usize>(
    name: &'static str,
    inputs: [Deferred<R>; I],
    outputs: [(Shape, DType); O],
    run: impl Fn([CubeTensor<R>; I]) -> [CubeTensor<R>; O] + Send + Sync + 'static,
) -> [Deferred<R>; O] {
    let streams = OperationStreams::with_inputs(&inputs);
    let client = inputs[0].client.clone();
    let outputs = outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    let description = CustomOpIr::new(name, &inputs.map(FusionTensor::into_ir), &outputs);
    let call = Call { description: description.clone(), run: Box::new(run) };
    let mut made = client.register(streams, OperationIr::Custom(description), call).into_iter();
    outputs.map(|_| made.next().expect("one tensor for each output of the description"))
}

impl<R: CubeRuntime, const I: usize, const O: usize> Operation<FusionCubeRuntime<R>> for Call<R, I, O> {
    fn execute(&self, handles: &mut HandleContainer<FusionHandle<FusionCubeRuntime<R>>>) {
        let (inputs, outputs) = self.description.as_fixed::<I, O>();
        let inputs = inputs.each_ref().map(|input| handles.get_float_tensor::<Plain<R>>(input));
        for (output, tensor) in outputs.iter().zip((self.run)(inputs)) {
            handles.register_float_tensor::<Plain<R>>(&output.id, tensor);
        }
    }
}

impl<R: CubeRuntime, const I: usize, const O: usize> fmt::Debug for Call<R, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("description", &self.description).finish_non_exhaustive()
    }
}
