//! The tensors a configuration implies, by their Hugging Face names. Loading, checking, exporting and counting all
//! read this one table.

use crate::config::ModelConfig;

/// A tensor that the decoder needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// The Hugging Face name.
    pub name: String,
    /// The shape; linear weights are `[out, in]`.
    pub shape: Vec<usize>,
}

/// The name of the embedding, `[V, C]`.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// The name of the output head, `[V, C]`, where it is not the embedding.
pub const HEAD: &str = "lm_head.weight";
/// The name of the last norm, `[C]`.
pub const FINAL_NORM: &str = "model.norm.weight";

/// Every tensor of a checkpoint with this configuration, in the order of the forward pass.
pub fn expected_tensors(config: &ModelConfig) -> Vec<ExpectedTensor> {
    let (c, m) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let mut tensors = Vec::new();
    let mut push = |name: String, shape: &[usize]| tensors.push(ExpectedTensor { name, shape: shape.to_vec() });

    push(EMBEDDING.to_owned(), &[config.vocab_size, c]);
    for layer in 0..config.layers {
        let at = |part: &str| format!("model.layers.{layer}.{part}");
        push(at("input_layernorm.weight"), &[c]);
        for (part, out) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
            push(at(&format!("self_attn.{part}.weight")), &[out, c]);
            if config.qkv_bias {
                push(at(&format!("self_attn.{part}.bias")), &[out]);
            }
        }
        if config.qk_norm {
            push(at("self_attn.q_norm.weight"), &[config.head_dim]);
            push(at("self_attn.k_norm.weight"), &[config.head_dim]);
        }
        push(at("self_attn.o_proj.weight"), &[c, q]);
        if config.output_bias {
            push(at("self_attn.o_proj.bias"), &[c]);
        }
        push(at("post_attention_layernorm.weight"), &[c]);
        for (part, out, input) in [("gate_proj", m, c), ("up_proj", m, c), ("down_proj", c, m)] {
            push(at(&format!("mlp.{part}.weight")), &[out, input]);
            if config.mlp_bias {
                push(at(&format!("mlp.{part}.bias")), &[out]);
            }
        }
    }
    push(FINAL_NORM.to_owned(), &[c]);
    if !config.tied_head {
        push(HEAD.to_owned(), &[config.vocab_size, c]);
    }
    tensors
}
