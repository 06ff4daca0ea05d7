//! Attention over what each query reaches, on a GPU. `docs/gpu-attention.md` works out the geometry and what it costs.

mod fetch;
mod forward;
mod launch;
mod of_keys;
mod of_queries;
mod products;
mod runs;
mod tile;

use burn::tensor::{DType, FloatDType, Shape};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement};
use burn_fusion::Fusion;

use super::fusion::{Deferred, defer};
use crate::attention::{Attended, AttentionGradients, Reaches, reference};
use crate::primitive::{primitive, tensor};
use launch::Tiles;

/// The backend whose calls are fused.
type Fused<R, F, BT> = Fusion<CubeBackend<R, F, i32, BT>>;

/// The most keys of a single query that one cube walks over. A query alone gives no more cubes than there are key heads;
/// where it sees all keys, nothing is to be left out and matrix products keep the whole device busy.
const ALONE: usize = 1024;

/// Far lists that name each key more often than this, on average, take more memory for gradients than they are worth.
const COPIES: usize = 16;

pub(super) fn forward<R: CubeRuntime, F: FloatElement, BT: BoolElement>(
    query: Deferred<R>,
    key: Deferred<R>,
    value: Deferred<R>,
    reaches: &Reaches<Fused<R, F, BT>>,
) -> Attended<Fused<R, F, BT>> {
    let [_, tokens, _, _] = query.shape.dims();
    let [_, keys, _, _] = key.shape.dims();
    let alone = tokens == 1 && keys > ALONE && reaches.all();
    let Some(tiles) = tiles(&query, &key).filter(|_| !alone) else {
        return reference::forward(query, key, value, reaches);
    };
    let dtype = query.dtype;
    let lists = reaches.ahead(query.client.device());
    let sums = Shape::from(query.shape.as_slice()[..3].to_vec());
    let outputs = [(query.shape.clone(), DType::F32), (sums, DType::F32)];
    let [query, key, value] = [query, key, value].map(|x| cast::<R, F, BT>(x, DType::F32));
    let inputs = [query, key, value, lists.looks, lists.far];
    let [output, log_sum] =
        defer("anllm reach_attention", inputs, outputs, move |inputs| launch::forward(tiles, inputs));
    Attended { output: cast::<R, F, BT>(output, dtype), log_sum }
}

pub(super) fn backward<R: CubeRuntime, F: FloatElement, BT: BoolElement>(
    query: Deferred<R>,
    key: Deferred<R>,
    value: Deferred<R>,
    attended: Attended<Fused<R, F, BT>>,
    slope: Deferred<R>,
    reaches: &Reaches<Fused<R, F, BT>>,
) -> AttentionGradients<Fused<R, F, BT>> {
    let [_, keys, _, _] = key.shape.dims();
    let few_copies = reaches.longest_far() <= COPIES * keys;
    let Some(tiles) = tiles(&query, &key).filter(|_| few_copies) else {
        return reference::backward(query, key, value, attended, slope, reaches);
    };
    let dtype = query.dtype;
    let (ahead, back) = (reaches.ahead(query.client.device()), reaches.back(query.client.device()));
    let outputs = [&query, &key, &value].map(|x| (x.shape.clone(), DType::F32));
    let [query, key, value, output, slope] =
        [query, key, value, attended.output, slope].map(|x| cast::<R, F, BT>(x, DType::F32));
    let inputs = [
        query,
        key,
        value,
        output,
        attended.log_sum,
        slope,
        ahead.looks,
        ahead.far,
        back.near,
        back.far,
        back.starts,
        back.places,
    ];
    let gradients =
        defer("anllm reach_attention_backward", inputs, outputs, move |inputs| launch::backward(tiles, inputs));
    let [query, key, value] = gradients.map(|x| cast::<R, F, BT>(x, dtype));
    AttentionGradients { query, key, value }
}

/// `None` where the plain operations have to do it: on devices with too little of something, and for tensors that are
/// empty or too large for indices of 32 bits.
fn tiles<R: CubeRuntime>(query: &Deferred<R>, key: &Deferred<R>) -> Option<Tiles> {
    let indexable = |x: &Deferred<R>| (1..=i32::MAX as usize).contains(&x.shape.num_elements());
    if !indexable(query) || !indexable(key) {
        return None;
    }
    let client = R::client(query.client.device());
    Tiles::fitting(query.shape[3], &client.properties().hardware)
}

/// Kernels reckon in 32 bits; what comes narrower goes back as it came.
fn cast<R: CubeRuntime, F: FloatElement, BT: BoolElement>(x: Deferred<R>, dtype: DType) -> Deferred<R> {
    match x.dtype == dtype {
        true => x,
        false => primitive(tensor::<Fused<R, F, BT>, 4>(x).cast(FloatDType::from(dtype))),
    }
}
