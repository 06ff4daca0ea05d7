//! `anllm train` by the real program: a run from text to story, taken up again, and what it refuses.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{anllm, object, plain};

const CONFIG: &str = r#"
seed = 2
[model]
tokenizer = 320
anchors = "endswith:.|!"
[model.scratch]
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 128
[data]
sources = [{ path = "text.jsonl" }]
context = 48
rows = "packed"
[train]
steps = 6
rows_per_step = 2
[optimizer]
learning_rate = 0.01
[save]
output = "run"
every = 2
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let record = |n| {
        format!(
            "{{\"text\": \"The dog {n} ran home. It was late! Nobody saw it go. The moon — a thin one — rose.\"}}\n"
        )
    };
    fs::write(folder.path().join("text.jsonl"), (0..30).map(record).collect::<String>()).unwrap();
    fs::write(folder.path().join("run.toml"), CONFIG).unwrap();
    folder
}

fn train(folder: &Path, options: &[&str]) -> Command {
    let mut command = anllm(["train", "--config", "run.toml", "--device", "cpu"]);
    command.current_dir(folder).args(options);
    command
}

#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    let output = command.assert().code(1).get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty() && !message.contains("panicked"), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn trains_logs_and_writes_a_model_that_generates() {
    let folder = folder();
    let result = object(&mut train(folder.path(), &[]));
    assert_eq!((result["step"].as_u64(), result["tokens"].as_u64()), (Some(6), Some(6 * 2 * 48)));
    let log = fs::read_to_string(folder.path().join("run/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6);
    assert!(folder.path().join("run/run.json").is_file());
    let events: Vec<_> = fs::read_dir(folder.path().join("run/tensorboard")).unwrap().collect();
    assert_eq!(events.len(), 1);

    let mut generate = anllm(["generate", "--model", "run/final", "-n", "5", "--ignore-eos", "--prompt", "The dog"]);
    let story = object(generate.current_dir(folder.path()));
    assert_eq!(story["kv"]["policy"], "anchor", "the rule went with the weights");
    assert_eq!(story["tokens"].as_array().unwrap().len(), 5);

    refused(&mut train(folder.path(), &[]), &["a run in this folder already", "--resume auto"]);
}

#[test]
fn goes_on_where_it_was_stopped() {
    let (whole, parts) = (folder(), folder());
    train(whole.path(), &[]).assert().success();
    // The schedule is constant, so that a shorter run is the beginning of a longer one.
    train(parts.path(), &["--set", "train.steps=4"]).assert().success();
    train(parts.path(), &["--resume", "auto"]).assert().success();
    let losses = |folder: &Path| -> Vec<String> {
        let log = fs::read_to_string(folder.join("run/log.jsonl")).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].to_string();
        log.lines().map(line).collect()
    };
    assert_eq!(losses(whole.path()), losses(parts.path()));
}

#[test]
fn samples_and_memory_are_logged_and_change_nothing_of_the_training() {
    let (plain, sampled) = (folder(), folder());
    // Dropout draws from the backend's random state, which samples must leave alone.
    let lora = ["--set", "lora.rank=2", "--set", "lora.dropout=0.2"];
    train(plain.path(), &lora).assert().success();
    let sampling = [
        "--set",
        "log.sample_every=2",
        "--set",
        "log.sample_prompts=[\"The dog\", \"It was late!\"]",
        "--set",
        "log.sample_tokens=6",
        "--set",
        "log.sample_temperature=0.8",
    ];
    let options = [&lora[..], &sampling].concat();
    let output = train(sampled.path(), &options).assert().success().get_output().clone();
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains("step 2: \"The dog\" → "), "{shown}");

    let lines = |folder: &Path| -> Vec<serde_json::Value> {
        let log = fs::read_to_string(folder.join("run/log.jsonl")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let losses = |lines: &[serde_json::Value]| -> Vec<String> {
        lines.iter().filter(|line| line.get("sample").is_none()).map(|line| line["loss"].to_string()).collect()
    };
    let (without, with) = (lines(plain.path()), lines(sampled.path()));
    assert_eq!(losses(&without), losses(&with));
    let weights = |folder: &Path| fs::read(folder.join("run/final/model.safetensors")).unwrap();
    assert!(weights(plain.path()) == weights(sampled.path()), "the finished models differ");

    let samples: Vec<_> = with.iter().filter(|line| line.get("sample").is_some()).cloned().collect();
    let steps: Vec<_> = samples.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2, 2, 4, 4, 6, 6]);
    assert_eq!(samples[1]["sample"]["prompt"], "It was late!");
    assert!(samples.iter().all(|line| line["sample"]["text"].is_string()));
    if cfg!(target_os = "linux") {
        let (now, peak) = (&without[5]["memory_bytes"], &without[5]["peak_memory_bytes"]);
        assert!(now.as_u64().unwrap() > 1 << 20 && peak.as_u64() >= now.as_u64(), "{now} of {peak}");
    }

    // The same draws again, from a run that was stopped between.
    let parts = folder();
    let stop_early = [&options[..], &["--set", "train.steps=4"]].concat();
    train(parts.path(), &stop_early).assert().success();
    train(parts.path(), &[&options[..], &["--resume", "auto"]].concat()).assert().success();
    let again: Vec<_> = lines(parts.path()).into_iter().filter(|line| line.get("sample").is_some()).collect();
    assert_eq!(again, samples);
}

