//! One element of each row.
//!
//! Burn fuses its own `gather` with operations on whole rows where these read the same tensor, and such a kernel (0.21)
//! reads indices beyond their end: on NVIDIA devices an illegal access. A kernel of our own is not fused.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use super::fusion::{Deferred, defer};

/// Units of a cube.
const UNITS: usize = 64;

/// Element `columns[n]` of row `n` of `x`, `[N, C]` and `[N, 1]`: `[N, 1]`, of 32 bits as they are.
pub(super) fn pick<R: CubeRuntime>(x: Deferred<R>, columns: Deferred<R>) -> Deferred<R> {
    let outputs = [(columns.shape.clone(), DType::F32)];
    let [output] = defer("anllm pick", [x, columns], outputs, |[x, columns]| [picked(x, columns)]);
    output
}

fn picked<R: CubeRuntime>(x: CubeTensor<R>, columns: CubeTensor<R>) -> CubeTensor<R> {
    let columns = into_contiguous(columns);
    let rows = x.meta.shape()[0];
    let output = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), Shape::from([rows, 1]), DType::F32);
    of_rows::launch::<R>(
        &output.client,
        CubeCount::Static(rows.div_ceil(UNITS).max(1) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        x.into_tensor_arg(),
        columns.into_tensor_arg(),
        output.clone().into_tensor_arg(),
    );
    output
}

#[cube(launch)]
fn of_rows(x: &Tensor<f32>, columns: &Tensor<i32>, output: &mut Tensor<f32>) {
    if ABSOLUTE_POS < output.len() {
        let column = columns[ABSOLUTE_POS] as usize;
        output[ABSOLUTE_POS] = x[ABSOLUTE_POS * x.stride(0) + column * x.stride(1)];
    }
}
