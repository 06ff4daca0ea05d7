//! A matrix of the model: floats, which can learn, or laid out for being read, of floats or of a few bits.

use anllm_kernels::{Kernels, PackedMatrix, QuantizedMatrix, linear, linear_packed, linear_packed_each};
use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData};

/// `[out, in]`, as in the checkpoint: the transpose is a view, not a copy.
#[derive(Debug, Clone)]
pub enum Weight<B: Backend> {
    /// Floats. The only form that learns.
    Float(Param<Tensor<B, 2>>),
    /// In any form, multiplied as it is by kernels of ours.
    Packed(PackedMatrix),
    /// 8 or 4 bits on the device, multiplied as they are by the backend.
    Quantized(QuantizedMatrix<B>),
}

impl<B: Backend> Weight<B> {
    /// Of floats.
    pub fn float(values: Tensor<B, 2>) -> Self {
        Self::Float(Param::from_tensor(values))
    }

    /// `[out, in]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Float(values) => values.dims(),
            Self::Packed(matrix) => matrix.dims(),
            Self::Quantized(matrix) => matrix.packed().dims(),
        }
    }

    /// The parameter, where this can learn.
    pub fn parameter(&self) -> Option<&Param<Tensor<B, 2>>> {
        match self {
            Self::Float(values) => Some(values),
            Self::Packed(_) | Self::Quantized(_) => None,
        }
    }

    /// All values as floats; packed ones are unpacked onto `device`.
    pub fn values(&self, device: &B::Device) -> Tensor<B, 2> {
        match self {
            Self::Float(values) => values.val(),
            Self::Packed(matrix) => unpacked(matrix, device),
            Self::Quantized(matrix) => unpacked(matrix.packed(), device),
        }
    }

    /// The same with `change`, `[out, in]`, added; floats from then on.
    #[must_use]
    pub fn plus(self, change: Tensor<B, 2>) -> Self {
        match self {
            Self::Float(values) => Self::Float(values.map(|values| values + change)),
            packed => Self::float(packed.values(&change.device()) + change),
        }
    }
}

impl<B: Kernels> Weight<B> {
    /// `x·weightᵀ`: `[N, in]` to `[N, out]`, in the type of `x`.
    pub(crate) fn times(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Float(values) => {
                let values = values.val();
                let read_as_they_are = B::MULTIPLIES_PACKED
                    && x.dtype() == DType::F32
                    && matches!(values.dtype(), DType::F16 | DType::BF16);
                let dtype = FloatDType::from(x.dtype());
                linear(x, if read_as_they_are { values } else { values.cast(dtype) })
            }
            Self::Packed(matrix) => linear_packed(x, matrix),
            Self::Quantized(matrix) => matrix.times(x),
        }
    }

    /// [`times`](Self::times) with each of some weights.
    pub(crate) fn times_each<const W: usize>(x: Tensor<B, 2>, weights: [&Self; W]) -> [Tensor<B, 2>; W] {
        match Self::all_packed(weights) {
            Some(matrices) => linear_packed_each(x, matrices),
            None => weights.map(|weight| weight.times(x.clone())),
        }
    }

    /// The packed matrices that all of some weights are.
    pub(super) fn all_packed<const W: usize>(weights: [&Self; W]) -> Option<[&PackedMatrix; W]> {
        let packed: Vec<&PackedMatrix> = weights.into_iter().filter_map(Self::packed).collect();
        packed.try_into().ok()
    }

    /// The packed matrix that this is.
    pub(super) fn packed(&self) -> Option<&PackedMatrix> {
        match self {
            Self::Packed(matrix) => Some(matrix),
            Self::Float(_) | Self::Quantized(_) => None,
        }
    }

    /// The rows `ids` `[N]` as `[N, in]`, of `dtype`.
    pub(crate) fn rows(&self, ids: Tensor<B, 1, Int>, dtype: FloatDType) -> Tensor<B, 2> {
        let matrix = match self {
            Self::Float(values) => return values.val().select(0, ids).cast(dtype),
            Self::Packed(matrix) => matrix,
            Self::Quantized(matrix) => matrix.packed(),
        };
        let device = ids.device();
        let rows: Vec<usize> = ids.into_data().iter::<i64>().map(|id| id as usize).collect();
        let values = TensorData::new(matrix.rows(&rows), [rows.len(), matrix.dims()[1]]);
        Tensor::<B, 2>::from_data(values, &device).cast(dtype)
    }
}

/// All values as floats.
fn unpacked<B: Backend>(matrix: &PackedMatrix, device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(matrix.values(), matrix.dims()), device)
}

/// What the parameter does; packed weights have none. The parameter's path is that of the field this stands in.
impl<B: Backend> Module<B> for Weight<B> {
    type Record = Option<Param<Tensor<B, 2>>>;

    fn visit<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        if let Self::Float(values) = self {
            values.visit(visitor);
        }
    }

    fn map<M: ModuleMapper<B>>(self, mapper: &mut M) -> Self {
        match self {
            Self::Float(values) => Self::Float(Module::<B>::map(values, mapper)),
            packed => packed,
        }
    }

    fn load_record(self, record: Self::Record) -> Self {
        match (self, record) {
            (Self::Float(values), Some(record)) => Self::Float(values.load_record(record)),
            (unchanged, _) => unchanged,
        }
    }

    fn into_record(self) -> Self::Record {
        match self {
            Self::Float(values) => Some(values.into_record()),
            Self::Packed(_) | Self::Quantized(_) => None,
        }
    }

    fn to_device(self, device: &B::Device) -> Self {
        match self {
            Self::Float(values) => Self::Float(values.to_device(device)),
            Self::Packed(matrix) => Self::Packed(matrix),
            Self::Quantized(matrix) => Self::Quantized(matrix.to_device(device)),
        }
    }

    fn fork(self, device: &B::Device) -> Self {
        match self {
            Self::Float(values) => Self::Float(values.fork(device)),
            packed => packed.to_device(device),
        }
    }

    fn collect_devices(&self, devices: Devices<B>) -> Devices<B> {
        match self {
            Self::Float(values) => values.collect_devices(devices),
            Self::Packed(_) => devices,
            Self::Quantized(matrix) => {
                let mut devices = devices;
                if !devices.contains(&matrix.device()) {
                    devices.push(matrix.device());
                }
                devices
            }
        }
    }
}

impl<B: AutodiffBackend> AutodiffModule<B> for Weight<B> {
    type InnerModule = Weight<B::InnerBackend>;

    fn valid(&self) -> Self::InnerModule {
        match self {
            Self::Float(values) => Weight::Float(values.valid()),
            Self::Packed(matrix) => Weight::Packed(matrix.clone()),
            Self::Quantized(matrix) => Weight::Quantized(matrix.valid()),
        }
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        match module {
            Weight::Float(values) => Self::Float(Param::from_inner(values)),
            Weight::Packed(matrix) => Self::Packed(matrix),
            Weight::Quantized(matrix) => Self::Quantized(QuantizedMatrix::from_inner(matrix)),
        }
    }
}

impl<B: Backend> ModuleDisplayDefault for Weight<B> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("{:?}", self.dims())).optional()
    }
}

impl<B: Backend> ModuleDisplay for Weight<B> {}