#[cfg(target_os = "linux")]
#[test]
fn gradient_checkpointing_takes_less_memory_as_a_dry_run_tells_and_learns_the_same() {
    let folder = folder();
    let run = |checkpointing: &str| {
        let settings = [
            "train.steps=2",
            "model.scratch.num_hidden_layers=12",
            "model.scratch.intermediate_size=1024",
            "train.rows_per_step=16",
            "train.rows_at_once=16",
            &format!("save.output=run-{checkpointing}"),
            &format!("train.gradient_checkpointing={checkpointing}"),
        ];
        let options: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        let told = object(train(folder.path(), &options).arg("--dry-run"))["memory_bytes"].as_f64().unwrap();
        train(folder.path(), &options).assert().success();
        let log = fs::read_to_string(folder.path().join(format!("run-{checkpointing}/log.jsonl"))).unwrap();
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        let peak = last["peak_memory_bytes"].as_f64().unwrap();
        // The program itself is not part of the estimate.
        let took = peak - 25e6;
        assert!(told > 0.6 * took && told < 1.7 * took, "told {told}, took {took}");
        (last["loss"].to_string(), peak)
    };
    let ((loss, most), (same_loss, less)) = (run("false"), run("true"));
    assert_eq!(loss, same_loss);
    assert!(less + 100e6 < most, "{less} bytes against {most}");
}

#[test]
fn the_length_of_a_run_is_saved_in_steps() {
    let folder = folder();
    let result = object(&mut train(folder.path(), &["--set", "train.steps=0", "--set", "train.tokens=200"]));
    let run: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("run/run.json")).unwrap()).unwrap();
    assert_eq!(result["step"], 3, "of 96 tokens");
    assert_eq!((&run["config"]["train"]["steps"], &run["length"]["tokens"]), (&3.into(), &200.into()));
    let twice = ["--set", "save.output=other", "--set", "train.epochs=1"];
    refused(&mut train(folder.path(), &twice), &["train.steps = 6, train.epochs = 1", "keep one"]);
}

#[test]
fn a_dry_run_tells_and_writes_no_run() {
    let folder = folder();
    let output = train(folder.path(), &["--dry-run"]).assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("⟨.⟩│") && text.contains("⟨!⟩│") && text.contains("2 rows, 96 tokens"), "{text}");
    assert!(text.contains("row 2 of the first step") && text.contains("6 steps"), "{text}");
    assert!(text.contains("memory            about ") && text.contains("activations"), "{text}");
    assert!(
        text.contains("moon — a thin") && !text.contains('\u{fffd}'),
        "characters of several tokens are whole: {text}"
    );
    assert!(!folder.path().join("run/checkpoints").exists());
}

/// A run that goes on where no file can grow beyond so many blocks of 512 bytes, as on a disk that is nearly full.
#[cfg(unix)]
fn on_a_full_disk(folder: &Path, blocks: usize) -> Command {
    let program = plain();
    let mut shell = std::process::Command::new("sh");
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // Without the signal, the write fails with an error, as it does on a full disk.
    let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    shell.current_dir(folder).args(["-c", &limit]).arg(program.get_program());
    shell.args(["train", "--config", "run.toml", "--device", "cpu", "--resume", "auto"]);
    Command::from_std(shell)
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoint_before_it() {
    let (folder, whole) = (folder(), folder());
    train(whole.path(), &[]).assert().success();
    train(folder.path(), &["--set", "train.steps=2"]).assert().success();
    let checkpoints = folder.path().join("run/checkpoints");
    let names = || {
        let entries = fs::read_dir(&checkpoints).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    // Room for neither weights nor moments; then for the weights.
    for (blocks, file) in [(100, "model.safetensors"), (500, "moments.safetensors")] {
        let parts = [&*format!("step-000004.writing/{file}"), "cannot write", "File too large", "hint: "];
        refused(&mut on_a_full_disk(folder.path(), blocks), &parts);
        assert_eq!(names(), ["step-000002"], "whole, and nothing half-written beside it");
    }
    // With room again, the run goes on as if nothing had happened.
    train(folder.path(), &["--resume", "auto"]).assert().success();
    let weights = |folder: &Path| fs::read(folder.join("run/final/model.safetensors")).unwrap();
    assert!(weights(folder.path()) == weights(whole.path()), "the finished models differ");
}

#[test]
fn what_is_wrong_is_named_by_file_and_line() {
    let folder = folder();
    let path = folder.path();
    let set = |value: &str| train(path, &["--set", value]);
    refused(&mut set("optimizer.learning_rat=1"), &["learning_rat", "learning_rate"]);
    refused(&mut set("model.anchors=none"), &["no anchor in", "hint: "]);
    refused(&mut set("data.sources.0.path=missing.jsonl"), &["missing.jsonl"]);
    fs::write(path.join("bad.jsonl"), "{\"text\": \"Fine.\"}\n{\"story\": \"No.\"}\n").unwrap();
    refused(&mut set("data.sources.0.path=bad.jsonl"), &["bad.jsonl:2", "story"]);
    fs::write(path.join("latin.jsonl"), b"{\"text\": \"caf\xe9\"}\n").unwrap();
    refused(&mut set("data.sources.0.path=latin.jsonl"), &["latin.jsonl", "UTF-8"]);
    refused(&mut train(path, &["--resume", "nowhere"]), &["nowhere"]);
    fs::write(path.join("run.toml"), CONFIG.replace("steps = 6", "stepz = 6")).unwrap();
    refused(&mut train(path, &[]), &["run.toml:", "stepz", "steps"]);
}
