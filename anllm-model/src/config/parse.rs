//! From `config.json` to [`ModelConfig`]: defaults that the families leave out, and checks that keep later code from
//! meeting nonsense.

use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use super::{Architecture, ModelConfig, RopeConfig};
use crate::checkpoint::CheckpointError;

impl ModelConfig {
    /// Reads the content of a `config.json`. `path` is for messages.
    ///
    /// # Errors
    /// When a key is missing or of the wrong type, when sizes contradict each other, and when the file asks for what
    /// is not implemented: another architecture, activation or rope type.
    pub fn from_json(path: &Path, json: &Value) -> Result<Self, CheckpointError> {
        let config = Fields::new(path, "", json)?;
        let architecture = architecture(&config)?;
        activation(&config)?;
        refuse_quantised(&config)?;

        let hidden_size = config.required_count("hidden_size")?;
        let heads = config.required_count("num_attention_heads")?;
        let kv_heads = config.count("num_key_value_heads")?.unwrap_or(heads);
        if heads % kv_heads != 0 {
            return Err(config.error(&format!(
                "`num_attention_heads` ({heads}) must be a multiple of `num_key_value_heads` ({kv_heads})"
            )));
        }
        let head_dim = match config.count("head_dim")? {
            Some(head_dim) => head_dim,
            None if architecture == Architecture::Qwen3 => 128,
            None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                return Err(config.error(&format!(
                    "without `head_dim`, `hidden_size` ({hidden_size}) must be a multiple of \
                     `num_attention_heads` ({heads})"
                )));
            }
        };
        if !head_dim.is_multiple_of(2) {
            return Err(config.error(&format!("`head_dim` must be even for rotary embeddings, found {head_dim}")));
        }

        let max_positions = config.count("max_position_embeddings")?.unwrap_or(2048);
        let attention_bias = config.flag("attention_bias")?.unwrap_or(false);
        let norm_eps = config.number("rms_norm_eps")?.unwrap_or(1e-6);
        if norm_eps <= 0.0 {
            return Err(config.error(&format!("`rms_norm_eps` must be greater than 0, found {norm_eps}")));
        }

        Ok(Self {
            architecture,
            vocab_size: config.required_count("vocab_size")?,
            hidden_size,
            intermediate_size: config.required_count("intermediate_size")?,
            layers: config.required_count("num_hidden_layers")?,
            heads,
            kv_heads,
            head_dim,
            norm_eps,
            rope: RopeConfig::read(&config, max_positions)?,
            max_positions: window(&config, architecture)?.map_or(max_positions, |w| w.min(max_positions)),
            tied_head: config.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: architecture == Architecture::Qwen2 || attention_bias,
            output_bias: architecture != Architecture::Qwen2 && attention_bias,
            mlp_bias: config.flag("mlp_bias")?.unwrap_or(false),
            qk_norm: architecture == Architecture::Qwen3,
            bos: config.token_ids("bos_token_id")?.first().copied(),
            eos: config.token_ids("eos_token_id")?,
            anchors: anchors(&config)?,
        })
    }

    /// Takes the begin and end tokens that a `generation_config.json` names, which go before those of `config.json`.
    pub(crate) fn add_generation_settings(&mut self, path: &Path, json: &Value) -> Result<(), CheckpointError> {
        let generation = Fields::new(path, "", json)?;
        let eos = generation.token_ids("eos_token_id")?;
        if !eos.is_empty() {
            self.eos = eos;
        }
        if let Some(bos) = generation.token_ids("bos_token_id")?.first() {
            self.bos = Some(*bos);
        }
        Ok(())
    }
}

fn architecture(config: &Fields<'_>) -> Result<Architecture, CheckpointError> {
    let name = config.text("model_type")?.ok_or_else(|| config.missing("model_type"))?;
    Architecture::ALL.into_iter().find(|a| a.model_type() == name).ok_or_else(|| {
        let known = Architecture::ALL.map(Architecture::model_type).join(", ");
        CheckpointError::unsupported(
            config.path,
            format!("the architecture `{name}`"),
            format!("supported architectures: {known}"),
        )
    })
}

fn activation(config: &Fields<'_>) -> Result<(), CheckpointError> {
    match config.text("hidden_act")? {
        None | Some("silu" | "swish") => Ok(()),
        Some(other) => Err(CheckpointError::unsupported(
            config.path,
            format!("the activation `{other}` (`hidden_act`)"),
            "the supported activation is silu",
        )),
    }
}

fn refuse_quantised(config: &Fields<'_>) -> Result<(), CheckpointError> {
    let Some(settings) = config.get("quantization_config") else { return Ok(()) };
    let method = settings.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
    Err(CheckpointError::unsupported(
        config.path,
        format!("weights quantised with `{method}` (`quantization_config`)"),
        "use the model's unquantised safetensors, or a GGUF file",
    ))
}

