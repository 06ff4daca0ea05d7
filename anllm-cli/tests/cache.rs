//! `anllm cache` and `--prefix-cache`, through the real program.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{ANY, Copy, anllm, fixture, has_keys, ids, object, on_model, plain, text};
use serde_json::{Value, json};
use tempfile::TempDir;

const STORY: &str = "Once upon a time, there was a dog named Max. Max had a red ball. One day the ball was gone.";

fn at(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// A folder with a prefix cache of the bundled model in it.
fn built() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = at(&folder, "story.prefix");
    text(&mut anllm(["cache", "build", "--prompt", STORY, "--to", &file]));
    (folder, file)
}

/// The command fails with 1 and one message that says all of `parts`.
#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    let assert = command.assert().code(1);
    let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(!message.contains("panicked") && message.starts_with("error: "), "{message}");
    assert_eq!((message.matches("error: ").count(), message.matches("hint: ").count()), (1, 1), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn continued(file: &str, options: &[&str]) -> Command {
    let mut command = anllm(["generate", "--prefix-cache", file, "--prompt", " Max cried", "--temperature", "0"]);
    command.args(["-n", "12"]).args(options);
    command
}

#[test]
fn a_prefix_is_continued_as_if_it_had_been_the_prompt() {
    let (folder, file) = built();
    let info = object(&mut anllm(["cache", "info", &file]));
    has_keys(&info, &["tokens", "entries", "bytes", "model_hash", "tokenizer_hash", "rule_hash", "policy", "parts"]);
    assert_eq!(info["bytes"], fs::metadata(&file).unwrap().len());
    assert_eq!((&info["policy"], &info["entries"], &info["anchors"]), (&"anchor".into(), &3.into(), &3.into()));

    let found = object(&mut continued(&file, &[]));
    let whole = format!("{STORY} Max cried");
    let expected = object(
        anllm(["generate", "--prompt", &whole, "--temperature", "0", "-n", "12"]).args(["--prefill-chunk", "5"]),
    );
    assert_eq!(found["tokens"], expected["tokens"]);
    assert_eq!(found["kv"]["seen"], expected["kv"]["seen"]);
    assert_eq!(found["kv"]["kept"], expected["kv"]["kept"]);
    assert_eq!(found["prefix_tokens"], info["tokens"]);

    // Stored in fewer bits, from a file, from standard input; continued; and all is the same text.
    fs::write(folder.path().join("story.txt"), STORY).unwrap();
    for entries in ["f16", "q8"] {
        let small = at(&folder, entries);
        let story = at(&folder, "story.txt");
        text(&mut anllm(["cache", "build", "--text", &story, "--to", &small, "--entries", entries]));
        let about = object(&mut anllm(["cache", "info", &small]));
        assert_eq!((&about["stored"], &about["parts"]), (&entries.into(), &info["parts"]));
        assert!(about["bytes"].as_u64() < info["bytes"].as_u64());
        assert_eq!(ids(&object(&mut continued(&small, &[]))["tokens"]).len(), 12);
    }
    let (begin, rest) = STORY.split_at(44);
    let (half, whole) = (at(&folder, "half"), at(&folder, "whole"));
    text(anllm(["cache", "build", "-", "--to", &half]).write_stdin(begin));
    text(&mut anllm(["cache", "build", "--prefix-cache", &half, "--prompt", rest, "--to", &whole]));
    assert_eq!(object(&mut continued(&whole, &[]))["tokens"], found["tokens"]);
    assert_eq!(object(&mut anllm(["cache", "info", &whole]))["tokens"], info["tokens"]);
}

#[test]
fn a_conversation_is_held_behind_a_prefix() {
    let (_folder, file) = built();
    let mut chat = anllm(["chat", "--prefix-cache", &file, "--temperature", "0", "-n", "12", "--history", "none"]);
    let said = text(chat.arg("--json").write_stdin("Max cried\nThen\n"));
    let turns: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let alone = ["generate", "--prefix-cache", &file, "--prompt", "Max cried", "--temperature", "0", "-n", "12"];
    let expected = object(&mut anllm(alone));
    assert_eq!((&turns[0]["tokens"], &turns[0]["kv"]["seen"]), (&expected["tokens"], &expected["kv"]["seen"]));
    assert_eq!(turns[1]["kv"]["policy"], "anchor");
    refused(anllm(["chat", "--prefix-cache", &file, "--cache", "full"]).write_stdin("Hi\n"), &["--cache", "anchor"]);
}

#[test]
fn many_prompts_go_on_from_one_prefix() {
    let (folder, file) = built();
    let prompts = at(&folder, "prompts.txt");
    fs::write(&prompts, " Max cried\n Then\n").unwrap();
    let options = ["--temperature", "0", "-n", "12", "--json"];
    let found = text(anllm(["generate", "--prefix-cache", &file, "--prompts", &prompts]).args(options));
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = object(&mut continued(&file, &[]));
    assert_eq!((&found[0]["tokens"], &found[0]["kv"]["seen"]), (&expected["tokens"], &expected["kv"]["seen"]));
    assert_eq!(found.len(), 2);
}

#[test]
fn perplexity_behind_a_prefix_counts_what_it_kept() {
    let (folder, file) = built();
    fs::write(folder.path().join("next.txt"), " Max cried. His mom found the ball in the park.").unwrap();
    let next = at(&folder, "next.txt");
    let alone = object(&mut anllm(["eval", "ppl", "--text", &next]));
    let behind = object(&mut anllm(["eval", "ppl", "--text", &next, "--prefix-cache", &file]));
    assert!(behind["ppl"].as_f64() < alone["ppl"].as_f64(), "{behind} {alone}");
    assert!(behind["kv_reduction"].as_f64() > alone["kv_reduction"].as_f64());
    let wide = ["eval", "ppl", "--text", &next, "--prefix-cache", &file, "--window", "500"];
    refused(&mut anllm(wide), &["--window 500", "prefix"]);
}

#[test]
fn demonstrations_are_merged_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let demonstrations = ["Q: Is the sky blue? A: Yes.", "Q: Is grass red? A: No.", "Q: Can dogs fly? A: No."];
    let mut files = Vec::new();
    for (number, demonstration) in demonstrations.iter().enumerate() {
        let file = at(&folder, &number.to_string());
        // The line break at the end belongs to no anchor, and nobody misses it.
        text(anllm(["cache", "build", "-", "--to", &file]).write_stdin(format!("{demonstration}\n")));
        files.push(file);
    }
    let tokens = |file: &str| object(&mut anllm(["cache", "info", file]))["tokens"].as_u64().unwrap();
    let sum: u64 = files.iter().map(|file| tokens(file)).sum();
    for order in [[0, 1, 2], [2, 0, 1]] {
        let merged = at(&folder, &format!("{order:?}"));
        let mut command = anllm(["cache", "merge", "--to", &merged, "--model", "bundled:ep"]);
        command.args(order.map(|number| &files[number]));
        let about = object(&mut command);
        // All but the first lose their begin-of-sequence token.
        assert_eq!(about["tokens"].as_u64(), Some(sum - 2));
        assert_eq!(about["anchors"], 6);
        assert_eq!(about["parts"].as_array().unwrap().len(), 3);
        let answer = object(&mut continued(&merged, &[]));
        assert_eq!(answer["kv"]["seen"].as_u64(), Some(sum - 2 + answer["prompt_tokens"].as_u64().unwrap() + 11));
    }
    let open = at(&folder, "open");
    text(&mut anllm(["cache", "build", "--prompt", "Q: Is it? A: Yes. Q", "--to", &open]));
    let merge = |files: &[&str]| {
        let mut command = anllm(["cache", "merge", "--to", &at(&folder, "none")]);
        command.args(files);
        command
    };
    refused(&mut merge(&[&open, &files[0]]), &["open", "no anchor"]);
    let full = at(&folder, "full");
    text(&mut anllm(["cache", "build", "--prompt", "Yes.", "--cache", "full", "--to", &full]));
    refused(&mut merge(&[&files[0], &full]), &["full", "another cache policy"]);
    let other = at(&folder, "other");
    text(on_model("cache build", &fixture(ANY)).args(["--prompt", "Yes.", "--to", &other]));
    refused(&mut merge(&[&files[0], &other]), &["other", "another model"]);
    refused(merge(&[&files[0]]).args(["--model", "bundled:ac"]), &["another"]);
    assert!(!folder.path().join("none").exists());
}

