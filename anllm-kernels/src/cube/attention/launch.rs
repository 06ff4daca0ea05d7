//! Kernels with their grids, on tensors that are there. All are of 32 bits.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::cubecl::ir::HardwareProperties;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use super::runs::{FAR, NEAR};
use super::tile::{SIDE, Tile};
use super::{forward as ahead, of_keys, of_queries};

/// The most tensors that a kernel is given.
const BINDINGS: u32 = 11;

/// The longest side of a grid. WebGPU allows 65,535.
const LONGEST: usize = 1 << 15;

/// How many cubes the far keys' gradients are cut into, where there are fewer tiles: some for each of a large device's
/// processors. Fixed, so that sums do not depend on the device.
const CUBES: usize = 256;

/// The fewest queries worth a cube of their own.
const PIECE: usize = 64;

/// The tile of each kernel on one device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    forward: Tile,
    of_queries: Tile,
    of_keys: Tile,
}

impl Tiles {
    /// For heads of this width; `None` where the device is too small for them.
    pub(super) fn fitting(width: usize, device: &HardwareProperties) -> Option<Self> {
        let units = (SIDE * SIDE) as u32;
        if device.max_bindings < BINDINGS || device.max_units_per_cube < units {
            return None;
        }
        let fitting = |numbers| Tile::fitting(width, device.max_shared_memory_size, numbers);
        Some(Self {
            forward: fitting(ahead::shared)?,
            of_queries: fitting(of_queries::shared)?,
            of_keys: fitting(of_keys::shared)?,
        })
    }
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    tokens: usize,
    heads: usize,
    groups: usize,
    width: usize,
    keys: usize,
}

impl Sizes {
    fn of<R: CubeRuntime>(query: &CubeTensor<R>, key: &CubeTensor<R>) -> Self {
        let [rows, tokens, heads, width] = query.meta.shape().dims();
        let [_, keys, groups, _] = key.meta.shape().dims();
        Self { rows, tokens, heads, groups, width, keys }
    }

    fn scale(self) -> f32 {
        (self.width as f32).powf(-0.5)
    }

    /// Cubes that hold lines.
    fn cubes_of_lines(self, tile: Tile) -> usize {
        self.rows * self.groups * (self.tokens * (self.heads / self.groups)).div_ceil(tile.held)
    }

    /// Cubes that hold `count` keys of each row and head.
    fn cubes_of_keys(self, count: usize, tile: Tile) -> usize {
        self.rows * self.groups * count.div_ceil(tile.held)
    }

    /// Into how many pieces queries are cut where there are so many cubes for all of them.
    fn pieces(self, cubes: usize) -> usize {
        (CUBES / cubes.max(1)).clamp(1, self.tokens.div_ceil(PIECE))
    }
}

/// `output` and `log_sum`, from `query`, `key`, `value`, `looks` and `far`.
pub(super) fn forward<R: CubeRuntime>(tiles: Tiles, inputs: [CubeTensor<R>; 5]) -> [CubeTensor<R>; 2] {
    let [query, key, value, looks, far] = inputs;
    let [query, key, value] = [query, key, value].map(in_lines);
    let sizes = Sizes::of(&query, &key);
    let output = empty(&query, [sizes.rows, sizes.tokens, sizes.heads, sizes.width]);
    let log_sum = empty(&query, [sizes.rows, sizes.tokens, sizes.heads]);
    ahead::forward::launch::<R>(
        &output.client,
        grid(sizes.cubes_of_lines(tiles.forward)),
        units(),
        query.into_tensor_arg(),
        key.into_tensor_arg(),
        value.into_tensor_arg(),
        looks.into_tensor_arg(),
        far.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        log_sum.clone().into_tensor_arg(),
        sizes.scale(),
        tiles.forward,
    );
    [output, log_sum]
}

