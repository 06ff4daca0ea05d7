//! What each command does, through the real program and tiny checkpoints.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::io::pipe;
use std::path::Path;
use std::process::Stdio;

use anllm_core::Vocabulary;
use anllm_model::Checkpoint;
use anllm_model::checkpoint::{EMBEDDING, HEAD, TensorSource};
use assert_cmd::Command;
use common::{
    ANY, Copy, PROMPT, anllm, distance, encode, fixture, has_keys, ids, keys, logits, numbers, object, on_model, plain,
    text,
};
use serde_json::{Value, json};

const UNTIED: &str = "tiny/llama-mha-untied";
const GGUF: &str = "gguf/llama-tiny.gguf";

fn generate(options: &[&str]) -> Command {
    let mut command = on_model("generate", &fixture(ANY));
    command.args(options);
    command
}

/// A continuation of [`PROMPT`].
fn prompted(options: &[&str]) -> Command {
    let mut command = generate(&["--prompt", PROMPT]);
    command.args(options);
    command
}

fn stderr(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stderr.clone()).unwrap()
}

// generate

#[test]
fn anchors_are_put_into_a_prompt_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("ac");
    on_model("convert --add-ac mean", &fixture(ANY)).arg("--to").arg(&model).assert().success();
    let read = |prompt: &str, options: &[&str]| {
        let mut command = on_model("generate -n 1 --ignore-eos", &model);
        object(command.args(["--prompt", prompt]).args(options))
    };
    let plain = read("The tide went out. The boats lay", &[]);
    let marked = read("The tide went out.<AC> The boats lay", &[]);
    assert_eq!(marked["prompt_tokens"].as_u64(), plain["prompt_tokens"].as_u64().map(|n| n + 1));
    for prompt in ["The tide went out. The boats lay", "The tide went out.<AC> The boats lay"] {
        for splitter in ["sentencex", "unicode"] {
            let found = read(prompt, &["--add-anchors", "--splitter", splitter]);
            for key in ["prompt_tokens", "tokens", "kv"] {
                assert_eq!(found[key], marked[key], "{key} of {prompt}");
            }
        }
    }
    let error =
        |command: &mut Command| String::from_utf8(command.assert().code(1).get_output().stderr.clone()).unwrap();
    let none = error(&mut prompted(&["--add-anchors"]));
    assert!(none.contains("has no such token") && none.contains("convert --add-ac"), "{none}");
    let mut other = on_model("generate --prompt A. --add-anchors --anchors ep", &model);
    let other = error(&mut other);
    assert!(other.contains("chosen by `ep`") && other.contains("--anchors ac"), "{other}");
    let mut missing = on_model("generate --prompt A. --add-anchors --splitter punkt:gone.json", &model);
    assert!(error(&mut missing).contains("gone.json"));
}

#[test]
fn a_continuation_goes_to_standard_output_and_its_statistics_to_standard_error() {
    let found = object(&mut prompted(&["-n", "12", "--ignore-eos", "--anchors", "ep"]));
    has_keys(&found, &["text", "prompt_tokens", "tokens", "stop_reason", "seed", "kv", "timing"]);
    has_keys(&found["kv"], &["policy", "seen", "kept", "peak", "bytes", "full_bytes"]);
    has_keys(&found["timing"], &["load_s", "prefill_s", "prefill_tps", "decode_s", "decode_tps", "ttft_s"]);
    let whole = found["text"].as_str().unwrap();
    let mut command = prompted(&["-n", "12", "--ignore-eos", "--anchors", "ep"]);
    assert_eq!(text(&mut command), format!("{whole}\n"));
    let statistics = stderr(&mut command);
    let line = statistics.strip_prefix('[').unwrap().strip_suffix("]\n").unwrap();
    let tokens = found["prompt_tokens"].as_u64().unwrap();
    let counts = format!("{tokens} + 12 tokens | cache anchor: {} seen, {} kept", tokens + 11, found["kv"]["kept"]);
    assert!(line.starts_with(&counts), "{line:?} does not start with {counts:?}");
    for part in ["peak ", "saved, ", "prefill ", "decode ", "first token "] {
        assert!(line.contains(part), "{line}");
    }
    let echoed = text(&mut prompted(&["-n", "12", "--ignore-eos", "--anchors", "ep", "--echo"]));
    assert_eq!(echoed, format!("{PROMPT}{whole}\n"));
}