/// The claim that `verify` checks for caches, for merged ones.
#[test]
fn merged_caches_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let shots = at(&folder, "shots.txt");
    fs::write(&shots, "Q: Is the sky blue? A: Yes.\n\nQ: Is grass red?\nA: No. And\n\nQ: Can dogs fly? A: No.\n")
        .unwrap();
    for cache in ["anchor", "full"] {
        let result =
            object(anllm(["verify", "--demonstrations", &shots, "--limit-tokens", "40"]).args(["--cache", cache]));
        has_keys(&result, &["max_abs_diff", "max_rel_diff", "tokens", "anchors", "chunks", "ok"]);
        assert_eq!(result["ok"], true, "{result}");
    }
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let (folder, file) = built();
    let bytes = fs::read(&file).unwrap();
    let bad = at(&folder, "bad");
    let says = |bytes: &[u8], parts: &[&str]| {
        fs::write(&bad, bytes).unwrap();
        refused(&mut continued(&bad, &[]), parts);
        refused(&mut anllm(["cache", "info", &bad]), parts);
        refused(&mut anllm(["cache", "merge", &bad, "--to", &at(&folder, "merged")]), parts);
    };
    says(&bytes[..bytes.len() - 100], &["bad", "not a whole one"]);
    says(&bytes[..5], &["bad", "5 bytes"]);
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        bytes
    };
    says(&flipped(bytes.len() / 2), &["checksum"]);
    says(&flipped(bytes.len() - 3), &["checksum"]);
    let version = bytes.windows(12).position(|w| w == b"version\\\":1}" || w == b"version\\\":1,").unwrap();
    let mut newer = bytes.clone();
    newer[version + 10] = b'7';
    says(&newer, &["format 7", "format 1"]);
    says(&fs::read(fixture(ANY).join("model.safetensors")).unwrap(), &["not a prefix cache"]);

    refused(&mut continued(&file, &["--model", "bundled:ac"]), &["another model"]);
    refused(&mut anllm(["cache", "info", &file, "--model", "bundled:ac"]), &["another"]);
    refused(&mut continued(&file, &["--cache", "full"]), &["--cache anchor", "--cache full"]);
    refused(&mut continued(&file, &["--anchors", "ep"]), &["--anchors ep", "endswith:.|!|?"]);
    refused(&mut continued(&at(&folder, "none"), &[]), &["none"]);
    assert!(!folder.path().join("merged").exists());
}

