//! GGUF metadata as the `config.json` and `generation_config.json` that Hugging Face would have beside the weights.

use serde_json::{Map, Value as Json, json};

use super::cursor::DAMAGED;
use super::metadata::Metadata;
use super::names::Architecture;
use super::rope;
use crate::checkpoint::{CheckpointError, TensorInfo};

/// Keys after the architecture's prefix that change what the model computes in ways this reader has no place for.
const REFUSED_KEYS: [&str; 8] = [
    "expert_count",
    "attention.clamp_kqv",
    "attention.scale",
    "attention.temperature_length",
    "attention.max_alibi_bias",
    "logit_scale",
    "embedding_scale",
    "residual_scale",
];

/// The numbers of the architecture, read and checked against each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geometry {
    pub(super) arch: Architecture,
    pub(super) layers: u64,
    pub(super) hidden: u64,
    pub(super) intermediate: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) head_dim: u64,
    pub(super) context: u64,
    pub(super) rms_norm_eps: f64,
    pub(super) rope_theta: f64,
}

impl Geometry {
    /// # Errors
    /// An unknown architecture, a missing key (named), or a number that cannot be.
    pub(super) fn read(metadata: &Metadata) -> Result<Self, CheckpointError> {
        let key = "general.architecture";
        let name = metadata.text(key)?.ok_or_else(|| metadata.missing(key))?;
        let arch = Architecture::parse(name).ok_or_else(|| {
            CheckpointError::unsupported(
                metadata.path(),
                format!("architecture `{name}`"),
                format!("supported architectures are {}", Architecture::ALL.map(Architecture::name).join(", ")),
            )
        })?;
        refuse_unknown_features(metadata, arch)?;

        let heads = required(metadata, arch, "attention.head_count")?;
        let hidden = required(metadata, arch, "embedding_length")?;
        let kv_heads = optional(metadata, arch, "attention.head_count_kv")?.unwrap_or(heads);
        let rotated = optional(metadata, arch, "rope.dimension_count")?;
        let head_dim = match optional(metadata, arch, "attention.key_length")?.or(rotated) {
            Some(dim) => dim,
            None => hidden / heads,
        };
        let geometry = Self {
            arch,
            layers: required(metadata, arch, "block_count")?,
            hidden,
            intermediate: required(metadata, arch, "feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            context: required(metadata, arch, "context_length")?,
            rms_norm_eps: {
                let key = format!("{arch}.attention.layer_norm_rms_epsilon");
                metadata.float(&key)?.ok_or_else(|| metadata.missing(&key))?
            },
            // Converters leave the key out where the model uses the original value.
            rope_theta: metadata.float(&format!("{arch}.rope.freq_base"))?.unwrap_or(10_000.0),
        };
        geometry.check(metadata, rotated, optional(metadata, arch, "attention.value_length")?)?;
        Ok(geometry)
    }

    fn check(&self, metadata: &Metadata, rotated: Option<u64>, value: Option<u64>) -> Result<(), CheckpointError> {
        let Self { arch, heads, kv_heads, head_dim, .. } = *self;
        let unsupported = |what: String| {
            Err(CheckpointError::unsupported(metadata.path(), what, "this model needs a program that implements it"))
        };
        if head_dim == 0 || head_dim % 2 != 0 {
            return unsupported(format!("an odd head width of {head_dim}"));
        }
        if let Some(rotated) = rotated.filter(|rotated| *rotated != head_dim) {
            return unsupported(format!(
                "rotary embeddings over a part of the head (`{arch}.rope.dimension_count` {rotated}, head width {head_dim})"
            ));
        }
        if let Some(value) = value.filter(|value| *value != head_dim) {
            return unsupported(format!("values of another width than keys ({value} and {head_dim})"));
        }
        if heads % kv_heads != 0 {
            return Err(CheckpointError::malformed(
                metadata.path(),
                format!("metadata has {heads} attention heads, not a multiple of its {kv_heads} key/value heads"),
                DAMAGED,
            ));
        }
        Ok(())
    }
}

fn refuse_unknown_features(metadata: &Metadata, arch: Architecture) -> Result<(), CheckpointError> {
    for suffix in REFUSED_KEYS {
        let key = format!("{arch}.{suffix}");
        // Some converters write the neutral value zero.
        if let Some(value) = metadata.get(&key).filter(|v| v.as_u64() != Some(0) && v.as_f64() != Some(0.0)) {
            return Err(CheckpointError::unsupported(
                metadata.path(),
                format!("the model feature `{key}` = {value}"),
                "this model needs a program that implements it",
            ));
        }
    }
    if metadata.flag(&format!("{arch}.attention.causal"))? == Some(false) {
        return Err(CheckpointError::unsupported(
            metadata.path(),
            "a model without causal attention",
            "use a text generation model",
        ));
    }
    Ok(())
}

/// A positive integer that fits `u32`; per-layer arrays are accepted where all layers agree.
fn optional(metadata: &Metadata, arch: Architecture, suffix: &str) -> Result<Option<u64>, CheckpointError> {
    let key = format!("{arch}.{suffix}");
    let Some(value) = metadata.get(&key) else { return Ok(None) };
    let number = match value.as_integers() {
        Some(layers) => match layers.first() {
            Some(first) if layers.iter().all(|n| n == first) => u64::try_from(*first).ok(),
            _ => {
                return Err(CheckpointError::unsupported(
                    metadata.path(),
                    format!("layers that differ in `{key}` ({value})"),
                    "this model needs a program that implements it",
                ));
            }
        },
        None => value.as_u64(),
    };
    match number {
        Some(number @ 1..=0xffff_ffff) => Ok(Some(number)),
        _ => Err(CheckpointError::malformed(
            metadata.path(),
            format!("metadata `{key}` is {} {value}, expected a positive integer", value.type_name()),
            DAMAGED,
        )),
    }
}

fn required(metadata: &Metadata, arch: Architecture, suffix: &str) -> Result<u64, CheckpointError> {
    optional(metadata, arch, suffix)?.ok_or_else(|| metadata.missing(&format!("{arch}.{suffix}")))
}

/// The `config.json` of the model. `rope_factors` are the values of `rope_freqs.weight`, where the file has it.
pub(super) fn config_json(
    metadata: &Metadata,
    geometry: &Geometry,
    tensors: &[TensorInfo],
    rope_factors: Option<&[f32]>,
) -> Result<Json, CheckpointError> {
    let tensor = |name: &str| tensors.iter().find(|t| t.name == name);
    let has_bias = |module: &str| tensors.iter().any(|t| t.name.ends_with(&format!("{module}.bias")));
    let vocabulary = match tensor("model.embed_tokens.weight").and_then(|t| t.shape.first()) {
        Some(rows) => *rows as u64,
        None => required(metadata, geometry.arch, "vocab_size")?,
    };
    let mut config = json!({
        "architectures": [geometry.arch.class()],
        "model_type": geometry.arch.name(),
        "hidden_size": geometry.hidden,
        "intermediate_size": geometry.intermediate,
        "num_hidden_layers": geometry.layers,
        "num_attention_heads": geometry.heads,
        "num_key_value_heads": geometry.kv_heads,
        "head_dim": geometry.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": geometry.rms_norm_eps,
        "vocab_size": vocabulary,
        "max_position_embeddings": geometry.context,
        "tie_word_embeddings": tensor("lm_head.weight").is_none(),
        "rope_parameters": rope::parameters(metadata, geometry, rope_factors)?,
    });
    let Some(map) = config.as_object_mut() else { return Ok(config) };
    if geometry.arch != Architecture::Qwen2 {
        map.insert("attention_bias".into(), has_bias("self_attn.q_proj").into());
    }
    if geometry.arch == Architecture::Llama {
        map.insert("mlp_bias".into(), has_bias("mlp.gate_proj").into());
    }
    if let Some(window) = metadata.uint(&format!("{}.attention.sliding_window", geometry.arch))?.filter(|w| *w != 0) {
        map.insert("use_sliding_window".into(), true.into());
        map.insert("sliding_window".into(), window.into());
    }
    insert_ids(map, metadata, &["eos"])?;
    if let Some(anchors) = metadata.text("anllm.anchors")? {
        map.insert("anllm".into(), json!({ "format": 1, "anchors": anchors }));
    }
    Ok(config)
}

/// The `generation_config.json`: the ids that begin, end and pad a text. Where the file names an end of turn besides
/// the end of text, both end a generation, as a list.
pub(super) fn generation_config_json(metadata: &Metadata) -> Result<Json, CheckpointError> {
    let mut map = Map::new();
    insert_ids(&mut map, metadata, &["eos", "eot"])?;
    Ok(Json::Object(map))
}

fn insert_ids(map: &mut Map<String, Json>, metadata: &Metadata, ends: &[&str]) -> Result<(), CheckpointError> {
    let id = |name: &str| token_id(metadata, name);
    if let Some(bos) = id("bos")? {
        map.insert("bos_token_id".into(), bos.into());
    }
    let mut eos = Vec::new();
    for name in ends {
        eos.extend(id(name)?.filter(|id| !eos.contains(id)));
    }
    match eos[..] {
        [] => {}
        [one] => drop(map.insert("eos_token_id".into(), one.into())),
        _ => drop(map.insert("eos_token_id".into(), eos.into())),
    }
    if let Some(pad) = id("padding")? {
        map.insert("pad_token_id".into(), pad.into());
    }
    Ok(())
}

/// The id that the file gives the special token `name` (bos, eos, eot, unknown, padding), checked against the
/// vocabulary.
pub(super) fn token_id(metadata: &Metadata, name: &str) -> Result<Option<u64>, CheckpointError> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    let Some(id) = metadata.uint(&key)? else { return Ok(None) };
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.map(<[String]>::len);
    match tokens {
        // Writers put -1 in the unsigned field for "none".
        _ if id == u64::from(u32::MAX) => Ok(None),
        Some(tokens) if id >= tokens as u64 => Err(CheckpointError::malformed(
            metadata.path(),
            format!("metadata `{key}` is {id}, but the vocabulary has {tokens} tokens"),
            DAMAGED,
        )),
        _ => Ok(Some(id)),
    }
}