/// The attention window, where the family uses one.
fn window(config: &Fields<'_>, architecture: Architecture) -> Result<Option<usize>, CheckpointError> {
    let used = match architecture {
        Architecture::Mistral => true,
        Architecture::Qwen2 | Architecture::Qwen3 => config.flag("use_sliding_window")?.unwrap_or(false),
        Architecture::Llama => false,
    };
    if used { config.count("sliding_window") } else { Ok(None) }
}

fn anchors(config: &Fields<'_>) -> Result<Option<anllm_core::AnchorRule>, CheckpointError> {
    /// The newest layout of the `anllm` object that this program reads.
    const FORMAT: usize = 1;
    let Some(object) = config.get("anllm") else { return Ok(None) };
    let stored = Fields::new(config.path, "anllm.", object)?;
    let format = stored.required_count("format")?;
    if format > FORMAT {
        return Err(CheckpointError::unsupported(
            config.path,
            format!("`anllm.format` is {format}; this program reads up to {FORMAT}"),
            "use a newer anllm",
        ));
    }
    let text = stored.text("anchors")?.ok_or_else(|| stored.missing("anchors"))?;
    text.parse().map(Some).map_err(|e| stored.error(&format!("`anllm.anchors`: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Value {
        json!({
            "model_type": "llama", "vocab_size": 100, "hidden_size": 48, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4,
        })
    }

    fn read(changes: Value) -> Result<ModelConfig, CheckpointError> {
        let mut json = base();
        for (key, value) in changes.as_object().unwrap() {
            json[key] = value.clone();
        }
        ModelConfig::from_json(Path::new("config.json"), &json)
    }

    fn error(changes: Value) -> String {
        read(changes).unwrap_err().to_string()
    }

    #[test]
    fn fills_in_what_families_leave_out() {
        let config = read(json!({})).unwrap();
        assert_eq!((config.kv_heads, config.head_dim, config.max_positions), (4, 12, 2048));
        assert!(!config.qkv_bias && !config.tied_head);
        let qwen2 = read(json!({"model_type": "qwen2"})).unwrap();
        assert!(qwen2.qkv_bias && !qwen2.output_bias);
        let qwen3 = read(json!({"model_type": "qwen3"})).unwrap();
        assert!(qwen3.qk_norm && qwen3.head_dim == 128);
    }

    #[test]
    fn eos_is_one_id_or_a_list() {
        assert_eq!(read(json!({"eos_token_id": 2})).unwrap().eos, [2]);
        assert_eq!(read(json!({"eos_token_id": [2, 7]})).unwrap().eos, [2, 7]);
        assert!(error(json!({"eos_token_id": "</s>"})).contains("a token id or a list"));
    }

    #[test]
    fn old_and_new_rope_keys_mean_the_same() {
        let new = json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}});
        let old = json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}});
        assert_eq!(read(new).unwrap().rope, read(old).unwrap().rope);
    }

    #[test]
    fn a_window_limits_the_context_instead_of_being_ignored() {
        let mistral = json!({"model_type": "mistral", "sliding_window": 512});
        assert_eq!(read(mistral).unwrap().max_positions, 512);
        let unused = json!({"model_type": "qwen2", "sliding_window": 512, "use_sliding_window": false});
        assert_eq!(read(unused).unwrap().max_positions, 2048);
    }

    #[test]
    fn reads_the_anchor_rule() {
        let config = read(json!({"anllm": {"format": 1, "anchors": "endswith:.|!"}})).unwrap();
        assert_eq!(config.anchors.unwrap().to_string(), "endswith:.|!");
        assert!(error(json!({"anllm": {"format": 9, "anchors": "ep"}})).contains("newer anllm"));
        assert!(error(json!({"anllm": {"format": 1, "anchors": "dots"}})).contains("`dots`"));
    }

    #[test]
    fn refuses_by_name() {
        assert!(error(json!({"model_type": "gpt2"})).contains("`gpt2`"));
        assert!(error(json!({"hidden_act": "gelu"})).contains("`gelu`"));
        assert!(error(json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}})).contains("`dynamic`"));
        assert!(error(json!({"quantization_config": {"quant_method": "gptq"}})).contains("`gptq`"));
        assert!(error(json!({"num_key_value_heads": 3})).contains("multiple"));
        assert!(error(json!({"hidden_size": 0})).contains("`hidden_size`"));
        assert!(error(json!({"hidden_size": null})).contains("missing"));
        assert!(error(json!({"head_dim": 7})).contains("even"));
        assert!(error(json!({"rope_theta": 0.5})).contains("greater than 1"));
    }
}
