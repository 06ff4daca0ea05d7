//! From tensors on disk to a decoder on a device, one tensor at a time.

use anllm_kernels::{Kernels, PackedMatrix, PackedType, QuantizedMatrix};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use super::error::CheckpointError;
use super::keys::{EMBEDDING, FINAL_NORM, HEAD};
use super::open::Checkpoint;
use super::source::TensorSource;
use crate::config::ModelConfig;
use crate::decoder::{Attention, Block, Decoder, Linear, Mlp, RmsNorm, Weight};

/// How the matrices of a model are held: linear layers, embedding and head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatrixForm {
    /// In the type of the activations. The only form that learns.
    #[default]
    Float,
    /// As the checkpoint stores them, where the backend can multiply that: few bits, floats.
    Stored,
    /// In 8 bits, or as stored where that is 8 bits or fewer; projections to values, which are few, in 16, or as stored.
    Eight,
    /// In 4 bits, or as stored where that is 4 bits; embedding and head, whose errors every token feels, in 8.
    Four,
}

impl Checkpoint {
    /// Loads the weights onto `device` as `dtype`, `F32`, `F16` or `BF16`.
    ///
    /// At most one tensor exists twice: each is mapped, converted, handed to the backend and unmapped.
    ///
    /// # Errors
    /// When values cannot be read.
    pub fn load<B: Kernels>(&self, device: &B::Device, dtype: DType) -> Result<Decoder<B>, CheckpointError> {
        self.load_as(device, dtype, MatrixForm::Float)
    }

    /// The same with matrices in another form, for inference; `dtype` is the type of everything else.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as<B: Kernels>(
        &self,
        device: &B::Device,
        dtype: DType,
        form: MatrixForm,
    ) -> Result<Decoder<B>, CheckpointError> {
        for tensor in self.unused() {
            tracing::debug!(tensor = tensor.name, "not used by the decoder");
        }
        Loader { source: self.source(), config: self.config(), device, dtype, form }.decoder()
    }
}

/// How the names of projections to values end.
const VALUE: &str = ".v_proj.weight";

struct Loader<'a, B: Backend> {
    source: &'a dyn TensorSource,
    config: &'a ModelConfig,
    device: &'a B::Device,
    dtype: DType,
    form: MatrixForm,
}

