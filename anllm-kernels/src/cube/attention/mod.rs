//! Attention over what each query reaches, on a GPU.

mod fetch;
mod forward;
mod launch;
mod products;
mod seen;
mod tile;

use burn::tensor::{DType, Shape};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement};
use burn_fusion::Fusion;

use super::fusion::{Deferred, defer};
use crate::attention::{Attended, Reaches, reference};

/// Attention as a call among those that Burn fuses.
pub(super) fn forward<R: CubeRuntime, F: FloatElement, BT: BoolElement>(
    query: Deferred<R>,
    key: Deferred<R>,
    value: Deferred<R>,
    reaches: &Reaches<Fusion<CubeBackend<R, F, i32, BT>>>,
) -> Attended<Fusion<CubeBackend<R, F, i32, BT>>> {
    let lists = reaches.ahead(query.client.device());
    let shape = query.shape.clone();
    let sums = Shape::from(shape.as_slice()[..3].to_vec());
    let outputs = [(shape, DType::F32), (sums, DType::F32)];
    let inputs = [query, key, value, lists.looks, lists.far];
    let [output, log_sum] = defer("anllm reach attention", inputs, outputs, launch::forward::<R>);
    Attended { output, log_sum }
}
