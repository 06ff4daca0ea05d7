//! Low-rank adapters through the real program: PEFT's and our own, merged into a checkpoint.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use anllm_model::Checkpoint;
use assert_cmd::Command;
use common::{Copy, Golden, anllm, distance, fixture, logits, object, on_model};

const NONE: &[&str] = &["--cache", "full"];

fn merge(base: &Path, adapters: &Path, to: &Path) -> Command {
    let mut command = on_model("convert", base);
    command.arg("--merge-lora").arg(adapters).arg("--to").arg(to);
    command
}

/// The base that a fixture's adapters were made on.
fn base_of(adapters: &str) -> PathBuf {
    let text = fs::read_to_string(fixture(&format!("lora/{adapters}/adapter_config.json"))).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    fixture(json["base_model_name_or_path"].as_str().unwrap())
}

#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    let output = command.assert().code(1).get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("hint: ") && !message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn what_peft_trained_is_merged_to_the_scores_that_peft_computes() {
    for name in ["patterns", "rows-tied", "rows-untied", "whole-head"] {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("merged");
        let adapters = fixture(&format!("lora/{name}"));
        let report = object(&mut merge(&base_of(name), &adapters, &to));
        assert!(report["parameters"].as_u64().unwrap() > 0);
        let golden = Golden::read(&adapters);
        let found = logits(&to, &golden.ids("input_ids"), NONE);
        let gap = distance(&found, &golden.floats("logits_causal"));
        assert!(gap < 1e-4, "{name}: {gap}");
        let base = logits(&base_of(name), &golden.ids("input_ids"), NONE);
        assert!(distance(&base, &found) > 0.1, "{name}: adapters do something");
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("merged");
    let base = base_of("patterns");
    refused(&mut merge(&base, &fixture("tiny/qwen3"), &to), &["adapter_config.json", "final/adapter"]);
    refused(&mut merge(&base, folder.path().join("nowhere").as_path(), &to), &["nowhere", "adapter_config.json"]);
    // Another base: other widths, fewer layers.
    refused(
        &mut merge(&fixture("tiny/llama3-rope"), &fixture("lora/patterns"), &to),
        &["expected shape", "found", "tiny/llama-gqa-tied"],
    );
    refused(&mut merge(&base, &fixture("lora/whole-head"), &to), &["lm_head", "has no place", "llama-mha-untied"]);

    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let copy = Copy::of("lora/patterns");
        copy.json("adapter_config.json", change);
        copy
    };
    let copy = changed(&|c| c["r"] = 5.into());
    refused(&mut merge(&base, &copy.path(), &to), &["lora_A", "expected shape [5,", "found [4,"]);
    let copy = changed(&|c| c["target_modules"] = serde_json::json!(["q_proj", "v_proj", "down_proj", "k_proj"]));
    refused(&mut merge(&base, &copy.path(), &to), &["k_proj.lora_A.weight` is missing"]);
    let copy = changed(&|c| c["target_modules"] = serde_json::json!(["query"]));
    refused(&mut merge(&base, &copy.path(), &to), &["`query`", "does not have"]);
    let copy = changed(&|c| c["use_dora"] = true.into());
    refused(&mut merge(&base, &copy.path(), &to), &["use_dora", "merge_and_unload"]);
    let copy = changed(&|_| ());
    copy.bytes("adapter_model.safetensors", |bytes| bytes.truncate(1000));
    refused(&mut merge(&base, &copy.path(), &to), &["adapter_model.safetensors", "cut short"]);
    fs::remove_file(copy.file("adapter_model.safetensors")).unwrap();
    refused(&mut merge(&base, &copy.path(), &to), &["adapter_model.safetensors"]);
    assert!(!to.exists(), "nothing is written");
}

#[test]
fn adapters_with_an_added_token_learn_its_row_and_merge_to_the_trained_model() {
    let folder = tempfile::tempdir().unwrap();
    let record = |n| format!("{{\"text\": \"The tide went out {n} times. The boats lay on the sand. A boy ran.\"}}\n");
    fs::write(folder.path().join("text.jsonl"), (0..20).map(record).collect::<String>()).unwrap();
    for base in ["tiny/llama-gqa-tied", "tiny/llama-mha-untied"] {
        let base = fixture(base);
        let run = folder.path().join(base.file_name().unwrap());
        let config = format!(
            "[model]\nfrom = {base:?}\nadd_ac = \"copy:.\"\n[data]\nsources = [{{ path = \"text.jsonl\" }}]\n\
             context = 48\n[lora]\nrank = 2\n[train]\nsteps = 4\nrows_per_step = 2\n[optimizer]\n\
             learning_rate = 0.01\nweight_decay = 0.1\n[save]\noutput = {run:?}\n"
        );
        fs::write(folder.path().join("run.toml"), config).unwrap();
        let mut train = anllm(["train", "--config", "run.toml", "--device", "cpu"]);
        train.current_dir(folder.path()).assert().success();

        let adapters = run.join("final/adapter");
        let merged = run.join("merged");
        refused(&mut merge(&base, &adapters, &merged), &["row for token 292", "292 tokens", "--add-ac mean"]);
        merge(&base, &adapters, &merged).args(["--add-ac", "mean"]).assert().success();
        let ids: Vec<u32> = (1..290).step_by(7).chain([292, 5, 6]).collect();
        let gap = distance(&logits(&merged, &ids, &[]), &logits(&run.join("final"), &ids, &[]));
        assert!(gap < 1e-4, "the same model as training wrote: {gap}");

        // Of both matrices the row of <AC> learned, and no other.
        let open = |path: &Path| Checkpoint::open(path).unwrap();
        let (before, after) = (open(&base), open(&merged));
        assert_eq!(after.config().anchors.as_ref().unwrap().to_string(), "ac");
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            let Ok(old) = before.source().read_f32(name) else { continue };
            let new = after.source().read_f32(name).unwrap();
            let width = new.len() / 293;
            assert_eq!(old[..], new[..old.len()], "{name}");
            let dot = anllm_core::Vocabulary::id(&before.tokenizer().unwrap(), ".").unwrap() as usize;
            assert_ne!(new[292 * width..], old[dot * width..(dot + 1) * width], "{name}: its row moved");
        }
    }
}