#[test]
fn a_prompt_comes_from_the_command_line_a_file_or_standard_input() {
    let options = ["-n", "8", "--anchors", "none"];
    let expected = object(&mut prompted(&options))["tokens"].clone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    fs::write(&file, PROMPT).unwrap();
    let from = |source: &[&str]| object(generate(source).args(options).write_stdin(PROMPT))["tokens"].clone();
    assert_eq!(from(&["-"]), expected);
    assert_eq!(from(&["--prompt-file", "-"]), expected);
    assert_eq!(from(&["--prompt-file", file.to_str().unwrap()]), expected);
}

#[test]
fn nothing_is_added_where_nothing_is_asked_for() {
    let found = object(&mut prompted(&["-n", "0"]));
    assert_eq!((&found["tokens"], &found["text"]), (&json!([]), &json!("")));
    assert_eq!(found["stop_reason"], "length");
}

#[test]
fn a_continuation_ends_where_the_context_does() {
    let found = object(&mut prompted(&["-n", "1000", "--ignore-eos", "--anchors", "ep"]));
    assert_eq!(found["stop_reason"], "context");
    assert_eq!(found["kv"]["seen"], 256);
    // The last position predicts one more token.
    let made = found["tokens"].as_array().unwrap().len() as u64;
    assert_eq!(found["prompt_tokens"].as_u64().unwrap() + made, 257);
}

#[test]
fn a_stop_text_ends_the_continuation_and_is_not_shown() {
    let whole = object(&mut prompted(&["-n", "24"]))["text"].as_str().unwrap().to_owned();
    let (at, stop) = whole.char_indices().skip(1).find(|(_, c)| c.is_ascii_graphic()).unwrap();
    let options = ["-n", "24", "--stop", "no such text", "--stop", &stop.to_string()];
    let found = object(&mut prompted(&options));
    let before = &whole[..whole.find(stop).unwrap().min(at)];
    assert_eq!((&found["text"], &found["stop_reason"]), (&json!(before), &json!("stop")));
    assert_eq!(text(&mut prompted(&options)), format!("{before}\n"));
}

#[test]
fn an_end_of_text_token_ends_the_continuation() {
    let tokens = ids(&object(&mut prompted(&["-n", "6"]))["tokens"]);
    let copy = Copy::of(ANY);
    copy.json("generation_config.json", |json| json["eos_token_id"] = json!([1, tokens[3]]));
    let first = tokens.iter().position(|id| *id == tokens[3]).unwrap();
    let on_copy = |options: &[&str]| {
        let mut command = on_model("generate -n 6", &copy.path());
        object(command.args(["--prompt", PROMPT]).args(options))
    };
    let found = on_copy(&[]);
    assert_eq!((&found["stop_reason"], ids(&found["tokens"])), (&json!("eos"), tokens[..=first].to_vec()));
    let found = on_copy(&["--ignore-eos"]);
    assert_eq!((&found["stop_reason"], ids(&found["tokens"])), (&json!("length"), tokens));
}

