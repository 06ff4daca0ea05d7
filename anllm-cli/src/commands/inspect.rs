//! `anllm inspect`: what a checkpoint holds.

use std::collections::BTreeMap;

use anllm_core::Vocabulary;
use anllm_model::{Checkpoint, checkpoint::Format};
use serde_json::{Value, json};

use super::setup;
use crate::args::InspectArgs;
use crate::output::{Output, bytes};

pub(crate) fn run(args: InspectArgs, output: &Output) -> anyhow::Result<()> {
    let checkpoint = args.model.open()?;
    let value = describe(&checkpoint, &args)?;
    match output.is_json() {
        true => output.json(&value),
        false => output.text(&page(&value, args.tensors)),
    }
}

fn describe(checkpoint: &Checkpoint, args: &InspectArgs) -> anyhow::Result<Value> {
    let config = checkpoint.config();
    let mut types: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for tensor in checkpoint.source().tensors() {
        let entry = types.entry(&tensor.dtype).or_default();
        entry.0 += 1;
        entry.1 += tensor.bytes;
    }
    let weight_bytes: u64 = types.values().map(|(_, bytes)| bytes).sum();
    let tokenizer = checkpoint.tokenizer().ok();
    let rule = setup::rule(&args.model.anchors, config);
    let anchor_tokens = match &rule {
        Some(rule) => setup::matcher(rule, checkpoint)?.ids().map(|ids| ids.len()),
        None => None,
    };
    Ok(json!({
        "path": checkpoint.path(),
        "format": match checkpoint.format() {
            Format::HuggingFace => "huggingface",
            Format::Gguf => "gguf",
        },
        "architecture": config.architecture.model_type(),
        "parameters": config.parameters(),
        "layers": config.layers,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "context": config.max_positions,
        "rope": { "theta": config.rope.theta, "scaling": config.rope.scaling.to_json() },
        "norm_eps": config.norm_eps,
        "tied_head": config.tied_head,
        "qkv_bias": config.qkv_bias,
        "qk_norm": config.qk_norm,
        "bos": config.bos,
        "eos": config.eos,
        "tokenizer": tokenizer.as_ref().map(|t| json!({ "size": t.size(), "pre_tokenizer": checkpoint.pre_tokenizer() })),
        "weights": types
            .iter()
            .map(|(name, (count, bytes))| ((*name).to_owned(), json!({ "tensors": count, "bytes": bytes })))
            .collect::<serde_json::Map<_, _>>(),
        "weight_bytes": weight_bytes,
        "kv_bytes_per_token": { "f32": 4 * config.kv_elements(), "f16": 2 * config.kv_elements() },
        "anchors": rule.as_ref().map(ToString::to_string),
        "anchor_tokens": anchor_tokens,
        "tensors": checkpoint.source().tensors().iter().map(|t| json!({
            "name": t.name, "shape": t.shape, "dtype": t.dtype, "bytes": t.bytes,
        })).collect::<Vec<_>>(),
        "unused": checkpoint.unused().iter().map(|t| &t.name).collect::<Vec<_>>(),
    }))
}

fn page(value: &Value, with_tensors: bool) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| text.push_str(&format!("{key:<20} {value}\n"));
    let plain = |key: &str| match &value[key] {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let size = |value: &Value| bytes(value.as_u64().unwrap_or(0) as usize);
    for key in ["path", "format", "architecture", "parameters", "layers", "hidden_size", "intermediate_size"] {
        line(key, plain(key));
    }
    line("heads", format!("{} query, {} key/value, of {}", plain("heads"), plain("kv_heads"), plain("head_dim")));
    for key in ["vocab_size", "context", "rope", "tied_head", "qkv_bias", "qk_norm", "bos", "eos", "tokenizer"] {
        line(key, plain(key));
    }
    if let Some(types) = value["weights"].as_object() {
        for (name, entry) in types {
            line("weights", format!("{name}: {} tensors, {}", entry["tensors"], size(&entry["bytes"])));
        }
    }
    line("cache per token", format!("{} (f32)", size(&value["kv_bytes_per_token"]["f32"])));
    line("anchors", value["anchors"].as_str().unwrap_or("the checkpoint names no rule").to_owned());
    if with_tensors && let Some(tensors) = value["tensors"].as_array() {
        for t in tensors {
            let name = t["name"].as_str().unwrap_or_default();
            text.push_str(&format!("{name:<56} {:<8} {}\n", t["dtype"].as_str().unwrap_or_default(), t["shape"]));
        }
    }
    text
}
