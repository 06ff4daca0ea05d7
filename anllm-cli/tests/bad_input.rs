//! Bad input ends with exit code 1 or 2 and one message that names the file, tensor or flag, what was expected, what
//! was found, and what to do. Nothing panics, and nothing half-written stays behind.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{ANY, Copy, anllm, fixture, on_model};
use safetensors::tensor::Dtype;
use serde_json::json;

const GGUF: &str = "gguf/llama-tiny.gguf";
const UNTIED: &str = "tiny/llama-mha-untied";

/// The command fails with `code`, prints nothing on standard output, and one message that says all of `parts`.
#[track_caller]
fn refused(command: &mut Command, code: i32, parts: &[&str]) {
    let assert = command.assert().code(code);
    let output = assert.get_output();
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "standard output stays empty");
    assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{message}");
    let errors = message.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "one message: {message}");
    let hints = message.matches("hint: ").count();
    match code {
        // Bad usage: the parser's own way of saying what to do.
        2 => assert!(message.contains("try '--help'"), "{message}"),
        _ => assert_eq!(hints, 1, "one hint: {message}"),
    }
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

/// Every command that opens a model refuses this one alike.
#[track_caller]
fn model_refused(path: &Path, parts: &[&str]) {
    let to = tempfile::tempdir().unwrap();
    let to_new = to.path().join("new");
    refused(&mut on_model("inspect", path), 1, parts);
    refused(on_model("generate --anchors none", path).args(["--prompt", "Hi."]), 1, parts);
    refused(on_model("convert --add-ac mean", path).arg("--to").arg(&to_new), 1, parts);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "nothing is left behind");
}

fn generate(options: &[&str]) -> Command {
    let mut command = on_model("generate", &fixture(ANY));
    command.args(options);
    command
}

fn prompted(options: &[&str]) -> Command {
    let mut command = generate(&["--prompt", "Hi. Go."]);
    command.args(options);
    command
}

#[test]
fn model_paths() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    model_refused(&missing, &["missing", "cannot open the model", "hint: "]);
    model_refused(folder.path(), &["no config.json", ".gguf"]);
    fs::copy(fixture(ANY).join("config.json"), folder.path().join("config.json")).unwrap();
    model_refused(folder.path(), &["model.safetensors", "model.safetensors.index.json"]);
    model_refused(&fixture(ANY).join("config.json"), &["config.json", "expected a GGUF file", "`{\\n  `"]);
    model_refused(Path::new("bundled:ex"), &["bundled:ex", "cannot open the model"]);
    refused(&mut anllm(["inspect", "--model", ""]), 2, &["--model <PATH>"]);
}

#[test]
fn cut_safetensors() {
    let copy = Copy::of(ANY);
    let name = "model.safetensors";
    let whole = fs::metadata(copy.file(name)).unwrap().len() as usize;
    for keep in [whole - 1, whole / 2, 1000, 8, 7, 1, 0] {
        copy.bytes(name, |bytes| bytes.truncate(keep));
        model_refused(&copy.path(), &[name, "cut short or damaged"]);
    }
}

#[test]
fn absurd_safetensors_headers() {
    let name = "model.safetensors";
    for claim in [u64::MAX, 100_000_000_000, 99_999_999, 1 << 63] {
        let copy = Copy::of(ANY);
        copy.bytes(name, |bytes| bytes[..8].copy_from_slice(&claim.to_le_bytes()));
        let claim = claim.to_string();
        model_refused(&copy.path(), &[name, &claim, "header claims"]);
    }
    let copy = Copy::of(ANY);
    copy.bytes(name, |bytes| bytes[8..40].fill(b'{'));
    model_refused(&copy.path(), &[name, "header is not valid"]);
}

