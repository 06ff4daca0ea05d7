//! Matrix products that keep 32-bit floats what they are.
//!
//! Burn looks for the fastest way by trying all of them, and on NVIDIA devices that one is matrix units, which round
//! 32-bit floats to 19 bits (TF32): scores are off by a thousandth then, and trying compiles dozens of kernels for every
//! new size. Here each size has one way, in full precision. Floats of 16 bits lose nothing in matrix units and are left to
//! Burn.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::cubecl::ir::features::Plane;
use burn_cubecl::kernel::quantization::dequantize;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::launch::{Strategy, launch_ref};
use cubek::matmul::routines::simple_unit::SimpleUnitSelectionArgs;
use cubek::matmul::routines::{BlueprintStrategy, TileSizeSelection};
use cubek::std::InputBinding;

use super::fusion::{Deferred, defer};

/// Rows and columns from which on a result is worth large tiles.
const LARGE: usize = 64;

/// `lhs·rhs` in 32 bits: `[…, M, K]` and `[…, K, N]` with the same dimensions before, `rhs` of 32-bit floats or quantised.
pub(super) fn product<R: CubeRuntime>(lhs: Deferred<R>, rhs: Deferred<R>) -> Deferred<R> {
    let mut shape = lhs.shape.as_slice().to_vec();
    if let (Some(columns), Some(of_rhs)) = (shape.last_mut(), rhs.shape.as_slice().last()) {
        *columns = *of_rhs;
    }
    let outputs = [(Shape::from(shape), DType::F32)];
    let [output] = defer("anllm product", [lhs, rhs], outputs, |[lhs, rhs]| [multiplied(lhs, rhs)]);
    output
}

fn multiplied<R: CubeRuntime>(lhs: CubeTensor<R>, rhs: CubeTensor<R>) -> CubeTensor<R> {
    let rank = lhs.meta.shape().num_dims();
    let (rows, columns) = (lhs.meta.shape()[rank - 2], rhs.meta.shape()[rank - 1]);
    let mut shape = lhs.meta.shape().clone();
    shape[rank - 1] = columns;
    let output = empty_device_dtype(lhs.client.clone(), lhs.device.clone(), shape, DType::F32);
    for way in ways(&lhs, rows, columns) {
        if launch(&way, &lhs, &rhs, &output).is_ok() {
            return output;
        }
    }
    // What no way takes as it is; this one takes every matrix of floats.
    let rhs = if rhs.qparams.is_some() { dequantize(rhs, DType::F32) } else { rhs };
    if let Err(error) = launch(&Strategy::Naive, &lhs, &rhs, &output) {
        unreachable!("the plain product takes any matrices: {error:?}");
    }
    output
}

/// From the fastest, as a rule, to one that takes almost anything.
fn ways<R: CubeRuntime>(lhs: &CubeTensor<R>, rows: usize, columns: usize) -> Vec<Strategy> {
    let simple = |tile_size| Strategy::SimpleUnit(BlueprintStrategy::Inferred(SimpleUnitSelectionArgs { tile_size }));
    if rows.min(columns) >= LARGE {
        return vec![simple(TileSizeSelection::MaxTileSize)];
    }
    let small = simple(TileSizeSelection::MinTileSize);
    let planes = lhs.client.properties().features.plane.contains(Plane::Ops);
    match rows.min(columns) == 1 && planes {
        true => vec![Strategy::GemvPlaneParallel(BlueprintStrategy::Inferred(Default::default())), small],
        false => vec![small],
    }
}

fn launch<R: CubeRuntime>(
    way: &Strategy,
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    output: &CubeTensor<R>,
) -> Result<(), MatmulSetupError> {
    let of_right = match (rhs.quantized_handles(), rhs.dtype) {
        (Some((values, scales)), DType::QFloat(scheme)) => InputBinding::quantized(
            values.clone().binding(),
            scales.clone().binding(),
            rhs.meta.shape().clone(),
            scheme,
            values.dtype.into(),
            scales.dtype.into(),
        ),
        _ => InputBinding::new(rhs.clone().binding(), DType::F32.into()),
    };
    let of_left = InputBinding::new(lhs.clone().binding(), DType::F32.into());
    let elements = MatmulGlobalElems { lhs: DType::F32.into(), rhs: DType::F32.into(), out: DType::F32.into() };
    let mut elements = MatmulElems::from_globals(&elements);
    launch_ref(way, &output.client, of_left, of_right, output.clone().binding(), &mut elements)
}
