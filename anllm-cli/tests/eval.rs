//! `anllm eval`: measures against their definitions.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;

use anllm_model::Checkpoint;
use common::{ANY, encode, fixture, has_keys, logits, object, on_model, text};
use serde_json::{Value, json};

/// A text of several windows, with anchors near and far apart.
const TEXT: &str = "The tide went out. The boats lay on the sand.. A boy ran. He ran to the boats and the gulls went \
                    down to the sand, and nobody saw them go. No. The tide came in. The gulls came down again.";

/// Perplexity by its definition, from dense scores.
fn perplexity(model: &Path, options: &[&str], window: usize, stride: usize) -> (f64, usize, f64) {
    let tokens = encode(model, TEXT);
    let tokenizer = Checkpoint::open(model).unwrap().tokenizer().unwrap();
    let (mut nll, mut scored, mut bytes) = (0.0, 0, 0);
    let (mut start, mut scored_to) = (0, 0);
    while scored_to < tokens.len() {
        let end = (start + window).min(tokens.len());
        let scores = logits(model, &tokens[start..end], &[options, &["--dense"]].concat());
        let vocab = scores.len() / (end - start);
        for target in scored_to.max(start + 1)..end {
            let row = &scores[(target - 1 - start) * vocab..][..vocab];
            let highest = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|score| (score - highest).exp()).sum();
            nll += sum.ln() + highest - row[tokens[target] as usize];
            scored += 1;
            bytes += tokenizer.bytes(tokens[target]).map_or(0, |b| b.len());
        }
        scored_to = end;
        start += stride;
    }
    ((nll / scored as f64).exp(), scored, nll / std::f64::consts::LN_2 / bytes as f64)
}

#[test]
fn perplexity_is_what_the_scores_say() {
    let model = fixture(ANY);
    for options in [&["--cache", "full"][..], &["--cache", "anchor", "--anchors", "ep"]] {
        for (window, stride) in [(256, 256), (32, 32), (32, 20), (7, 3), (2, 1)] {
            let (ppl, tokens, bits) = perplexity(&model, options, window, stride);
            let mut command = on_model("eval ppl --text -", &model);
            command.args(["--window", &window.to_string(), "--stride", &stride.to_string()]);
            let found = object(command.args(options).args(["--prefill-chunk", "5"]).write_stdin(TEXT));
            has_keys(&found, &["ppl", "nll", "tokens", "bits_per_byte", "anchors", "kv_reduction"]);
            let number = |key: &str| found[key].as_f64().unwrap();
            assert!((number("ppl") / ppl - 1.0).abs() < 1e-4, "{options:?} {window} {stride}: {found}, {ppl}");
            assert!((number("nll") - ppl.ln()).abs() < 1e-4, "{found}");
            assert!((number("bits_per_byte") / bits - 1.0).abs() < 1e-4, "{found}, {bits}");
            assert_eq!(found["tokens"], tokens, "{options:?} {window} {stride}");
        }
    }
}

#[test]
fn each_record_is_a_document_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let stories = folder.path().join("stories.jsonl");
    let (short, long) = ("No. The tide came in.", TEXT);
    fs::write(&stories, format!("{}\n{}\n", json!({ "text": short }), json!({ "text": long }))).unwrap();
    let model = fixture(ANY);
    let of = |path: &Path, options: &[&str]| {
        object(on_model("eval ppl --anchors ep", &model).arg("--text").arg(path).args(options))
    };
    let alone = |text: &str| {
        let file = folder.path().join("one.txt");
        fs::write(&file, text).unwrap();
        of(&file, &[])
    };
    let total = |found: &Value| found["nll"].as_f64().unwrap() * found["tokens"].as_f64().unwrap();
    let both = of(&stories, &[]);
    assert_eq!(both["documents"], 2);
    let sum = total(&alone(short)) + total(&alone(long));
    assert!((total(&both) - sum).abs() < 1e-3, "{both}, {sum}");
    // Short ones can be left out.
    let long_only = of(&stories, &["--min-tokens", "30"]);
    assert_eq!((&long_only["documents"], &long_only["tokens"]), (&json!(1), &alone(long)["tokens"]));
}

#[test]
fn added_anchors_are_read_and_not_scored() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("ac");
    on_model("convert --add-ac mean", &fixture(ANY)).arg("--to").arg(&model).assert().success();
    let measure =
        |options: &[&str]| object(on_model("eval ppl --anchors ac --text -", &model).args(options).write_stdin(TEXT));
    let (plain, added) = (measure(&[]), measure(&["--add-anchors"]));
    assert_eq!(plain["anchors"], 0);
    assert!(added["anchors"].as_u64().unwrap() > 3, "{added}");
    assert_eq!(added["tokens"], plain["tokens"], "the text's own tokens are scored");
    assert_ne!(added["nll"], plain["nll"]);
}

#[test]
fn perplexity_reports_what_the_cache_saves() {
    let model = fixture(ANY);
    let tokens = encode(&model, TEXT);
    let dot = tokens.iter().filter(|id| **id == encode(&model, ".")[0]).count();
    let measure = |options: &[&str]| object(on_model("eval ppl --text -", &model).args(options).write_stdin(TEXT));
    let found = measure(&["--anchors", "ep"]);
    assert_eq!(found["anchors"], dot);
    assert_eq!(found["windows"], 1);
    // The text ends with an anchor: only anchors are left.
    let left = dot as f64 / tokens.len() as f64;
    assert!((found["kv_reduction"].as_f64().unwrap() - (1.0 - left)).abs() < 1e-9, "{found}");
    let full = measure(&["--cache", "full"]);
    assert_eq!(full["kv_reduction"], 0.0);
    assert!((full["nll"].as_f64().unwrap() - found["nll"].as_f64().unwrap()).abs() > 1e-3, "the mask matters");
    // An every:N rule counts from the start of each window.
    let every = measure(&["--anchors", "every:4", "--window", "8", "--limit-tokens", "24"]);
    assert_eq!((&every["anchors"], &every["windows"]), (&json!(6), &json!(3)));
    assert_eq!(every["kv_reduction"], 0.75);
    let limited = measure(&["--cache", "full", "--limit-tokens", "10"]);
    assert_eq!(limited["tokens"], 9);
    let shown = text(on_model("eval ppl --text - --anchors ep", &model).write_stdin(TEXT));
    for part in ["perplexity ", "bits per byte ", "cache anchor", " % saved\n"] {
        assert!(shown.contains(part), "{shown}");
    }
}
