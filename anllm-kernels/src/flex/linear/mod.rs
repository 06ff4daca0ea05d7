//! Products of rows with a weight matrix of floats of 32 or 16 bits.
//!
//! With few rows, reading the weights is what takes time: they are read once, from front to back, and widened in
//! registers. With more, sixteen rows of the weights at a time become a [panel](super::panels).

mod few;

use burn::tensor::DType;
use burn_flex::FlexTensor;

use super::panels::{Down, Left, multiply};
use super::stored::{Elements, Stored};
use super::tensors::{filled, values};

/// `x·weightᵀ`: `x` is `[N, in]` of 32-bit floats, `weight` `[out, in]`. None where the weight is of another type or does
/// not lie row by row, so that it would be copied first.
pub(super) fn times_transposed(x: &FlexTensor, weight: &FlexTensor) -> Option<FlexTensor> {
    let [rows, width] = [x.layout().shape()[0], x.layout().shape()[1]];
    let out = weight.layout().shape()[0];
    if x.dtype() != DType::F32 || rows * width * out == 0 {
        return None;
    }
    let weight = Elements::of(weight)?;
    let x = values(x);
    let result = match weight {
        Elements::Floats(weight) => product(&x, weight, width),
        Elements::Halves(weight) => product(&x, weight, width),
        Elements::Brains(weight) => product(&x, weight, width),
    };
    Some(filled(result, [rows, out]))
}

fn product<T: Stored>(x: &[f32], weight: &[T], width: usize) -> Vec<f32> {
    match x.len() / width <= few::MOST {
        true => few::product(x, weight, width),
        false => {
            let columns = weight.len() / width;
            let mut result = vec![0.0; x.len() / width * columns];
            multiply(Left::lines(x, width), &Down { elements: weight, stride: width, columns }, &mut result, false);
            result
        }
    }
}