#[test]
fn tensors_that_do_not_fit() {
    let (name, weight) = ("model.safetensors", "model.layers.1.mlp.up_proj.weight");

    let copy = Copy::of(ANY);
    copy.tensors(|tensor, _, shape, _| {
        if tensor == weight {
            shape.reverse();
        }
    });
    model_refused(&copy.path(), &[weight, "[32, 64]", "[64, 32]"]);

    let copy = Copy::of(ANY);
    copy.tensors(|tensor, _, _, _| {
        if tensor == weight {
            *tensor = "elsewhere".to_owned();
        }
    });
    model_refused(&copy.path(), &[weight, "missing", "[64, 32]"]);

    // An untied head that is not there.
    let copy = Copy::of(ANY);
    copy.json("config.json", |config| config["tie_word_embeddings"] = json!(false));
    model_refused(&copy.path(), &["lm_head.weight", "missing", "[292, 32]"]);

    // The header's claims of its own values.
    let copy = Copy::of(ANY);
    copy.bytes(name, |bytes| {
        let at = bytes.windows(8).position(|w| w == b"[292,32]").unwrap();
        bytes[at..at + 8].copy_from_slice(b"[999,32]");
    });
    model_refused(&copy.path(), &[name, "header is not valid"]);
}

#[test]
fn types_of_no_use() {
    let weight = "model.layers.1.mlp.down_proj.weight";
    let copy = Copy::of(ANY);
    copy.tensors(|tensor, dtype, _, data| {
        if tensor == weight {
            *dtype = Dtype::I8;
            data.truncate(data.len() / 4);
        }
    });
    let parts = ["model.safetensors", weight, "I8", "F32, F16 or BF16"];
    refused(on_model("generate", &copy.path()).args(["--prompt", "Hi."]), 1, &parts);
    common::text(&mut on_model("inspect --tensors", &copy.path()));

    // Conversion meets it after it has written other tensors.
    let to = tempfile::tempdir().unwrap();
    let new = to.path().join("new");
    refused(on_model("convert", &copy.path()).arg("--to").arg(&new), 1, &parts);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "nothing is left behind");
    fs::create_dir(&new).unwrap();
    refused(on_model("convert", &copy.path()).arg("--to").arg(&new), 1, &parts);
    let left: Vec<_> = fs::read_dir(to.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["new"]);
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0, "the folder is as it was");
}

#[test]
fn shards_and_their_index() {
    let index = "model.safetensors.index.json";
    let shard = "model-00002-of-00003.safetensors";
    let copy = Copy::of(UNTIED);
    fs::remove_file(copy.file(shard)).unwrap();
    model_refused(&copy.path(), &[shard, "cannot open the file"]);

    let copy = Copy::of(UNTIED);
    fs::copy(copy.file("model-00001-of-00003.safetensors"), copy.file(shard)).unwrap();
    model_refused(&copy.path(), &[shard, "tensor `"]);

    for outside in ["../weights.safetensors", "/etc/hostname", "..", "sub/weights.safetensors", ""] {
        let copy = Copy::of(UNTIED);
        copy.json(index, |json| json["weight_map"]["model.norm.weight"] = json!(outside));
        model_refused(&copy.path(), &[index, "model.norm.weight", "not a file name"]);
    }
    for wrong in [json!(7), json!(null), json!(["a"])] {
        let copy = Copy::of(UNTIED);
        copy.json(index, |json| json["weight_map"]["model.norm.weight"] = wrong);
        model_refused(&copy.path(), &[index, "not a file name"]);
    }
    let copy = Copy::of(UNTIED);
    copy.json(index, |json| *json = json!({ "weight_map": [] }));
    model_refused(&copy.path(), &[index, "`weight_map`"]);
    let copy = Copy::of(UNTIED);
    copy.bytes(index, |bytes| bytes.truncate(100));
    model_refused(&copy.path(), &[index, "not valid JSON"]);
}

#[test]
fn damaged_settings() {
    for name in ["config.json", "tokenizer.json", "generation_config.json"] {
        for content in ["", "{", "\u{fffd}", "{\"a\": 1}}", "\0\0\0\0"] {
            let copy = Copy::of(ANY);
            fs::write(copy.file(name), content).unwrap();
            model_refused(&copy.path(), &[name, "not valid JSON"]);
        }
    }
    for (name, parts) in [("config.json", "JSON object"), ("generation_config.json", "JSON object")] {
        let copy = Copy::of(ANY);
        fs::write(copy.file(name), "[]").unwrap();
        model_refused(&copy.path(), &[name, parts, "[]"]);
    }
    // JSON, but no tokenizer: commands that need none go on.
    let copy = Copy::of(ANY);
    fs::write(copy.file("tokenizer.json"), "{}").unwrap();
    refused(on_model("generate", &copy.path()).args(["--prompt", "Hi."]), 1, &["tokenizer.json", "not a tokenizer"]);
    fs::remove_file(copy.file("tokenizer.json")).unwrap();
    refused(on_model("generate", &copy.path()).args(["--prompt", "Hi."]), 1, &["tokenizer.json"]);
    common::text(on_model("logits", &copy.path()).args(["--ids", "5,6"]));
}

