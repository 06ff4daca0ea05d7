//! GGUF tensor names to Hugging Face's, and the row order of `llama` query and key projections.
//!
//! GGUF converters of the `llama` architecture reorder the rows of each query and key head from Hugging Face's halves
//! (all first elements of the rotated pairs, then all second ones) to neighbours (pair after pair). `Rows` undoes it.

use std::fmt;

/// A supported `general.architecture`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    /// Llama, SmolLM2, Mistral.
    Llama,
    Qwen2,
    Qwen3,
}

impl Architecture {
    pub(super) const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// The name in GGUF metadata, the prefix of its keys, and Hugging Face's `model_type`: all the same.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Hugging Face's class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The rotary frequency factors, a tensor that becomes configuration.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The Hugging Face name of the GGUF tensor `name`, or `None` when the architecture, with `layers` layers, has no such
/// tensor. The mapping is one to one.
pub(super) fn hugging_face_name(arch: Architecture, layers: u64, name: &str) -> Option<String> {
    let top = match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => "",
    };
    if !top.is_empty() {
        return Some(top.to_owned());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let index: u64 = layer.parse().ok()?;
    // "01" and "+1" parse too, and would give one name to two tensors.
    if index >= layers || index.to_string() != layer {
        return None;
    }
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" if arch == Architecture::Qwen3 => "self_attn.q_norm",
        "attn_k_norm" if arch == Architecture::Qwen3 => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    match kind {
        "weight" => {}
        "bias" if module.ends_with("_proj") => {}
        _ => return None,
    }
    Some(format!("model.layers.{index}.{module}.{kind}"))
}

/// The order of a tensor's rows in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// As in Hugging Face's layout.
    Same,
    /// Within each head of `head_dim` rows, rotated pairs are neighbours.
    Paired { head_dim: usize },
}

impl Rows {
    /// The row of the file that holds row `row` of Hugging Face's layout.
    ///
    /// With `P` pairs per head, Hugging Face's row `half · P + p` of a head is the file's row `2 · p + half`.
    pub(super) fn in_file(self, row: usize) -> usize {
        match self {
            Self::Same => row,
            Self::Paired { head_dim } => {
                let (head, within) = (row / head_dim, row % head_dim);
                let pairs = head_dim / 2;
                head * head_dim + 2 * (within % pairs) + within / pairs
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_tensor_has_its_hugging_face_name() {
        let name = |n| hugging_face_name(Architecture::Qwen3, 12, n);
        assert_eq!(name("blk.11.attn_q.bias").as_deref(), Some("model.layers.11.self_attn.q_proj.bias"));
        assert_eq!(name("blk.0.attn_k_norm.weight").as_deref(), Some("model.layers.0.self_attn.k_norm.weight"));
        assert_eq!(name("blk.3.ffn_norm.weight").as_deref(), Some("model.layers.3.post_attention_layernorm.weight"));
        assert_eq!(name("output.weight").as_deref(), Some("lm_head.weight"));
        for unknown in ["blk.12.attn_q.weight", "blk.01.attn_q.weight", "blk.0.ffn_gate_exps.weight", "blk.0", "x", ""]
        {
            assert_eq!(name(unknown), None, "{unknown}");
        }
        assert_eq!(hugging_face_name(Architecture::Llama, 12, "blk.0.attn_q_norm.weight"), None);
    }

    #[test]
    fn paired_rows_are_a_permutation_within_each_head() {
        for head_dim in [2, 4, 6, 64] {
            // The converter's direction: file row `2p + half` comes from row `half · P + p`.
            let mut file = vec![0; 3 * head_dim];
            for head in 0..3 {
                for p in 0..head_dim / 2 {
                    for half in 0..2 {
                        file[head * head_dim + 2 * p + half] = head * head_dim + half * (head_dim / 2) + p;
                    }
                }
            }
            let rows = Rows::Paired { head_dim };
            for row in 0..3 * head_dim {
                assert_eq!(file[rows.in_file(row)], row);
            }
        }
    }
}
