//! What a decoder looks like: the settings of Hugging Face's `config.json`, checked, with nothing left implicit.

mod fields;
mod parse;
mod rope;
mod rope_choice;

use anllm_core::AnchorRule;

pub use rope::{RopeConfig, RopeScaling};
pub use rope_choice::{RopeChoice, ScalingChoice, ScalingError};

/// The families that the one decoder of this crate covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Llama 1 to 3, and what is built like it: SmolLM, TinyLlama, Vicuna, …
    Llama,
    /// Mistral: Llama with an attention window, which must not bind (see [`ModelConfig::max_positions`]).
    Mistral,
    /// Qwen 2 and 2.5: biases on q, k and v.
    Qwen2,
    /// Qwen 3, dense: q and k normalised per head.
    Qwen3,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// The name in `config.json`'s `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// Every setting the decoder needs. Shape letters: `C` = `hidden_size`, `V` = `vocab_size`, `H` = `heads`,
/// `K` = `kv_heads`, `D` = `head_dim`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// Rows of the embedding, `V`.
    pub vocab_size: usize,
    /// Width of the residual stream, `C`.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads, `H`.
    pub heads: usize,
    /// Key/value heads, `K`; divides `H`.
    pub kv_heads: usize,
    /// Width of a head, `D`; even.
    pub head_dim: usize,
    /// Added to the mean square in every RMS norm.
    pub norm_eps: f64,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// The longest text, in tokens: `max_position_embeddings`, or the attention window where that is shorter, since
    /// up to that length window attention and full attention are the same.
    pub max_positions: usize,
    /// Whether the output head is the embedding.
    pub tied_head: bool,
    /// Whether q, k and v have biases.
    pub qkv_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub output_bias: bool,
    /// Whether the MLP's projections have biases.
    pub mlp_bias: bool,
    /// Whether q and k are normalised per head.
    pub qk_norm: bool,
    /// Begin-of-sequence token.
    pub bos: Option<u32>,
    /// End-of-sequence tokens; generation stops at any.
    pub eos: Vec<u32>,
    /// The anchor rule the checkpoint was trained with, if it says (`"anllm": {"anchors": …}`).
    pub anchors: Option<AnchorRule>,
}

impl ModelConfig {
    /// Elements of keys and values that one cache entry holds, over all layers.
    pub fn kv_elements(&self) -> usize {
        self.layers * 2 * self.kv_heads * self.head_dim
    }

    /// Number of parameters, a tied head counted once.
    pub fn parameters(&self) -> usize {
        crate::checkpoint::expected_tensors(self).iter().map(|t| t.shape.iter().product::<usize>()).sum()
    }
}
