//! Every cache policy through the real program: proven on a checkpoint, used by every command, and carried beyond the
//! context.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use common::{ANY, Copy, anllm, encode, fixture, list, logits, object, on_model, text};
use serde_json::{Value, json};

const POLICIES: [&str; 12] = [
    "full",
    "anchor",
    "window:9",
    "sink:4+16",
    "sepllm:2+9",
    "sepllm:2+9,renumber",
    "anchor:recent=1",
    "anchor:keep=3..11",
    "anchor:renumber",
    "anchor:last=3,renumber",
    "anchor:recent=2,keep=0..4,renumber",
    "random:8,seed=5",
];

const TEXT: &str = "The tide went out. The boats lay on the sand.. A boy ran. He ran to the boats and the gulls went \
                    down to the sand, and nobody saw them go. No. The tide came in. The gulls came down again. ";

#[test]
fn every_policys_cache_is_its_masked_forward() {
    for policy in POLICIES {
        let mut command = on_model("verify --anchors ep --limit-tokens 160", &fixture(ANY));
        let found = object(command.args(["--cache", policy]));
        assert_eq!((&found["ok"], &found["tokens"]), (&json!(true), &json!(160)), "{policy}: {found}");
        assert!(found["max_rel_diff"].as_f64().unwrap() < 1e-4, "{policy}: {found}");
    }
    // What looks back less far than the text is long is verified beyond the context.
    for policy in ["window:40", "sink:4+40", "anchor:renumber"] {
        let mut command = on_model("verify --anchors ep --limit-tokens 600", &fixture(ANY));
        let found = object(command.args(["--cache", policy]));
        assert_eq!(found["ok"], true, "{policy}: {found}");
        assert!(found["tokens"].as_u64().unwrap() > 256, "{policy}: {found}");
    }
}

#[test]
fn every_policy_writes_scores_and_is_measured() {
    let model = fixture(ANY);
    let ids = encode(&model, TEXT);
    for policy in POLICIES {
        let rule = ["--anchors", "ep", "--cache", policy];
        let mut command = on_model("generate -n 20 --temperature 0 --ignore-eos", &model);
        let found = object(command.args(["--prompt", TEXT]).args(rule));
        assert_eq!((&found["kv"]["policy"], &found["kv"]["seen"]), (&json!(policy), &json!(ids.len() + 19)));
        let dense = logits(&model, &ids, &[&rule[..], &["--dense"]].concat());
        let cached = logits(&model, &ids, &[&rule[..], &["--prefill-chunk", "7"]].concat());
        let gap = common::distance(&dense, &cached);
        assert!(gap < 1e-4, "{policy}: {gap}");
        let mut command = on_model("bench --context 24 --new-tokens 2 --reps 1 --json", &model);
        let row: Value = serde_json::from_str(&text(command.args(rule))).unwrap();
        assert_eq!(row["policy"], policy);
        let found = object(on_model("eval ppl --text - --window 64", &model).args(rule).write_stdin(TEXT));
        assert!(found["ppl"].as_f64().unwrap() > 1.0, "{policy}: {found}");
    }
    let mut command = on_model("bench --train --context 24 --reps 1 --cache window:9", &model);
    let message = String::from_utf8(command.assert().failure().get_output().stderr.clone()).unwrap();
    assert!(message.contains("no training under `window:9`") && message.contains("hint: "), "{message}");
}

#[test]
fn pictures_and_reasons_are_the_policys() {
    let show = |policy: &str, options: &[&str]| {
        let mut command = on_model("anchors --anchors every:3 --limit-tokens 7 --text -", &fixture(ANY));
        object(command.args(["--cache", policy]).args(options).write_stdin(TEXT))
    };
    let rows = |policy: &str| show(policy, &["--mask"])["mask"].clone();
    let window = json!(["1000000", "1100000", "0110000", "0011000", "0001100", "0000110", "0000011"]);
    assert_eq!(rows("window:2"), window);
    let sink = json!(["1000000", "1100000", "1110000", "1011000", "1001100", "1000110", "1000011"]);
    assert_eq!(rows("sink:1+2"), sink);
    let separators = json!(["1000000", "1100000", "0110000", "0011000", "0011100", "0010110", "0010011"]);
    assert_eq!(rows("sepllm:0+2"), separators);
    let recent = json!(["1000000", "1100000", "1110000", "1111000", "1111100", "0001110", "0011111"]);
    assert_eq!(rows("anchor:recent=1")[6], recent[6]);
    let found = show("sink:1+2", &["--explain", "6,0"]);
    assert_eq!(found["explain"]["visible"], true);
    assert!(found["explain"]["reason"].as_str().unwrap().contains("one of the first tokens"), "{found}");
    assert_eq!(
        (&found["policy"], &found["kv_entries"], &found["peak_entries"]),
        (&json!("sink:1+2"), &json!(2), &json!(3))
    );
    // The anchor policy's bytes stay beside it: two closed segments and one token.
    assert_eq!(found["kv_bytes_anchor"].as_u64().unwrap() * 7, found["kv_bytes_full"].as_u64().unwrap() * 3);
    let mut command =
        on_model("anchors --anchors ep --limit-tokens 12 --mask --cache sink:1+3 --text -", &fixture(ANY));
    let drawn = text(command.write_stdin(TEXT));
    assert!(drawn.contains("│◆···███\n") && drawn.contains("◆ one that stays"), "{drawn}");
}