#[test]
fn settings_out_of_range() {
    let cases = [
        ("model_type", json!("gpt2"), "architecture `gpt2`"),
        ("model_type", json!(null), "`model_type` is missing"),
        ("model_type", json!(3), "`model_type` must be a text, found 3"),
        ("hidden_act", json!("gelu"), "`gelu`"),
        ("rope_parameters", json!({ "rope_type": "dynamic", "factor": 2.0 }), "rope type `dynamic`"),
        ("rope_parameters", json!({ "rope_type": "longrope" }), "rope type `longrope`"),
        ("rope_parameters", json!({ "rope_type": "linear" }), "`rope_parameters.factor` is missing"),
        ("rope_parameters", json!({ "rope_theta": -1.0 }), "`rope_theta` must be greater than 1, found -1"),
        ("hidden_size", json!("32"), "`hidden_size` must be a whole number from 1 to 2^31, found \"32\""),
        ("hidden_size", json!(0), "`hidden_size`"),
        ("hidden_size", json!(-32), "`hidden_size`"),
        ("hidden_size", json!(32.5), "`hidden_size`"),
        ("hidden_size", json!(u64::MAX), "`hidden_size`"),
        ("hidden_size", json!(64), "tensor `model.embed_tokens.weight` has shape [292, 32]"),
        ("vocab_size", json!(300), "[292, 32], but the configuration implies [300, 32]"),
        ("vocab_size", json!(1u64 << 31), "[292, 32], but the configuration implies [2147483648, 32]"),
        ("num_hidden_layers", json!(1u64 << 31), "tensor `model.layers.2.input_layernorm.weight` is missing"),
        ("num_hidden_layers", json!(3), "tensor `model.layers.2.input_layernorm.weight` is missing"),
        ("num_attention_heads", json!(3), "must be a multiple"),
        ("num_attention_heads", json!(1u64 << 31), "tensor `model.layers.0.self_attn.q_proj.weight`"),
        ("head_dim", json!(7), "`head_dim` must be even"),
        ("rms_norm_eps", json!(0), "`rms_norm_eps`"),
        ("eos_token_id", json!("</s>"), "`eos_token_id`"),
        ("quantization_config", json!({ "quant_method": "gptq" }), "`gptq`"),
        ("anllm", json!({ "format": 1, "anchors": "dots" }), "`dots`"),
        ("anllm", json!({ "format": 2, "anchors": "ep" }), "newer anllm"),
        ("anllm", json!([]), "JSON object"),
    ];
    for (key, value, part) in cases {
        let copy = Copy::of(ANY);
        copy.json("config.json", |config| config[key] = value);
        model_refused(&copy.path(), &[part, copy.path().to_str().unwrap()]);
    }
}

#[test]
fn cut_gguf() {
    let copy = Copy::of(GGUF);
    let name = "llama-tiny.gguf";
    let whole = fs::metadata(copy.file(name)).unwrap().len() as usize;
    for keep in [whole - 1, whole / 2, whole / 4, 2000, 100, 24, 23, 4, 0] {
        copy.bytes(name, |bytes| bytes.truncate(keep));
        model_refused(&copy.path(), &[name, "cut short or damaged"]);
    }
}

#[test]
fn absurd_gguf_headers() {
    let name = "llama-tiny.gguf";
    let changed = |at: usize, value: &[u8]| {
        let copy = Copy::of(GGUF);
        copy.bytes(name, |bytes| bytes[at..at + value.len()].copy_from_slice(value));
        copy
    };
    model_refused(&changed(0, b"GGML").path(), &[name, "expected a GGUF file", "`GGML`"]);
    model_refused(&changed(4, &9u32.to_le_bytes()).path(), &[name, "GGUF version 9", "2 and 3"]);
    model_refused(&changed(4, &3u32.to_be_bytes()).path(), &[name, "big-endian"]);
    for count in [u64::MAX, 1 << 40, 100_000_000_000] {
        let text = count.to_string();
        model_refused(&changed(8, &count.to_le_bytes()).path(), &[name, "number of tensors", &text]);
        model_refused(&changed(16, &count.to_le_bytes()).path(), &[name, "number of metadata entries", &text]);
        // The length of the first key.
        model_refused(&changed(24, &count.to_le_bytes()).path(), &[name, "metadata entry 0", &text]);
    }
}

