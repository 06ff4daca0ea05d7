//! From tensors on disk to a decoder on a device, one tensor at a time.

use anllm_kernels::Kernels;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use super::error::CheckpointError;
use super::keys::{EMBEDDING, FINAL_NORM, HEAD};
use super::open::Checkpoint;
use super::source::TensorSource;
use crate::config::ModelConfig;
use crate::decoder::{Attention, Block, Decoder, Linear, Mlp, RmsNorm};

impl Checkpoint {
    /// Loads the weights onto `device` as `dtype`, `F32`, `F16` or `BF16`.
    ///
    /// At most one tensor exists twice: each is mapped, converted, handed to the backend and unmapped.
    ///
    /// # Errors
    /// When values cannot be read.
    pub fn load<B: Kernels>(&self, device: &B::Device, dtype: DType) -> Result<Decoder<B>, CheckpointError> {
        for tensor in self.unused() {
            tracing::debug!(tensor = tensor.name, "not used by the decoder");
        }
        Loader { source: self.source(), config: self.config(), device, dtype }.decoder()
    }
}

struct Loader<'a, B: Backend> {
    source: &'a dyn TensorSource,
    config: &'a ModelConfig,
    device: &'a B::Device,
    dtype: DType,
}

impl<B: Kernels> Loader<'_, B> {
    fn decoder(&self) -> Result<Decoder<B>, CheckpointError> {
        let config = self.config;
        let blocks = (0..config.layers).map(|layer| self.block(layer)).collect::<Result<_, _>>()?;
        let head = if config.tied_head { None } else { Some(Linear::new(self.tensor(HEAD)?, None)) };
        Ok(Decoder {
            embedding: burn::module::Param::from_tensor(self.tensor(EMBEDDING)?),
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
        Ok(Linear::new(self.tensor(&format!("{name}.weight"))?, bias))
    }

    fn norm(&self, name: &str) -> Result<RmsNorm<B>, CheckpointError> {
        Ok(RmsNorm::new(self.tensor(name)?, self.config.norm_eps))
    }

    fn tensor<const N: usize>(&self, name: &str) -> Result<Tensor<B, N>, CheckpointError> {
        let values = self.source.read_f32(name)?;
        let shape = self.source.info(name).map(|t| t.shape.clone()).unwrap_or_default();
        // Shapes were checked when the checkpoint was opened; the values are checked here, against the same.
        if shape.len() != N || shape.iter().product::<usize>() != values.len() {
            let what = format!("tensor `{name}` has {} values for shape {shape:?}", values.len());
            return Err(CheckpointError::malformed(self.source.path(), what, "download the file again"));
        }
        Ok(Tensor::from_data(TensorData::new(values, shape), (self.device, self.dtype)))
    }
}
