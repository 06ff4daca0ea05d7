//! `anllm convert`: any checkpoint in, a Hugging Face folder out.

use std::path::Path;

use anllm_core::RuleChoice;
use anllm_model::Checkpoint;
use anllm_model::checkpoint::{AddedEmbedding, EMBEDDING, Export, StoredType};
use serde_json::json;

use super::setup;
use crate::args::{AddAc, ConvertArgs, Dtype};
use crate::output::Output;

pub(crate) fn run(args: ConvertArgs, output: &Output) -> anyhow::Result<()> {
    let checkpoint = args.model.open()?;
    let anchors = match &args.model.anchors {
        RuleChoice::Model => None,
        RuleChoice::Rule(rule) => {
            // A rule that adds its own token cannot be checked against the vocabulary it will change.
            if args.add_ac.is_none() {
                setup::matcher(rule, &checkpoint)?;
            }
            Some(rule.clone())
        }
    };
    let checkpoint = match args.add_ac {
        Some(AddAc::Mean) => checkpoint.with_added_token(&AddedEmbedding::Mean)?,
        Some(AddAc::Copy(token)) => checkpoint.with_added_token(&AddedEmbedding::Copy(token))?,
        None => checkpoint,
    };
    let checkpoint = match &args.merge_lora {
        Some(folder) => merged(checkpoint, folder)?,
        None => checkpoint,
    };
    let export = Export {
        dtype: args.dtype.map_or_else(
            || stored_type(&checkpoint),
            |dtype| match dtype {
                Dtype::F32 => StoredType::F32,
                Dtype::F16 => StoredType::F16,
                Dtype::Bf16 => StoredType::BF16,
            },
        ),
        anchors,
        shard_bytes: args.shard_mb.max(1).saturating_mul(1_000_000),
    };
    let report = export.write(&checkpoint, &args.to)?;
    if output.is_json() {
        return output.json(&json!({ "parameters": report.parameters, "files": report.files }));
    }
    output.note(&format!("{} parameters written to {}:", report.parameters, args.to.display()));
    output.text(&(report.files.join("\n") + "\n"))
}

/// The checkpoint with adapters in its weights. A rule that came with them must fit the vocabulary.
fn merged(checkpoint: Checkpoint, adapters: &Path) -> anyhow::Result<Checkpoint> {
    let merged = checkpoint.with_adapter(adapters)?;
    if let Some(rule) = merged.config().anchors.clone() {
        setup::matcher(&rule, &merged)?;
    }
    Ok(merged)
}

/// As the source stores its embedding, where that is a float type: quantised blocks become 32-bit floats, which hold
/// their values exactly.
fn stored_type(checkpoint: &Checkpoint) -> StoredType {
    match checkpoint.source().info(EMBEDDING).map(|t| t.dtype.as_str()) {
        Some("F16") => StoredType::F16,
        Some("BF16") => StoredType::BF16,
        _ => StoredType::F32,
    }
}
