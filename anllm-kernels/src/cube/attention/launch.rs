//! Kernels with their grids, on tensors that are there.

use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::CubeRuntime;

use super::forward as ahead;
use super::tile::{SIDE, Tile};

/// The output and the logarithms of the sums, from query, key, value, looks and far keys.
pub(super) fn forward<R: CubeRuntime>(inputs: [CubeTensor<R>; 5]) -> [CubeTensor<R>; 2] {
    let [query, key, value, looks, far] = inputs;
    let [query, key, value] = [query, key, value].map(in_lines);
    let [rows, tokens, heads, width] = query.meta.shape().dims();
    let groups = key.meta.shape()[2];
    let bytes = query.client.properties().hardware.max_shared_memory_size;
    let tile = Tile::fitting(width, bytes, ahead::shared).expect("asked before");
    let output = empty(&query, [rows, tokens, heads, width]);
    let log_sum = empty(&query, [rows, tokens, heads]);
    let cubes = rows * groups * (tokens * heads / groups).div_ceil(tile.lines);
    ahead::forward::launch::<R>(
        &query.client.clone(),
        grid(cubes),
        CubeDim::new_2d(SIDE as u32, SIDE as u32),
        query.into_tensor_arg(),
        key.into_tensor_arg(),
        value.into_tensor_arg(),
        looks.into_tensor_arg(),
        far.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        log_sum.clone().into_tensor_arg(),
        (width as f32).powf(-0.5),
        tile,
    );
    [output, log_sum]
}

/// Heads whose elements lie one behind the other; the other dimensions may lie anyhow.
fn in_lines<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    match x.meta.strides().last() {
        Some(1) => x,
        _ => into_contiguous(x),
    }
}

fn empty<R: CubeRuntime, const N: usize>(like: &CubeTensor<R>, shape: [usize; N]) -> CubeTensor<R> {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::from(shape), DType::F32)
}

/// At least this many cubes, in a grid: WebGPU allows 65,535 along each side.
fn grid(cubes: usize) -> CubeCount {
    const LONGEST: usize = 32_768;
    let x = cubes.min(LONGEST);
    CubeCount::Static(x as u32, cubes.div_ceil(x.max(1)) as u32, 1)
}
