//! Matrices of few bits on a device, multiplied by the backend's own quantised product.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::quantization::{QuantLevel, QuantMode, QuantParam, QuantScheme, QuantStore, QuantValue};
use burn::tensor::{DType, Tensor, TensorData, TensorPrimitive};

use super::block::{ROWS, Scaled, VALUES};
use super::{Blocks, PackedMatrix};
use crate::kernels::Kernels;
use crate::linear::linear;
use crate::primitive::{primitive, tensor};

/// A [`PackedMatrix`] of few bits `[out, in]` as Burn's quantised tensor, with the matrix itself, whose rows are read where a
/// device has no way to.
///
/// Blocks keep their integers and scales. Burn knows no minimum: what every value of a block has in common is multiplied
/// apart, with the sum of the block's inputs.
#[derive(Debug, Clone)]
pub struct QuantizedMatrix<B: Backend> {
    /// `[out, in]`, of integers with signs and one scale for each block.
    scaled: Tensor<B, 2>,
    /// `[out, in/32]`: what is added to the values of each block.
    raised: Option<Tensor<B, 2>>,
    packed: PackedMatrix,
}

impl<B: Backend> QuantizedMatrix<B> {
    /// `packed` on `device`; none where it holds floats, or rows that are no whole number of blocks.
    pub fn new(packed: PackedMatrix, device: &B::Device) -> Option<Self> {
        let [out, width] = packed.dims();
        if out == 0 || width == 0 || !width.is_multiple_of(VALUES) {
            return None;
        }
        let parts = match packed.blocks() {
            Blocks::Q8_0(blocks) => parts(blocks, packed.dims(), QuantValue::Q8F),
            Blocks::Q4_0(blocks) => parts(blocks, packed.dims(), QuantValue::Q4F),
            Blocks::Q4_1(blocks) => parts(blocks, packed.dims(), QuantValue::Q4F),
            Blocks::F32(_) | Blocks::F16(_) | Blocks::BF16(_) => return None,
        };
        let scheme = QuantScheme {
            level: QuantLevel::block([VALUES as u8]),
            mode: QuantMode::Symmetric,
            value: parts.value,
            store: QuantStore::PackedU32(0),
            param: QuantParam::F32,
        };
        // Scales follow the integers.
        let mut bytes = parts.integers;
        bytes.extend(parts.scales.iter().flat_map(|scale| scale.to_le_bytes()));
        let scaled = Tensor::from_data(TensorData::from_bytes_vec(bytes, [out, width], DType::QFloat(scheme)), device);
        let raised = parts.raised.map(|raised| {
            let data = TensorData::new(raised, [out, width / VALUES]);
            Tensor::from_data(data, (device, DType::F32))
        });
        Some(Self { scaled, raised, packed })
    }

    /// Where it is.
    pub fn device(&self) -> B::Device {
        self.scaled.device()
    }

    /// The same on another device.
    #[must_use]
    pub fn to_device(self, device: &B::Device) -> Self {
        let raised = self.raised.map(|raised| raised.to_device(device));
        Self { scaled: self.scaled.to_device(device), raised, packed: self.packed }
    }

    /// The matrix that this was made from.
    pub fn packed(&self) -> &PackedMatrix {
        &self.packed
    }
}

impl<B: Kernels> QuantizedMatrix<B> {
    /// `x·weightᵀ`, in the type of `x`: `x` is `[N, in]`.
    pub fn times(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let [rows, width] = x.dims();
        let scaled = match self.scaled.clone().into_primitive() {
            TensorPrimitive::QFloat(scaled) => tensor(B::times_quantized(primitive(x.clone()), scaled)),
            TensorPrimitive::Float(scaled) => linear(x.clone(), tensor(scaled)),
        };
        let product = match &self.raised {
            Some(raised) => {
                let blocks = width / VALUES;
                let sums = x.reshape([rows, blocks, VALUES]).sum_dim(2).reshape([rows, blocks]);
                scaled + linear(sums, raised.clone())
            }
            None => scaled,
        };
        product.cast(dtype)
    }
}

impl<B: AutodiffBackend> QuantizedMatrix<B> {
    /// The same for the backend below.
    pub fn valid(&self) -> QuantizedMatrix<B::InnerBackend> {
        let raised = self.raised.clone().map(Tensor::inner);
        QuantizedMatrix { scaled: self.scaled.clone().inner(), raised, packed: self.packed.clone() }
    }

    /// The same for the backend above.
    pub fn from_inner(matrix: QuantizedMatrix<B::InnerBackend>) -> Self {
        let raised = matrix.raised.map(Tensor::from_inner);
        Self { scaled: Tensor::from_inner(matrix.scaled), raised, packed: matrix.packed }
    }
}

/// What Burn's quantised tensor is made of.
struct Parts {
    value: QuantValue,
    /// `[out, in]`, of 8 or 4 bits, the first in the lowest ones.
    integers: Vec<u8>,
    /// `[out, in/32]`.
    scales: Vec<f32>,
    /// `[out, in/32]`.
    raised: Option<Vec<f32>>,
}

fn parts<T: Scaled>(blocks: &[T], [out, width]: [usize; 2], value: QuantValue) -> Parts {
    let columns = width / VALUES;
    let (mut integers, mut scales, mut raised) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..out {
        let (group, lane) = (row / ROWS, row % ROWS);
        for block in &blocks[group * columns..(group + 1) * columns] {
            let values = block.integers(lane);
            match value {
                QuantValue::Q4F => {
                    let pairs = values.as_chunks::<2>().0.iter();
                    integers.extend(pairs.map(|[low, high]| (*low as u8 & 15) | (*high as u8) << 4));
                }
                _ => integers.extend(values.map(|value| value as u8)),
            }
            scales.push(block.scale(lane));
            raised.extend(block.raised(lane));
        }
    }
    Parts { value, integers, scales, raised: Some(raised).filter(|raised| !raised.is_empty()) }
}