/// A stream of `tokens` or a little more, under `policy`.
fn stream(policy: &str, repeated: usize, options: &[&str]) -> Value {
    let mut command = on_model("eval ppl --stream --anchors ep --text -", &fixture(ANY));
    object(command.args(["--cache", policy]).args(options).write_stdin(TEXT.repeat(repeated)))
}

#[test]
fn a_stream_does_not_depend_on_chunks() {
    for policy in ["sink:4+16", "anchor:renumber", "window:9"] {
        let nll = |chunk: &str| stream(policy, 20, &["--prefill-chunk", chunk])["nll"].as_f64().unwrap();
        let (one, seven, many) = (nll("1"), nll("7"), nll("64"));
        assert!((one - seven).abs() < 1e-5 && (one - many).abs() < 1e-5, "{policy}: {one} {seven} {many}");
    }
}

#[test]
fn a_short_stream_is_one_window() {
    for policy in ["full", "anchor", "sink:4+300"] {
        let streamed = stream(policy, 1, &["--by-position", "10"]);
        let mut command = on_model("eval ppl --window 256 --anchors ep --text -", &fixture(ANY));
        let window = object(command.args(["--cache", policy]).write_stdin(TEXT));
        for key in ["nll", "bits_per_byte"] {
            let (a, b) = (streamed[key].as_f64().unwrap(), window[key].as_f64().unwrap());
            assert!((a / b - 1.0).abs() < 1e-5, "{policy} {key}: {a} and {b}");
        }
        assert_eq!((&streamed["tokens"], &streamed["anchors"]), (&window["tokens"], &window["anchors"]), "{policy}");
        let rows = streamed["by_position"].as_array().unwrap();
        let of_rows: u64 = rows.iter().map(|row| row["tokens"].as_u64().unwrap()).sum();
        assert_eq!(of_rows, streamed["tokens"].as_u64().unwrap());
        let nll: f64 = rows.iter().map(|row| row["nll"].as_f64().unwrap() * row["tokens"].as_f64().unwrap()).sum();
        assert!((nll / of_rows as f64 - streamed["nll"].as_f64().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn memory_of_a_long_stream_is_flat_but_for_anchors() {
    // Some twenty thousand tokens; the context is 256.
    let found = stream("sink:4+60", 215, &["--by-position", "2048"]);
    let rows = found["by_position"].as_array().unwrap();
    assert!(found["tokens"].as_u64().unwrap() > 20_000 && rows.len() > 8, "{found}");
    for row in rows {
        assert_eq!((&row["entries"], &row["allocated_bytes"]), (&json!(63), &rows[0]["allocated_bytes"]), "{row}");
    }
    let flat = rows[0]["allocated_bytes"].as_u64().unwrap();
    assert!(flat <= 64 * found["kv"]["full_bytes"].as_u64().unwrap() / found["kv"]["seen"].as_u64().unwrap(), "{flat}");
    assert_eq!(found["kv"]["peak"], 64);
    let found = stream("anchor:last=20,renumber", 60, &["--by-position", "512"]);
    for row in found["by_position"].as_array().unwrap() {
        assert_eq!(row["allocated_bytes"], flat, "{row}");
        assert!(row["entries"].as_u64().unwrap() <= 20 + 30, "{row}");
    }
    // Without a limit an anchor stays for each sentence, and nothing else.
    let found = stream("anchor:renumber", 60, &["--max-positions", "100000", "--by-position", "2048"]);
    let (kept, anchors) = (found["kv"]["kept"].as_u64().unwrap(), found["anchors"].as_u64().unwrap());
    assert!(kept >= anchors && kept < anchors + 40, "{kept} entries, {anchors} anchors");
    assert!(found["tokens"].as_u64().unwrap() > 10 * anchors, "{found}");
}

#[test]
fn the_context_limits_what_a_policy_looks_back_over() {
    let refused = |options: &[&str], says: &[&str]| {
        let mut command = on_model("eval ppl --stream --anchors ep --text -", &fixture(ANY));
        let assert = command.args(options).write_stdin(TEXT.repeat(40)).assert().failure().code(1);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        for part in says {
            assert!(message.contains(part), "{options:?}: {message:?} does not say {part:?}");
        }
    };
    refused(&["--cache", "full"], &["context ends at 256", "hint: ", "sink:"]);
    refused(&["--cache", "anchor"], &["context ends at 256"]);
    refused(&["--cache", "sepllm:4+8"], &["context ends at 256"]);
    refused(&["--cache", "sink:4+253"], &["`sink:4+253` looks back over 257 tokens", "context ends at 256", "hint: "]);
    refused(&["--cache", "anchor:renumber"], &["entries at a time", "context ends at 256", "hint: "]);
    // Beyond it only when asked, and with a warning.
    let mut command = on_model("eval ppl --stream --anchors ep --cache anchor --text -", &fixture(ANY));
    let command = command.args(["--max-positions", "5000"]).write_stdin(TEXT.repeat(4));
    let told = String::from_utf8(command.assert().success().get_output().stderr.clone()).unwrap();
    assert!(told.contains("positions up to 5000, but the model's context ends at 256"), "{told}");
    // Generation stops where the context ends, or goes on where it does not.
    let stop = |policy: &str| {
        let mut command = on_model("generate -n 300 --temperature 0 --ignore-eos --anchors ep", &fixture(ANY));
        object(command.args(["--prompt", TEXT, "--cache", policy]))["stop_reason"].clone()
    };
    assert_eq!(
        (stop("full"), stop("sink:4+60"), stop("window:60")),
        (json!("context"), json!("length"), json!("length"))
    );
}

#[test]
fn rope_settings_given_are_those_of_a_config() {
    for (checkpoint, scaling) in [
        ("tiny/llama-yarn-rope", "yarn:4,original=64"),
        ("tiny/llama-linear-rope", "linear:2,original=128"),
        ("tiny/llama3-rope", "llama3:8,original=32"),
    ] {
        let plain = Copy::of(checkpoint);
        plain.json("config.json", |config| {
            config.as_object_mut().unwrap().remove("rope_scaling");
            config["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": 500.0 });
        });
        let ids = encode(&fixture(checkpoint), TEXT);
        let expected = logits(&fixture(checkpoint), &ids, &["--cache", "full"]);
        let given = ["--cache", "full", "--rope-theta", "10000", "--rope-scaling", scaling];
        assert_eq!(logits(&plain.path(), &ids, &given), expected, "{checkpoint}");
        assert_ne!(logits(&plain.path(), &ids, &given[..4]), expected, "{checkpoint}: scaling matters");
        // And the other way round: none takes the checkpoint's away.
        let none = ["--cache", "full", "--rope-scaling", "none", "--max-positions", "256"];
        let none = logits(&fixture(checkpoint), &ids, &none);
        assert_eq!(none, logits(&plain.path(), &ids, &given[..4]), "{checkpoint}");
    }
    // The context grows with the factor.
    let found = object(on_model("inspect", &fixture(ANY)).args(["--rope-scaling", "linear:4"]));
    assert_eq!((&found["context"], &found["rope"]["scaling"]["factor"]), (&json!(1024), &json!(4.0)));
    for (flag, value, says) in [
        ("--rope-scaling", "dynamic:2", "not a rope scaling"),
        ("--rope-scaling", "linear:0", "greater than 0"),
        ("--max-positions", "0", "--max-positions"),
    ] {
        let assert = anllm(["logits", "--ids", "1", flag, value]).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains(says), "{message}");
    }
    let assert = anllm(["logits", "--ids", "1", "--rope-theta", "0.5"]).assert().code(1);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("greater than 1"));
}

#[test]
fn a_wrong_policy_is_answered_with_what_there_is() {
    for (policy, says) in [
        ("sinks:4+60", "did you mean `sink`?"),
        ("sink:4", "S+N"),
        ("window:0", "1 or more"),
        ("lru", "known: full, anchor"),
    ] {
        let assert = anllm(["generate", "--cache", policy]).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains("--cache") && message.contains(says), "{message}");
    }
    let mut command = anllm(["eval", "ppl", "--stream", "--text", "stories.jsonl"]);
    let message = String::from_utf8_lossy(&command.assert().code(1).get_output().stderr.clone()).into_owned();
    assert!(message.contains("stories.jsonl: --stream reads one text"), "{message}");
    let ids = list(&[1, 2, 3]);
    anllm(["logits", "--ids", &ids, "--cache", "random:2", "--json"]).assert().success();
}