#[test]
fn a_seed_makes_draws_repeatable() {
    let draw = |options: &[&str]| object(prompted(&["-n", "24", "--temperature", "1.5"]).args(options));
    let one = draw(&["--seed", "7"]);
    assert_eq!(one["seed"], 7);
    assert_eq!(draw(&["--seed", "7"])["tokens"], one["tokens"]);
    assert_ne!(draw(&["--seed", "8"])["tokens"], one["tokens"]);
    // Without one, the seed that was drawn is told.
    let free = draw(&[]);
    assert_eq!(draw(&["--seed", &free["seed"].to_string()])["tokens"], free["tokens"]);
    let told = stderr(&mut prompted(&["-n", "4", "--temperature", "1.5", "--seed", "9"]));
    assert!(told.contains("seed 9]"), "{told}");
    // Every filter that leaves one token takes the best.
    let best = object(&mut prompted(&["-n", "24"]))["tokens"].clone();
    assert_ne!(one["tokens"], best);
    for only in [["--top-k", "1"], ["--top-p", "0.000001"], ["--min-p", "1"]] {
        assert_eq!(draw(&only)["tokens"], best, "{only:?}");
    }
}

#[test]
fn number_types_and_threads_change_nothing_that_matters() {
    let expected = object(&mut prompted(&["-n", "8", "--anchors", "ep"]));
    let one = object(&mut prompted(&["-n", "8", "--anchors", "ep", "--threads", "1", "--prefill-chunk", "3"]));
    assert_eq!(one["tokens"], expected["tokens"]);
    for half in ["f16", "bf16"] {
        let found = object(&mut prompted(&["-n", "8", "--anchors", "ep", "--dtype", half, "--device", "cpu"]));
        let bytes = |value: &Value| value["kv"]["full_bytes"].as_u64().unwrap();
        assert_eq!(2 * bytes(&found), bytes(&expected), "{half}");
    }
}

#[test]
fn options_have_environment_variables() {
    let mut command = anllm(["generate"]);
    command.env("ANLLM_MODEL", fixture(ANY)).env("ANLLM_PROMPT", PROMPT).env("ANLLM_JSON", "1");
    command.env("ANLLM_MAX_NEW_TOKENS", "3").env("ANLLM_CACHE", "anchor").env("ANLLM_ANCHORS", "ep");
    let found: Value = serde_json::from_str(&text(&mut command)).unwrap();
    assert_eq!((found["tokens"].as_array().unwrap().len(), &found["kv"]["policy"]), (3, &json!("anchor")));
    // What is written out goes first.
    let found: Value = serde_json::from_str(&text(command.args(["-n", "2", "--cache", "full"]))).unwrap();
    assert_eq!((found["tokens"].as_array().unwrap().len(), &found["kv"]["policy"]), (2, &json!("full")));
}

#[test]
fn the_cache_policy_follows_the_rule() {
    let policy = |options: &[&str]| object(prompted(&["-n", "1"]).args(options))["kv"]["policy"].clone();
    assert_eq!(policy(&[]), "full");
    assert_eq!(policy(&["--anchors", "ep"]), "anchor");
    assert_eq!(policy(&["--anchors", "none"]), "full");
    assert_eq!(policy(&["--anchors", "ep", "--cache", "full"]), "full");
    // A reduced cache without a rule: the rule is assumed, and said.
    let told = stderr(&mut prompted(&["-n", "1", "--cache", "anchor"]));
    assert!(told.contains("names no anchor rule") && told.contains("--anchors"), "{told}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let model = fixture(ANY);
    let model = model.to_str().unwrap();
    for command in [
        vec!["completions", "bash"],
        vec!["man"],
        vec!["devices"],
        vec!["inspect", "--tensors", "--model", model],
        vec!["logits", "--json", "--ids", "5,6", "--model", model],
        vec!["generate", "--prompt", PROMPT, "--model", model],
        vec!["generate", "--json", "--prompt", PROMPT, "--model", model],
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = plain().args(&command).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("error") && !told.contains("panicked"), "{command:?}: {told}");
    }
}

