//! Names of parameters: from the path by which Burn visits a decoder to the name in Hugging Face checkpoints.

use crate::checkpoint::{EMBEDDING, FINAL_NORM};

/// Where a visitor or mapper of a [`Decoder`](super::Decoder) stands. Hand it every `enter_module` and `exit_module`.
#[derive(Debug, Clone, Default)]
pub struct ParameterPath {
    parts: Vec<String>,
}

impl ParameterPath {
    /// Steps into a field.
    pub fn enter(&mut self, field: &str) {
        self.parts.push(field.to_owned());
    }

    /// Steps out of it.
    pub fn exit(&mut self) {
        self.parts.pop();
    }

    /// The parameter's name: `model.layers.3.self_attn.q_proj.weight`; of an adapter `….q_proj.lora_A.weight`, as PEFT
    /// calls it.
    pub fn name(&self) -> String {
        let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["embedding"] => EMBEDDING.to_owned(),
            ["norm", ..] => FINAL_NORM.to_owned(),
            ["head", rest @ ..] => format!("lm_head.{}", leaf(rest)),
            ["blocks", layer, rest @ ..] => format!("model.layers.{layer}.{}", in_block(rest)),
            other => other.join("."),
        }
    }
}

fn in_block(parts: &[&str]) -> String {
    match parts {
        ["attention_norm", rest @ ..] => format!("input_layernorm.{}", leaf(rest)),
        ["mlp_norm", rest @ ..] => format!("post_attention_layernorm.{}", leaf(rest)),
        ["attention", part, rest @ ..] => {
            let part = match *part {
                "query" => "q_proj",
                "key" => "k_proj",
                "value" => "v_proj",
                "output" => "o_proj",
                "query_norm" => "q_norm",
                "key_norm" => "k_norm",
                other => other,
            };
            format!("self_attn.{part}.{}", leaf(rest))
        }
        ["mlp", part, rest @ ..] => format!("mlp.{part}_proj.{}", leaf(rest)),
        other => other.join("."),
    }
}

fn leaf(parts: &[&str]) -> String {
    match parts {
        ["adapter", "down"] => "lora_A.weight".to_owned(),
        ["adapter", "up"] => "lora_B.weight".to_owned(),
        other => other.join("."),
    }
}