/// The gradients of `query`, `key` and `value`, from them, `output`, `log_sum`, the output's gradient `slope`, `looks`
/// and `far`, and what [`Back`](crate::attention::lists::Back) has: `near`, `far`, `starts` and `places`.
pub(super) fn backward<R: CubeRuntime>(tiles: Tiles, inputs: [CubeTensor<R>; 12]) -> [CubeTensor<R>; 3] {
    let [query, key, value, output, log_sum, slope, looks, far, near_lookers, far_lookers, starts, places] = inputs;
    let [query, key, value, output, slope] = [query, key, value, output, slope].map(in_lines);
    let sizes = Sizes::of(&query, &key);
    let of_query = empty(&query, [sizes.rows, sizes.tokens, sizes.heads, sizes.width]);
    let means = empty(&query, [sizes.rows, sizes.tokens, sizes.heads]);
    of_queries::of_queries::launch::<R>(
        &of_query.client,
        grid(sizes.cubes_of_lines(tiles.of_queries)),
        units(),
        query.clone().into_tensor_arg(),
        key.clone().into_tensor_arg(),
        value.clone().into_tensor_arg(),
        output.into_tensor_arg(),
        log_sum.clone().into_tensor_arg(),
        slope.clone().into_tensor_arg(),
        looks.clone().into_tensor_arg(),
        far.clone().into_tensor_arg(),
        of_query.clone().into_tensor_arg(),
        means.clone().into_tensor_arg(),
        sizes.scale(),
        tiles.of_queries,
    );

    let of_keys = |kind: usize, lookers: CubeTensor<R>, pieces: usize| {
        let count = lookers.meta.shape()[1];
        let shape = [pieces, sizes.rows, count, sizes.groups, sizes.width];
        let (of_key, of_value) = (empty(&key, shape), empty(&key, shape));
        of_keys::of_keys::launch::<R>(
            &of_key.client,
            grid(pieces * sizes.cubes_of_keys(count, tiles.of_keys)),
            units(),
            query.clone().into_tensor_arg(),
            key.clone().into_tensor_arg(),
            value.clone().into_tensor_arg(),
            slope.clone().into_tensor_arg(),
            log_sum.clone().into_tensor_arg(),
            means.clone().into_tensor_arg(),
            looks.clone().into_tensor_arg(),
            far.clone().into_tensor_arg(),
            lookers.into_tensor_arg(),
            of_key.clone().into_tensor_arg(),
            of_value.clone().into_tensor_arg(),
            sizes.scale(),
            kind,
            tiles.of_keys,
        );
        (of_key, of_value)
    };
    let far_pieces = sizes.pieces(sizes.cubes_of_keys(far_lookers.meta.shape()[1], tiles.of_keys));
    let (far_of_key, far_of_value) = of_keys(FAR, far_lookers, far_pieces);
    let (of_key, of_value) = of_keys(NEAR, near_lookers, 1);
    let elements = sizes.rows * sizes.keys * sizes.groups * sizes.width;
    of_keys::gather::launch::<R>(
        &of_key.client,
        grid(elements.div_ceil(SIDE * SIDE)),
        units(),
        far_of_key.into_tensor_arg(),
        far_of_value.into_tensor_arg(),
        starts.into_tensor_arg(),
        places.into_tensor_arg(),
        of_key.clone().into_tensor_arg(),
        of_value.clone().into_tensor_arg(),
    );
    let shape = [sizes.rows, sizes.keys, sizes.groups, sizes.width];
    [of_query, whole(of_key, shape), whole(of_value, shape)]
}

/// Heads whose elements lie one behind the other; the other dimensions may lie anyhow, as in a longer buffer.
fn in_lines<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    match x.meta.strides().last() {
        Some(1) => x,
        _ => into_contiguous(x),
    }
}

fn empty<R: CubeRuntime, const N: usize>(like: &CubeTensor<R>, shape: [usize; N]) -> CubeTensor<R> {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::from(shape), DType::F32)
}

/// The same numbers in another shape.
fn whole<R: CubeRuntime, const N: usize>(x: CubeTensor<R>, shape: [usize; N]) -> CubeTensor<R> {
    CubeTensor::new_contiguous(x.client, x.device, Shape::from(shape), x.handle, x.dtype)
}

/// At least so many cubes.
fn grid(cubes: usize) -> CubeCount {
    let x = cubes.clamp(1, LONGEST);
    CubeCount::Static(x as u32, cubes.div_ceil(x) as u32, 1)
}

fn units() -> CubeDim {
    CubeDim::new_2d(SIDE as u32, SIDE as u32)
}