/// A model that would go on for very long.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_continuation_with_what_there_is() {
    use std::io::Read;

    let copy = Copy::of(ANY);
    copy.json("config.json", |config| config["max_position_embeddings"] = json!(1 << 30));
    let mut child = plain()
        .args(["generate", "--ignore-eos", "--anchors", "every:8", "-n", "1000000000", "--prompt", PROMPT])
        .arg("--model")
        .arg(copy.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut shown = vec![0; 8];
    out.read_exact(&mut shown).unwrap();
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    out.read_to_end(&mut shown).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8(shown).unwrap().ends_with('\n'));
    let statistics = String::from_utf8(output.stderr).unwrap();
    assert!(statistics.contains(" kept, ") && !statistics.contains("error"), "{statistics}");
}

// logits, verify, eval

#[test]
fn scores_for_people_name_the_best_tokens() {
    let shown = text(on_model("logits", &fixture(ANY)).args(["--ids", "5,6,7"]));
    let scores = logits(&fixture(ANY), &[5, 6, 7], &[]);
    let row = &scores[2 * 292..];
    let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    assert_eq!(shown.lines().count(), 3);
    assert!(shown.lines().last().unwrap().contains(&format!("best next  {best}: {:.4}", row[best])), "{shown}");
}

#[test]
fn verification_reports_every_chunk_size() {
    let mut command = on_model("verify --anchors ep --limit-tokens 90", &fixture(ANY));
    let found = object(&mut command);
    has_keys(&found, &["ok", "max_abs_diff", "max_rel_diff", "tokens", "anchors", "chunks"]);
    let mut command = on_model("verify --anchors ep --limit-tokens 90 --text -", &fixture(ANY));
    let shown = text(command.write_stdin("One. Two. Three. ".repeat(20)));
    assert!(shown.starts_with("90 tokens, ") && shown.ends_with("ok: the cache changes nothing\n"), "{shown}");
    assert_eq!(shown.matches("chunks of ").count(), 4);
    let mut command = on_model("verify --anchors ep --limit-tokens 90 --cache-dtype f16", &fixture(ANY));
    assert!(text(&mut command).ends_with("ok: the cache changes no more than rounding its entries to 16 bits does\n"));
    // Without a rule there is nothing to reduce, and nothing differs.
    let found = object(&mut on_model("verify --anchors none --cache anchor", &fixture(ANY)));
    assert_eq!((&found["ok"], &found["anchors"]), (&json!(true), &json!(0)));
}

#[test]
fn verification_holds_for_every_width_of_weights() {
    for weights in ["native", "float", "q8", "q4"] {
        for checkpoint in [ANY, GGUF] {
            let mut command = on_model("verify --anchors ep --limit-tokens 90", &fixture(checkpoint));
            let found = object(command.args(["--weights", weights]));
            assert_eq!(found["ok"], true, "{checkpoint} {weights}: {found}");
        }
    }
}

#[test]
fn packed_weights_give_the_scores_of_their_values() {
    // Few rows are multiplied as integers, many as floats.
    for count in [3, 40] {
        let ids: Vec<u32> = (5..5 + count).collect();
        let [packed, floats] = ["native", "float"].map(|width| logits(&fixture(GGUF), &ids, &["--weights", width]));
        let off = distance(&packed, &floats);
        assert!(off < 2e-5, "{off}");
        assert!(count > 3 || off > 0.0, "they are not multiplied in another way");
    }
}

// convert, inspect

fn convert(from: &Path, to: &Path, options: &[&str]) -> Value {
    object(on_model("convert", from).arg("--to").arg(to).args(options))
}

