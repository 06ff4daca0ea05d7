//! `anllm cache …`: prefixes that are read once and continued often.

mod build;
mod info;
mod merge;

use anllm_infer::prefix::{EntryType, Prefix};
use anllm_model::checkpoint::Existing;
use serde_json::{Value, json};

use crate::args::{CacheArgs, CacheCommand, TargetArgs};
use crate::output::{Output, bytes};

pub(crate) fn run(args: CacheArgs, output: &Output) -> anyhow::Result<()> {
    match args.command {
        CacheCommand::Build(args) => build::run(*args, output),
        CacheCommand::Info(args) => info::run(&args, output),
        CacheCommand::Merge(args) => merge::run(&args, output),
    }
}

fn existing(target: &TargetArgs) -> Existing {
    if target.force { Existing::Replace } else { Existing::Refuse }
}

/// Whether the file can be written, asked before long work; with what to do in this program's words.
fn check_target(target: &TargetArgs) -> anyhow::Result<()> {
    let exists = target.to.is_file() && !target.force;
    anyhow::ensure!(
        !exists,
        "{}: the file exists already\n  hint: give --to another file, or --force to replace it",
        target.to.display()
    );
    Ok(anllm_model::checkpoint::check_target(&target.to, existing(target))?)
}

/// What a prefix holds. `bytes` are those of its file.
fn about(prefix: &dyn Prefix, stored: EntryType, file_bytes: u64) -> Value {
    let head = prefix.head();
    let record = &head.record;
    let [kv_bytes, full_bytes] = head.float_bytes();
    let mut about = json!({
        "tokens": record.tokens,
        "entries": head.places.len(),
        "anchors": head.places.iter().filter(|place| place.anchor).count(),
        "bytes": file_bytes,
        "stored": stored.name(),
        "policy": record.policy,
        "rule": record.identity.anchors,
        "kv_bytes": kv_bytes,
        "full_bytes": full_bytes,
        "kv_reduction": 1.0 - head.places.len() as f64 / record.tokens.max(1) as f64,
        "peak": record.peak,
        "model_hash": record.identity.model_hash,
        "tokenizer_hash": record.identity.tokenizer_hash,
        "rule_hash": record.identity.anchors_hash,
        "parts": record.parts,
    });
    if let Some(following) = &record.following {
        about["following"] = json!(following);
    }
    about
}

/// The same in a line for people.
fn line(prefix: &dyn Prefix, stored: EntryType, file_bytes: u64) -> String {
    let head = prefix.head();
    let [_, full] = head.float_bytes();
    let anchors = head.places.iter().filter(|place| place.anchor).count();
    format!(
        "{} tokens, {} entries ({anchors} anchors) under {}, anchors {}: {} as {stored}; a full cache would hold {}",
        head.record.tokens,
        head.places.len(),
        head.record.policy,
        head.record.identity.anchors,
        bytes(usize::try_from(file_bytes).unwrap_or(usize::MAX)),
        bytes(full),
    )
}