impl<B: Kernels> Loader<'_, B> {
    fn decoder(&self) -> Result<Decoder<B>, CheckpointError> {
        let config = self.config;
        let blocks = (0..config.layers).map(|layer| self.block(layer)).collect::<Result<_, _>>()?;
        let head = if config.tied_head { None } else { Some(Linear::new(self.matrix(HEAD)?, None)) };
        Ok(Decoder {
            embedding: self.matrix(EMBEDDING)?,
            blocks,
            norm: self.norm(FINAL_NORM)?,
            head,
            frequencies: config.rope.frequencies(config.head_dim),
            amplitude: config.rope.amplitude(),
        })
    }

    fn block(&self, layer: usize) -> Result<Block<B>, CheckpointError> {
        let config = self.config;
        let at = |part: &str| format!("model.layers.{layer}.{part}");
        let attention = |part: &str, bias| self.linear(&at(&format!("self_attn.{part}")), bias);
        let mlp = |part: &str| self.linear(&at(&format!("mlp.{part}")), config.mlp_bias);
        let head_norm = |part: &str| match config.qk_norm {
            true => self.norm(&at(&format!("self_attn.{part}.weight"))).map(Some),
            false => Ok(None),
        };
        Ok(Block {
            attention_norm: self.norm(&at("input_layernorm.weight"))?,
            attention: Attention {
                query: attention("q_proj", config.qkv_bias)?,
                key: attention("k_proj", config.qkv_bias)?,
                value: attention("v_proj", config.qkv_bias)?,
                output: attention("o_proj", config.output_bias)?,
                query_norm: head_norm("q_norm")?,
                key_norm: head_norm("k_norm")?,
                head_dim: config.head_dim,
            },
            mlp_norm: self.norm(&at("post_attention_layernorm.weight"))?,
            mlp: Mlp { gate: mlp("gate_proj")?, up: mlp("up_proj")?, down: mlp("down_proj")? },
        })
    }

    fn linear(&self, name: &str, bias: bool) -> Result<Linear<B>, CheckpointError> {
        let bias = if bias { Some(self.tensor(&format!("{name}.bias"))?) } else { None };
        Ok(Linear::new(self.matrix(&format!("{name}.weight"))?, bias))
    }

    fn norm(&self, name: &str) -> Result<RmsNorm<B>, CheckpointError> {
        Ok(RmsNorm::new(self.tensor(name)?, self.config.norm_eps))
    }

    fn matrix(&self, name: &str) -> Result<Weight<B>, CheckpointError> {
        let nearest = match self.form {
            MatrixForm::Float => return Ok(Weight::float(self.tensor(name)?)),
            MatrixForm::Stored => None,
            // Few, and in SmolLM2 the ones whose rounding raises perplexity most.
            MatrixForm::Eight if name.ends_with(VALUE) => Some(self.half(name)),
            MatrixForm::Four if name != EMBEDDING && name != HEAD => Some(PackedType::Q4_1),
            MatrixForm::Eight | MatrixForm::Four => Some(PackedType::Q8_0),
        };
        match self.packed(name, nearest)? {
            Some(matrix) if B::MULTIPLIES_PACKED => Ok(Weight::Packed(matrix)),
            Some(matrix) => Ok(self.quantized(matrix)),
            None => Ok(Weight::float(self.tensor(name)?)),
        }
    }

    /// The floats of 16 bits that are nearest to a matrix.
    fn half(&self, name: &str) -> PackedType {
        match self.source.info(name).map(|info| info.dtype.as_str()) {
            Some("BF16") => PackedType::BF16,
            _ => PackedType::F16,
        }
    }

    /// A matrix as it is stored, or nearest to that in a type of fewer bits; none where nothing would be gained.
    fn packed(&self, name: &str, nearest: Option<PackedType>) -> Result<Option<PackedMatrix>, CheckpointError> {
        let (float, bits_are_few) = match self.source.info(name).map(|info| info.dtype.as_str()) {
            Some("F16") => (PackedType::F16, false),
            Some("BF16") => (PackedType::BF16, false),
            Some("F32") => (PackedType::F32, false),
            // What is unpacked from types that cannot be multiplied as well.
            _ => (PackedType::F32, true),
        };
        if bits_are_few || nearest.is_none() && B::MULTIPLIES_PACKED {
            let stored = self.source.read_packed(name)?;
            let fits = |kind: PackedType| nearest.is_none_or(|most| kind.bytes_per_block() <= most.bytes_per_block());
            if let Some(stored) = stored.filter(|stored| fits(stored.kind())) {
                return Ok(Some(stored));
            }
        }
        let kind = nearest.or(B::MULTIPLIES_PACKED.then_some(float));
        kind.map(|kind| {
            let (values, [out, width]) = self.values::<2>(name)?;
            Ok(PackedMatrix::nearest(kind, [out, width], &values))
        })
        .transpose()
    }

    /// A matrix for a backend that multiplies no packed ones: as the backend's own quantised tensor, if it has such.
    fn quantized(&self, matrix: PackedMatrix) -> Weight<B> {
        let own = B::MULTIPLIES_QUANTIZED.then(|| QuantizedMatrix::new(matrix.clone(), self.device)).flatten();
        match own {
            Some(matrix) => Weight::Quantized(matrix),
            None => Weight::float(self.on_device(matrix.values(), matrix.dims(), self.dtype)),
        }
    }

    fn tensor<const N: usize>(&self, name: &str) -> Result<Tensor<B, N>, CheckpointError> {
        let (values, shape) = self.values(name)?;
        Ok(self.on_device(values, shape, self.dtype))
    }

    fn on_device<const N: usize>(&self, values: Vec<f32>, shape: [usize; N], dtype: DType) -> Tensor<B, N> {
        Tensor::from_data(TensorData::new(values, shape), (self.device, dtype))
    }

    fn values<const N: usize>(&self, name: &str) -> Result<(Vec<f32>, [usize; N]), CheckpointError> {
        let values = self.source.read_f32(name)?;
        let shape = self.source.info(name).map(|t| t.shape.clone()).unwrap_or_default();
        // Shapes were checked when the checkpoint was opened; the values are checked here, against the same.
        match <[usize; N]>::try_from(shape) {
            Ok(shape) if shape.iter().product::<usize>() == values.len() => Ok((values, shape)),
            Ok(shape) => Err(self.misfit(name, values.len(), &shape)),
            Err(shape) => Err(self.misfit(name, values.len(), &shape)),
        }
    }

    fn misfit(&self, name: &str, values: usize, shape: &[usize]) -> CheckpointError {
        let what = format!("tensor `{name}` has {values} values for shape {shape:?}");
        CheckpointError::malformed(self.source.path(), what, "download the file again")
    }
}