#[test]
fn a_converted_checkpoint_gives_the_same_scores() {
    for name in [ANY, UNTIED, "tiny/llama3-rope", "tiny/qwen2", "tiny/qwen3", "tiny/mistral", GGUF] {
        let (from, folder) = (fixture(name), tempfile::tempdir().unwrap());
        let to = folder.path().join("deeper/converted");
        let report = convert(&from, &to, &[]);
        let mut there: Vec<_> = fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect();
        let mut told: Vec<_> = report["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        there.sort();
        told.sort();
        assert_eq!(there, told);
        assert!(told.contains(&"config.json") && told.contains(&"tokenizer.json"), "{told:?}");
        let config = Checkpoint::open(&from).unwrap().config().clone();
        assert_eq!(report["parameters"], config.parameters());
        assert_eq!(Checkpoint::open(&to).unwrap().config(), &config, "{name}");

        let prompt = encode(&from, PROMPT);
        assert_eq!(encode(&to, PROMPT), prompt, "{name}");
        let options = ["--cache", "anchor", "--anchors", "ep"];
        let gap = distance(&logits(&from, &prompt, &options), &logits(&to, &prompt, &options));
        assert_eq!(gap, 0.0, "{name}");
    }
}

#[test]
fn weights_are_stored_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let dtypes = |path: &Path| keys(&object(&mut on_model("inspect", path))["weights"]).join(",");
    for (dtype, stored) in [("f16", "F16"), ("bf16", "BF16"), ("f32", "F32")] {
        let to = folder.path().join(dtype);
        convert(&fixture(ANY), &to, &["--dtype", dtype]);
        assert_eq!(dtypes(&to), stored);
        let prompt = encode(&to, PROMPT);
        let gap = distance(&logits(&fixture(ANY), &prompt, &[]), &logits(&to, &prompt, &[]));
        assert!(gap < 0.5, "{dtype}: {gap}");
    }
    // Without being asked: as in the source.
    convert(&fixture("tiny/mistral"), &folder.path().join("mistral"), &[]);
    assert_eq!(dtypes(&folder.path().join("mistral")), "BF16");
}

#[test]
fn the_rule_is_recorded_and_then_used() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("with-rule");
    fs::create_dir(&to).unwrap();
    convert(&fixture(ANY), &to, &["--anchors", "endswith:.|,"]);
    let config: Value = serde_json::from_slice(&fs::read(to.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["anllm"], json!({ "format": 1, "anchors": "endswith:.|," }));
    let found = object(&mut on_model("inspect", &to));
    assert_eq!((&found["anchors"], &found["anchor_tokens"]), (&json!("endswith:.|,"), &json!(2)));
    let found = object(on_model("generate -n 1", &to).args(["--prompt", PROMPT]));
    assert_eq!(found["kv"]["policy"], "anchor");
    // Converting again keeps it.
    let again = folder.path().join("again");
    convert(&to, &again, &[]);
    assert_eq!(object(&mut on_model("inspect", &again))["anchors"], "endswith:.|,");
}

/// The rows of a matrix `[V, C]`.
fn rows(checkpoint: &Checkpoint, name: &str) -> Vec<Vec<f32>> {
    let width = checkpoint.config().hidden_size;
    let source: &dyn TensorSource = checkpoint.source();
    source.read_f32(name).unwrap().chunks(width).map(<[f32]>::to_vec).collect()
}