#[test]
fn gguf_metadata_that_does_not_fit() {
    let name = "llama-tiny.gguf";
    let changed = |key: &str, skip: usize, value: &[u8]| {
        let copy = Copy::of(GGUF);
        copy.bytes(name, |bytes| {
            let at = bytes.windows(key.len()).position(|w| w == key.as_bytes()).unwrap() + key.len() + skip;
            bytes[at..at + value.len()].copy_from_slice(value);
        });
        copy
    };
    // A key is followed by its type, four bytes; a string by its length, eight more.
    let number = |key: &str, value: u32| changed(key, 4, &value.to_le_bytes());
    model_refused(&changed("general.architecture", 12, b"gemma").path(), &[name, "architecture `gemma`", "llama"]);
    model_refused(&number("llama.embedding_length", 128).path(), &[name, "model.embed_tokens.weight", "128"]);
    model_refused(&number("llama.block_count", 4).path(), &[name, "model.layers.2.input_layernorm.weight", "missing"]);
    model_refused(&number("llama.block_count", u32::MAX).path(), &[name]);
    model_refused(&number("llama.block_count", 1 << 31).path(), &[name, "layers.2.input_layernorm.weight"]);
    model_refused(&number("llama.attention.head_count_kv", 3).path(), &[name, "3 key/value heads"]);
    model_refused(&number("llama.attention.head_count", 0).path(), &[name, "llama.attention.head_count"]);
    model_refused(&changed("token_embd.weight", 4, &u64::MAX.to_le_bytes()).path(), &[name, "token_embd.weight"]);
}

#[test]
fn several_gguf_files_in_a_folder() {
    let copy = Copy::of(GGUF);
    fs::copy(copy.path(), copy.file("other.gguf")).unwrap();
    let folder = copy.path().parent().unwrap().to_owned();
    model_refused(&folder, &["2 .gguf files", "name the file itself"]);
}

#[test]
fn anchor_rules() {
    let size = "292 tokens";
    refused(&mut prompted(&["--anchors", "tokens:zzz"]), 1, &["`tokens:zzz`", "\"zzz\"", size]);
    refused(&mut prompted(&["--anchors", "tokens:.|zzz"]), 1, &["`tokens:.|zzz`", "\"zzz\"", size]);
    refused(&mut prompted(&["--anchors", "endswith:zzz"]), 1, &["`endswith:zzz`", size]);
    refused(&mut prompted(&["--anchors", "ids:17,292"]), 1, &["`ids:17,292`", "292", "ends at 291"]);
    refused(&mut prompted(&["--anchors", "ac"]), 1, &["`ac`", "\"<AC>\"", "--add-ac"]);
    // Also where full attention would need no anchors.
    refused(&mut prompted(&["--anchors", "tokens:zzz", "--cache", "full"]), 1, &["zzz"]);
    for wrong in ["dots", "every:0", "every:x", "ids:", "ids:-1", "tokens:", "endswith:.||!", "EP", ""] {
        refused(&mut prompted(&["--anchors", wrong]), 2, &["--anchors <RULE>"]);
    }
    let copy = Copy::of(ANY);
    copy.json("config.json", |config| config["anllm"] = json!({ "format": 1, "anchors": "tokens:zzz" }));
    refused(
        on_model("generate", &copy.path()).args(["--prompt", "Hi."]),
        1,
        &["`tokens:zzz`", "\"zzz\"", "292 tokens"],
    );
}

#[test]
fn token_ids() {
    let logits = |ids: &str| {
        let mut command = on_model("logits", &fixture(ANY));
        command.args(["--ids", ids]);
        command
    };
    refused(&mut logits("1,2,292"), 1, &["292", "292 tokens"]);
    refused(logits("1,2,4294967295").arg("--dense"), 1, &["4294967295"]);
    for wrong in ["", "1,", ",1", "1,x", "1 2", "4294967296", "1.5"] {
        refused(&mut logits(wrong), 2, &["--ids <ID,…>"]);
    }
    refused(&mut logits("-1"), 2, &["-1"]);
    refused(&mut on_model("logits", &fixture(ANY)), 2, &["--ids <ID,…>"]);
    let long = ["5"; 257].join(",");
    refused(&mut logits(&long), 1, &["257 tokens", "ends at 256"]);
    refused(logits(&long).arg("--dense"), 1, &["257 tokens", "ends at 256"]);
}