/// The same weights with another tokenizer, and with other weights under the same settings.
#[test]
fn a_changed_model_or_tokenizer_is_noticed() {
    let copy = Copy::of(ANY);
    let folder = tempfile::tempdir().unwrap();
    let file = at(&folder, "a");
    text(on_model("cache build", &copy.path()).args(["--prompt", "Hi. Go.", "--anchors", "ep", "--to", &file]));
    let again = || {
        let mut command = on_model("generate", &copy.path());
        command.args(["--prompt", "Go", "-n", "2", "--prefix-cache", &file]);
        command
    };
    text(&mut again());
    let truncation = json!({ "direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0 });
    copy.json("tokenizer.json", |json| json["truncation"] = truncation);
    refused(&mut again(), &["another tokenizer"]);
    copy.tensors(|name, _, _, data| {
        if name.as_str() == "model.layers.0.mlp.down_proj.weight" {
            data[2] ^= 1;
        }
    });
    refused(&mut again(), &["another model"]);
}

#[test]
fn files_are_whole_or_not_there() {
    let (folder, file) = built();
    let before = fs::read(&file).unwrap();
    let build = |options: &[&str]| {
        let mut command = anllm(["cache", "build", "--prompt", "It rained."]);
        command.args(options);
        command
    };
    refused(&mut build(&["--to", &file]), &["exists", "--force"]);
    refused(&mut build(&["--to", folder.path().to_str().unwrap()]), &["not a file"]);
    refused(&mut build(&["--to", &at(&folder, "no/such/folder")]), &["no folder"]);
    refused(&mut anllm(["cache", "build", "--prompt", "", "--to", &at(&folder, "new")]), &["empty"]);
    refused(&mut anllm(["cache", "build", "--text", "none.txt", "--to", &at(&folder, "new")]), &["none.txt"]);
    let latin = at(&folder, "latin.txt");
    fs::write(&latin, b"caf\xe9").unwrap();
    refused(&mut anllm(["cache", "build", "--text", &latin, "--to", &at(&folder, "new")]), &["latin.txt", "byte 3"]);
    let long = at(&folder, "long.txt");
    fs::write(&long, "It rained. ".repeat(400)).unwrap();
    refused(&mut anllm(["cache", "build", "--text", &long, "--to", &at(&folder, "new")]), &["context ends at 512"]);
    anllm(["cache", "build", "--to", &file]).assert().code(2);
    anllm(["cache", "build", "--prompt", "a", "--to", &file, "--entries", "q4"]).assert().code(2);
    assert_eq!(fs::read(&file).unwrap(), before);
    text(&mut build(&["--to", &file, "--force"]));
    assert_ne!(fs::read(&file).unwrap(), before);
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["latin.txt", "long.txt", "story.prefix"], "nothing half-written is left");
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file() {
    let (folder, file) = built();
    let before = fs::read(&file).unwrap();
    let program = plain();
    let mut shell = std::process::Command::new("sh");
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // Without the signal, the write fails with an error, as it does on a full disk.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(program.get_program());
    shell.args(["cache", "build", "--prompt", STORY, "--to", &file, "--force", "--device", "cpu"]);
    refused(&mut Command::from_std(shell), &["story.prefix", "cannot write", "File too large"]);
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A prompt that overflows the context behind a prefix.
#[test]
fn a_prefix_and_its_prompt_must_fit_the_context() {
    let (_folder, file) = built();
    let long = "It rained. ".repeat(200);
    let mut command = anllm(["generate", "--prefix-cache", &file, "--prompt", &long]);
    refused(&mut command, &["context ends at 512"]);
}

/// The paper's few-shot prompts: one `<AC>` for each demonstration, and nothing else is kept.
#[test]
fn one_anchor_for_each_demonstration_is_a_hundredth_of_a_full_cache() {
    let folder = tempfile::tempdir().unwrap();
    let model = at(&folder, "model");
    text(&mut anllm(["convert", "--model", "bundled:ac", "--to", &model]));
    let config = Path::new(&model).join("config.json");
    let wide = fs::read_to_string(&config)
        .unwrap()
        .replace("\"max_position_embeddings\": 512", "\"max_position_embeddings\": 4096");
    fs::write(&config, wide).unwrap();
    let demonstration =
        "There was a girl. She had a cat and a dog. They went to the park. It was a good day. ".repeat(14);
    let shots = format!("{demonstration}\n\n").repeat(6);
    let prompt = at(&folder, "shots.txt");
    fs::write(&prompt, shots).unwrap();
    let build = |name: &str, options: &[&str]| {
        let mut command = anllm(["cache", "build", "--model", &model, "--text", &prompt, "--to", &at(&folder, name)]);
        command.args(options);
        object(&mut command)
    };
    let full = build("full", &["--cache", "full"]);
    let anchors = build("ac", &["--add-anchors", "--splitter", "demonstrations"]);
    assert!(full["tokens"].as_u64() >= Some(1900), "{full}");
    assert_eq!(anchors["anchors"], 6);
    let entry = full["full_bytes"].as_u64().unwrap() / full["tokens"].as_u64().unwrap();
    let tail = anchors["entries"].as_u64().unwrap() - 6;
    assert!(tail <= 3, "only the whitespace at the end: {anchors}");
    let (small, large) = (anchors["bytes"].as_u64().unwrap(), full["bytes"].as_u64().unwrap());
    assert!(small <= large / 100 + tail * entry, "{small} of {large}");
    let sentences = build("sentences", &["--add-anchors"]);
    assert_eq!(sentences["anchors"], 6 * 14 * 4);
}