#[test]
fn an_added_anchor_gains_a_row_in_both_matrices() {
    let from = Checkpoint::open(&fixture(UNTIED)).unwrap();
    let dot = from.tokenizer().unwrap().id(".").unwrap() as usize;
    let mean = |rows: &[Vec<f32>]| -> Vec<f32> {
        let column = |c: usize| rows.iter().map(|row| f64::from(row[c])).sum::<f64>() / rows.len() as f64;
        (0..rows[0].len()).map(|c| column(c) as f32).collect()
    };
    for how in ["mean", "copy:."] {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("with-ac");
        let report = convert(&fixture(UNTIED), &to, &["--add-ac", how]);
        assert_eq!(report["parameters"], from.config().parameters() + 2 * from.config().hidden_size);

        let grown = Checkpoint::open(&to).unwrap();
        let tokenizer = grown.tokenizer().unwrap();
        assert_eq!((grown.config().vocab_size, tokenizer.size()), (293, 293));
        assert_eq!(tokenizer.id("<AC>"), Some(292));
        for matrix in [EMBEDDING, HEAD] {
            let (old, new) = (rows(&from, matrix), rows(&grown, matrix));
            assert_eq!(new[..292], old[..], "{matrix} keeps its rows");
            let expected = if how == "mean" { mean(&old) } else { old[dot].clone() };
            assert_eq!(new[292], expected, "{matrix} {how}");
        }
        let config: Value = serde_json::from_slice(&fs::read(to.join("config.json")).unwrap()).unwrap();
        assert_eq!((&config["anllm"]["anchors"], &config["vocab_size"]), (&json!("ac"), &json!(293)));
        let found = object(&mut on_model("inspect", &to));
        assert_eq!(
            (&found["anchors"], &found["anchor_tokens"], &found["vocab_size"]),
            (&json!("ac"), &json!(1), &json!(293))
        );
        assert!(text(&mut on_model("inspect", &to)).contains("\nanchors              ac\n"));
        assert_eq!(object(&mut on_model("verify", &to))["ok"], true);
    }
}

#[test]
fn a_tied_checkpoint_grows_once() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("with-ac");
    let report = convert(&fixture(ANY), &to, &["--add-ac", "mean", "--dtype", "f16"]);
    let before = Checkpoint::open(&fixture(ANY)).unwrap().config().parameters();
    assert_eq!(report["parameters"], before + 32);
    let grown = Checkpoint::open(&to).unwrap();
    assert!(grown.config().tied_head && grown.source().info(HEAD).is_none());
    assert_eq!(grown.source().info(EMBEDDING).unwrap().shape, [293, 32]);
}

#[test]
fn the_added_anchor_reduces_the_cache_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("with-ac");
    convert(&fixture(UNTIED), &to, &["--add-ac", "copy:."]);
    let prompt = PROMPT.replace(". ", ".<AC> ");
    assert!(encode(&to, &prompt).contains(&292));
    // Its row is that of the full stop, so that it is drawn as often.
    let mut drawn = false;
    for seed in 0..20 {
        let mut command = on_model("generate -n 120 --ignore-eos --temperature 1", &to);
        command.args(["--prompt", &prompt, "--seed", &seed.to_string()]);
        let found = object(&mut command);
        assert_eq!(found["kv"]["policy"], "anchor");
        assert!(found["kv"]["kept"].as_u64() < found["kv"]["seen"].as_u64());
        if ids(&found["tokens"]).contains(&292) {
            assert!(!found["text"].as_str().unwrap().contains("AC>"), "{found}");
            let mut command = on_model("generate -n 120 --ignore-eos --temperature 1", &to);
            let shown = text(command.args(["--prompt", &prompt, "--seed", &seed.to_string()]));
            assert_eq!(shown, format!("{}\n", found["text"].as_str().unwrap()));
            drawn = true;
            break;
        }
    }
    assert!(drawn, "no seed draws <AC>");
}