#[test]
fn prompts() {
    let long = "x ".repeat(300);
    refused(&mut generate(&["--prompt", &long]), 1, &["tokens", "context ends at 256"]);
    refused(&mut generate(&["--prompt", ""]), 1, &["the prompt is empty", "--prompt"]);
    refused(generate(&["-"]).write_stdin(""), 1, &["the prompt is empty"]);
    refused(generate(&["-"]).write_stdin(b"ab\xff".to_vec()), 1, &["standard input", "byte 2 is not UTF-8"]);
    refused(generate(&["--prompt-file", "-"]).write_stdin(b"\xff".to_vec()), 1, &["standard input", "byte 0"]);
    refused(&mut generate(&[]), 2, &["--prompt <TEXT>|--prompt-file <FILE>"]);
    refused(&mut generate(&["--prompt", "a", "--prompt-file", "b"]), 2, &["--prompt <TEXT>", "--prompt-file <FILE>"]);
    refused(&mut generate(&["--prompt", "a", "-"]), 2, &["--prompt <TEXT>", "cannot be used with"]);
    refused(&mut generate(&["--prompt-file", "a", "-"]), 2, &["--prompt-file <FILE>", "cannot be used with"]);
    refused(&mut generate(&["a prompt without its flag"]), 2, &["a prompt without its flag"]);
}

#[test]
fn text_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.txt");
    let name = file.to_str().unwrap();
    let readers = || {
        let model = fixture(ANY);
        [
            generate(&["--prompt-file", name]),
            on_model(&format!("eval ppl --text {name}"), &model),
            on_model(&format!("verify --anchors ep --text {name}"), &model),
        ]
    };
    for mut command in readers() {
        refused(&mut command, 1, &[name, "cannot read the text"]);
    }
    fs::write(&file, b"Good until here.\xc3\x28").unwrap();
    for mut command in readers() {
        refused(&mut command, 1, &[name, "byte 16 is not UTF-8", "iconv"]);
    }
    fs::write(&file, "").unwrap();
    for mut command in readers() {
        refused(&mut command, 1, &[]);
    }
    let folder = folder.path().to_str().unwrap();
    refused(&mut generate(&["--prompt-file", folder]), 1, &[folder, "cannot read the text"]);
}

#[test]
fn devices() {
    // 99 of anything, compiled in or not.
    for device in ["cuda:99", "wgpu:99", "vulkan:99"] {
        refused(&mut prompted(&["--device", device]), 1, &["--device ", device.split(':').next().unwrap()]);
    }
    if !cfg!(feature = "ndarray") {
        refused(&mut prompted(&["--device", "ndarray"]), 1, &["--device ndarray", "--features ndarray"]);
    }
    if !cfg!(feature = "cuda") {
        refused(&mut prompted(&["--device", "cuda"]), 1, &["--device cuda", "--features cuda"]);
    }
    for wrong in ["gpu", "cpu:0", "auto:1", "cuda:x", "cuda:", "cuda:-1", "CPU", ""] {
        refused(&mut prompted(&["--device", wrong]), 2, &["--device <DEVICE>"]);
    }
}

