//! Low-rank adapters on disk, as Hugging Face PEFT writes them: a folder with [`CONFIG`] and [`WEIGHTS`].
//!
//! | tensor | holds |
//! |---|---|
//! | `base_model.model.<layer>.lora_A.weight` | `A`, `[r, in]` |
//! | `base_model.model.<layer>.lora_B.weight` | `B`, `[out, r]`; the layer's weight gains `scale · B·A` |
//! | `base_model.model.<module>.token_adapter.trainable_tokens_delta` | `[N, C]`, in spite of its name the rows themselves; `trainable_token_indices` says which |
//! | `base_model.model.<tensor>` | a whole tensor (`modules_to_save`) |

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::CheckpointError;
use super::read_json;

/// The settings' file.
pub const CONFIG: &str = "adapter_config.json";
/// The tensors' file.
pub const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the names of the model's own modules.
pub const PREFIX: &str = "base_model.model.";
/// What follows the module's name in the name of trained rows.
pub const TOKEN_ROWS: &str = ".token_adapter.trainable_tokens_delta";
/// Where the tensors' file says the anchor rule, as `config.json` does: PEFT does not read a file's metadata, and
/// warns of settings it does not know.
pub const RULE: &str = "anllm";

/// What `adapter_config.json` says, as far as merging needs it.
#[derive(Debug, Clone)]
pub(crate) struct AdapterSettings {
    path: PathBuf,
    json: Value,
    rank: usize,
    alpha: f64,
}

impl AdapterSettings {
    /// Reads and judges the settings of the adapters in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(CONFIG);
        if !path.is_file() {
            return Err(CheckpointError::malformed(
                folder,
                format!("expected a folder of adapters, found no {CONFIG} in it"),
                "name a folder that PEFT wrote, or `final/adapter` of a training run with [lora]",
            ));
        }
        let json = read_json(&path)?;
        let number = |key: &str| {
            json[key].as_f64().filter(|n| n.is_finite() && *n > 0.0).ok_or_else(|| {
                let what = format!("`{key}`: expected a number above 0, found {}", json[key]);
                CheckpointError::malformed(&path, what, "the file is damaged, or was not written by PEFT")
            })
        };
        judge(&path, &json)?;
        let (rank, alpha) = (number("r")? as usize, number("lora_alpha")?);
        Ok(Self { rank, alpha, json, path })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The model that the adapters were trained on, by its own name.
    pub(crate) fn base(&self) -> &str {
        self.json["base_model_name_or_path"].as_str().unwrap_or("a model that it does not name")
    }

    /// The rank of the adapter beside `layer`.
    pub(crate) fn rank(&self, layer: &str) -> usize {
        pattern(&self.json["rank_pattern"], layer).map_or(self.rank, |rank| rank as usize)
    }

    /// What the product of its matrices is multiplied by: `α/r`, or `α/√r` (rsLoRA).
    pub(crate) fn scale(&self, layer: &str) -> f64 {
        let rank = self.rank(layer) as f64;
        let alpha = pattern(&self.json["alpha_pattern"], layer).unwrap_or(self.alpha);
        if self.json["use_rslora"] == true { alpha / rank.sqrt() } else { alpha / rank }
    }

    /// The last parts of the names of all layers that must have an adapter, where the settings are a plain list.
    pub(crate) fn targets(&self) -> Vec<&str> {
        let narrowed = ["layers_to_transform", "layers_pattern", "exclude_modules"];
        match self.json["target_modules"].as_array() {
            Some(list) if narrowed.iter().all(|key| self.json[*key].is_null()) => {
                list.iter().filter_map(Value::as_str).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The tokens whose rows of `module` (`model.embed_tokens`, `lm_head`) were trained.
    pub(crate) fn token_rows(&self, module: &str) -> Vec<usize> {
        let indices = match &self.json["trainable_token_indices"] {
            // A list is about the embedding.
            Value::Array(list) => Some(list),
            Value::Object(map) => {
                let names = |key: &str| module == key || module.ends_with(&format!(".{key}"));
                map.iter().find(|(key, _)| names(key)).and_then(|(_, list)| list.as_array())
            }
            _ => None,
        };
        indices.into_iter().flatten().filter_map(|i| i.as_u64().map(|i| i as usize)).collect()
    }
}

/// Refuses kinds of adapters that are more than a low-rank sum.
fn judge(path: &Path, json: &Value) -> Result<(), CheckpointError> {
    let unsupported = |key: &str| {
        CheckpointError::unsupported(
            path,
            format!("`{key}` is {}, which is not merged here", json[key]),
            "merge with PEFT itself (`merge_and_unload`), then convert the result",
        )
    };
    if json["peft_type"] != "LORA" {
        return Err(unsupported("peft_type"));
    }
    let off = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let plain = [
        "use_dora",
        "lora_bias",
        "fan_in_fan_out",
        "use_qalora",
        "use_bdlora",
        "alora_invocation_tokens",
        "layer_replication",
        "target_parameters",
        "arrow_config",
    ];
    if let Some(key) = plain.iter().find(|key| !off(&json[**key])) {
        return Err(unsupported(key));
    }
    if !json["bias"].is_null() && json["bias"] != "none" {
        return Err(unsupported("bias"));
    }
    // These change the base when training starts: their matrices belong to weights that are nowhere on disk.
    let start = json["init_lora_weights"].as_str().unwrap_or_default();
    if ["pissa", "olora", "corda", "loftq", "lora_ga"].iter().any(|name| start.starts_with(name)) {
        return Err(unsupported("init_lora_weights"));
    }
    let is_regex = |key: &String| key.contains(['*', '+', '?', '^', '$', '|', '(', '[', '{', '\\']);
    for key in ["rank_pattern", "alpha_pattern"] {
        if json[key].as_object().is_some_and(|map| map.keys().any(is_regex)) {
            return Err(unsupported(key));
        }
    }
    Ok(())
}

/// The entry of a pattern that names `layer`, or ends its name.
fn pattern(map: &Value, layer: &str) -> Option<f64> {
    let names = |key: &str| layer == key || layer.ends_with(&format!(".{key}"));
    map.as_object()?.iter().find(|(key, _)| names(key)).and_then(|(_, value)| value.as_f64())
}