#[test]
fn inspect_tells_everything() {
    for (name, format) in [(UNTIED, "huggingface"), (GGUF, "gguf")] {
        let found = object(&mut on_model("inspect", &fixture(name)));
        let expected = "path format architecture parameters layers hidden_size intermediate_size heads kv_heads head_dim \
                        vocab_size context rope norm_eps tied_head qkv_bias qk_norm bos eos tokenizer weights \
                        kv_bytes_per_token anchors tensors unused";
        has_keys(&found, &expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!((&found["format"], &found["architecture"]), (&json!(format), &json!("llama")));
        assert_eq!((&found["layers"], &found["vocab_size"], &found["context"]), (&json!(2), &json!(292), &json!(256)));
        let config = Checkpoint::open(&fixture(name)).unwrap().config().clone();
        assert_eq!(found["kv_bytes_per_token"]["f32"], 4 * 2 * 2 * config.kv_heads * config.head_dim);
        assert_eq!(found["parameters"], config.parameters());
        assert_eq!((&found["anchors"], &found["unused"]), (&json!(null), &json!([])));
        let counted: usize = found["tensors"].as_array().unwrap().iter().map(size).sum();
        assert_eq!(counted, config.parameters());
    }
    let quiet = text(&mut on_model("inspect", &fixture(GGUF)));
    let listed = text(&mut on_model("inspect --tensors", &fixture(GGUF)));
    assert!(quiet.contains("weights              Q8_0: ") && !quiet.contains("self_attn"), "{quiet}");
    assert!(listed.contains("model.layers.1.self_attn.k_proj.weight ") && listed.starts_with(&quiet), "{listed}");
    let found = object(&mut on_model("inspect --anchors endswith:.|,", &fixture(ANY)));
    assert_eq!((&found["anchors"], &found["anchor_tokens"]), (&json!("endswith:.|,"), &json!(2)));
}

/// The number of values of a tensor.
fn size(tensor: &Value) -> usize {
    numbers(&tensor["shape"]).iter().product::<f64>() as usize
}

#[test]
fn a_folder_with_one_gguf_file_is_a_model() {
    let copy = Copy::of(GGUF);
    let folder = copy.path().parent().unwrap().to_owned();
    let prompt = encode(&folder, PROMPT);
    assert_eq!(logits(&folder, &prompt, &[]), logits(&fixture(GGUF), &prompt, &[]));
}

// devices, completions, man, help

#[test]
fn devices_lists_every_backend_and_says_why_not() {
    let found = object(&mut anllm(["devices"]));
    let rows = found["devices"].as_array().unwrap();
    for backend in ["cpu", "ndarray", "cuda", "wgpu", "vulkan"] {
        let mut of_this = rows.iter().filter(|r| r["device"].as_str().unwrap().split(':').next() == Some(backend));
        assert!(of_this.clone().next().is_some(), "{backend}");
        assert!(of_this.all(|r| r["usable"] == true || r["reason"].is_string()), "{found}");
    }
    let cpu = rows.iter().find(|r| r["device"] == "cpu").unwrap();
    assert_eq!(cpu["usable"], cfg!(feature = "cpu"));
    assert!(rows.iter().any(|r| r["device"] == found["auto"] && r["usable"] == true), "{found}");
    let shown = text(&mut anllm(["devices"]));
    assert!(shown.contains(&format!("--device auto is {}", found["auto"].as_str().unwrap())), "{shown}");
    // What auto names can be used.
    object(&mut prompted(&["-n", "1", "--device", "auto"]));
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = text(&mut anllm(["completions", shell]));
        for word in ["generate", "inspect", "max-new-tokens", "prefill-chunk"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn manual_pages_are_made_for_every_command() {
    let page = text(&mut anllm(["man"]));
    assert!(page.contains(".TH anllm 1") && page.contains("anllm\\-generate(1)"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("man");
    text(anllm(["man", "--to"]).arg(&to));
    for name in ["anllm", "anllm-generate", "anllm-eval", "anllm-eval-ppl", "anllm-verify", "anllm-convert"] {
        let page = fs::read_to_string(to.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{name}");
    }
    let page = fs::read_to_string(to.join("anllm-generate.1")).unwrap();
    assert!(page.contains("\\-\\-max\\-new\\-tokens"), "{page}");
}

/// Help as the user sees it. `INSTA_UPDATE=always` writes what has changed.
#[test]
fn help() {
    insta::with_settings!({ filters => vec![(r"anllm\.exe", "anllm")] }, {
        insta::assert_snapshot!("help", text(&mut anllm(["--help"])));
        insta::assert_snapshot!("help_generate", text(&mut anllm(["generate", "--help"])));
    });
    let version = text(&mut anllm(["--version"]));
    assert_eq!(version, format!("anllm {}\n", env!("CARGO_PKG_VERSION")));
}