#[test]
fn sampling_settings() {
    for (flag, value, range) in [
        ("--temperature", "-1", "0 or more"),
        ("--temperature", "nan", "0 or more"),
        ("--temperature", "inf", "0 or more"),
        ("--top-p", "0", "above 0 and at most 1"),
        ("--top-p", "1.5", "above 0 and at most 1"),
        ("--top-p", "-0.5", "above 0 and at most 1"),
        ("--min-p", "2", "from 0 to 1"),
        ("--min-p", "-1", "from 0 to 1"),
        ("--repeat-penalty", "0", "above 0"),
        ("--repeat-penalty", "-1.5", "above 0"),
        ("--repeat-penalty", "inf", "above 0"),
    ] {
        let found = value.replace("nan", "NaN");
        refused(&mut prompted(&[flag, value]), 1, &[flag, range, &format!("found {found}")]);
    }
    for (flag, value) in [
        ("--temperature", "warm"),
        ("--top-k", "-1"),
        ("--top-k", "1.5"),
        ("--max-new-tokens", "-5"),
        ("--max-new-tokens", "99999999999999999999"),
        ("--seed", "x"),
        ("--cache", "half"),
        ("--dtype", "f64"),
        ("--prefill-chunk", "0"),
        ("--threads", "100000000"),
    ] {
        refused(&mut prompted(&[flag, value]), 2, &[flag, value]);
    }
    refused(&mut prompted(&["--no-such-flag"]), 2, &["--no-such-flag"]);
    refused(&mut prompted(&["--json", "--echo"]), 2, &["--json", "--echo"]);
}

#[test]
fn windows_and_chunks() {
    let text = "Hi. Go. ".repeat(20);
    let ppl = |options: &[&str]| {
        let mut command = on_model("eval ppl --text -", &fixture(ANY));
        command.args(options).write_stdin(text.as_str());
        command
    };
    refused(&mut ppl(&["--window", "257"]), 1, &["--window 257", "context of 256"]);
    refused(&mut ppl(&["--window", "16", "--stride", "17"]), 1, &["--stride 17", "window of 16"]);
    refused(ppl(&[]).write_stdin(""), 1, &["at least 2"]);
    for (flag, value) in [("--window", "1"), ("--stride", "0"), ("--limit-tokens", "1"), ("--window", "many")] {
        refused(&mut ppl(&[flag, value]), 2, &[flag, value]);
    }
    let verify = |options: &[&str]| {
        let mut command = on_model("verify --anchors ep", &fixture(ANY));
        command.args(options);
        command
    };
    for wrong in ["0", "none", "1,,2", "-1"] {
        refused(&mut verify(&[&format!("--chunks={wrong}")]), 1, &["--chunks", "1 or more"]);
    }
    refused(&mut verify(&["--limit-tokens", "0"]), 2, &["--limit-tokens"]);
}

#[test]
fn conversion_targets() {
    let to = tempfile::tempdir().unwrap();
    let convert = |to: &Path, options: &[&str]| {
        let mut command = on_model("convert", &fixture(ANY));
        command.arg("--to").arg(to).args(options);
        command
    };
    let file = to.path().join("file");
    fs::write(&file, "mine").unwrap();
    refused(&mut convert(to.path(), &[]), 1, &["not empty", "--to"]);
    refused(&mut convert(&file, &[]), 1, &["file", "cannot use the folder"]);
    refused(&mut convert(&file.join("below"), &[]), 1, &["below"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");

    let new = to.path().join("new");
    refused(&mut convert(&new, &["--add-ac", "copy:zzz"]), 1, &["\"zzz\"", "not in the vocabulary", "--add-ac mean"]);
    refused(&mut convert(&new, &["--anchors", "tokens:zzz"]), 1, &["`tokens:zzz`", "\"zzz\""]);
    refused(&mut convert(&new, &["--anchors", "ac"]), 1, &["`ac`", "--add-ac"]);
    for (flag, value) in [("--add-ac", "median"), ("--add-ac", "copy:"), ("--dtype", "q8"), ("--shard-mb", "0")] {
        refused(&mut convert(&new, &[flag, value]), 2, &[flag, value]);
    }
    refused(on_model("convert", &fixture(ANY)).args(["--add-ac", "mean"]), 2, &["--to <DIR>"]);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "only the file is there");

    // A second <AC>.
    common::text(&mut convert(&new, &["--add-ac", "mean"]));
    let again = to.path().join("again");
    let mut command = on_model("convert --add-ac mean", &new);
    refused(command.arg("--to").arg(&again), 1, &["already has the token <AC>"]);
    assert!(!again.exists());
}

#[test]
fn commands_and_shells() {
    refused(&mut anllm(["fly"]), 2, &["'fly'"]);
    refused(&mut anllm(["completions", "sh"]), 2, &["'sh'", "bash"]);
    refused(&mut anllm(["man", "--to", "/dev/null/pages"]), 1, &["/dev/null/pages"]);
    // Without anything to do, the program says what it can.
    let assert = anllm::<&str>([]).assert().code(2);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("generate"));
}
