//! `anllm anchors`, through the real program and a tiny checkpoint.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/tiny/llama-gqa-tied");

/// Two sentences and a tail, each character but the last few a token of its own: the vocabulary has few merges.
const TEXT: &str = "Hi. No. Go";

fn anchors(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    command.args(["anchors", "--model", MODEL]).args(args);
    command.args(["--text", "-"]).write_stdin(TEXT).env("NO_COLOR", "");
    command
}

fn output(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn object(command: &mut Command) -> Value {
    serde_json::from_str(&output(command)).unwrap()
}

/// What standard error says of a command that fails with `code`.
fn failure(command: &mut Command, code: i32) -> String {
    String::from_utf8(command.assert().failure().code(code).get_output().stderr.clone()).unwrap()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn json_counts_tokens_anchors_and_segments() {
    let found = object(&mut anchors(&["--json", "--anchors", "every:4", "--limit-tokens", "7"]));
    // 2 layers, 2 key/value heads of 8, keys and values, 4 bytes each.
    let entry = 2 * 2 * 2 * 8 * 4;
    assert_eq!(found["rule"], "every:4");
    assert_eq!(found["tokens"], 7);
    assert_eq!(found["anchors"], 1);
    assert_eq!(found["segments"], 2);
    assert_eq!(found["mean_segment"], 3.5);
    assert_eq!(found["max_segment"], 4);
    assert_eq!(found["segment_lengths"], json!([4, 3]));
    assert_eq!(found["anchor_positions"], json!([3]));
    assert_eq!(found["ids"].as_array().unwrap().len(), 7);
    assert_eq!(found["kv_bytes_full"], 7 * entry);
    assert_eq!(found["kv_bytes_anchor"], 4 * entry);
    assert_eq!(found["peak_entries"], 4);
    assert_eq!(found["visible_pairs"], 10 + 6 + 3);
    assert_eq!(found["causal_pairs"], 28);
    assert!(found.get("explain").is_none() && found.get("mask").is_none());
}

#[test]
fn the_assumed_rule_is_named_in_a_warning() {
    let assert = anchors(&["--json"]).assert().success();
    let found: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!((&found["rule"], &found["anchors"], &found["segments"]), (&json!("ep"), &json!(2), &json!(3)));
    says(&String::from_utf8_lossy(&assert.get_output().stderr), &["names no anchor rule", "--anchors"]);
}

#[test]
fn json_carries_mask_and_explanation() {
    let args = ["--json", "--anchors", "every:2", "--limit-tokens", "5", "--mask", "--explain", "4,0"];
    let found = object(&mut anchors(&args));
    assert_eq!(found["mask"], json!(["10000", "11000", "01100", "00110", "01011"]));
    assert_eq!(found["explain"]["query"], 4);
    assert_eq!(found["explain"]["key"], 0);
    assert_eq!(found["explain"]["visible"], false);
    says(found["explain"]["reason"].as_str().unwrap(), &["blocked", "its anchor stands for it"]);
}

#[test]
fn text_marks_anchors_and_ends_of_segments() {
    let text = output(&mut anchors(&["--anchors", "ep"]));
    says(&text, &["Hi⟨.⟩│ No⟨.⟩│ Go\n", "anchors              2 (", "saved ", "segments by length"]);
    assert!(!text.contains('\x1b'), "no colours where nobody watches: {text:?}");
}

#[test]
fn special_tokens_and_split_characters_are_readable() {
    let mut command = anchors(&["--anchors", "ep"]);
    let text = output(command.write_stdin("<s>Grüße — 日本.\n\x1b[2J"));
    says(&text, &["<s>Grüße — 日本⟨.⟩│\n\\u{1b}[2J"]);
}

#[test]
fn without_a_text_there_is_a_sample() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    let text = output(command.args(["anchors", "--model", MODEL, "--anchors", "ep"]));
    says(&text, &["The harbour lay still", "⟨.⟩│"]);
}

#[test]
fn the_mask_is_drawn_in_place_of_the_text() {
    let text = output(&mut anchors(&["--mask", "--anchors", "every:2", "--limit-tokens", "5"]));
    says(&text, &["│█\n", "│██\n", "│·◆█\n", "│··██\n", "│·◆·◆█\n", "tokens               5\n"]);
    let text = "a. ".repeat(100);
    let refused = failure(anchors(&["--mask", "--anchors", "ep"]).write_stdin(text), 1);
    says(&refused, &["standard input", "at most 200", "hint: ", "--limit-tokens", "--svg"]);
}

#[test]
fn explain_names_both_tokens_and_the_rule() {
    let text = output(&mut anchors(&["--anchors", "ep", "--explain", "3,2"]));
    says(&text, &["query  token 3 \"", "key    token 2 \".\" (id 17): position 2, segment 0, an anchor\n"]);
    says(&text, &["visible: the key is the anchor of an earlier segment"]);
}

#[test]
fn explain_refuses_what_is_not_two_tokens_of_the_text() {
    let beyond = failure(&mut anchors(&["--anchors", "ep", "--explain", "500,2"]), 1);
    says(&beyond, &["no token 500", "tokens, 0 to", "hint: "]);
    let beyond = failure(&mut anchors(&["--json", "--anchors", "ep", "--explain", "2,500"]), 1);
    says(&beyond, &["no token 500"]);
    for usage in ["3", "3,2,1", "a,b", "3;2"] {
        says(&failure(&mut anchors(&["--explain", usage]), 2), &["--explain"]);
    }
    failure(&mut anchors(&["--limit-tokens", "0"]), 2);
}

#[test]
fn writes_the_coloured_text_as_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.svg");
    let mut command = anchors(&["--anchors", "ep", "--svg", file.to_str().unwrap()]);
    says(&output(command.write_stdin("<s>a & b < c. \"d\"")), &["tokens ", "saved "]);
    let svg = fs::read_to_string(&file).unwrap();
    well_formed(&svg);
    says(&svg, &["<svg xmlns=", "Anchors of standard input", "&lt;s&gt;", "&amp;", "#dcf2df", "pairs attended"]);
    assert_eq!(svg.matches("stroke=").count(), 1, "one anchor: {svg}");
}

#[test]
fn writes_the_mask_as_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mask.svg");
    let mut command = anchors(&["--anchors", "ep", "--mask", "--svg", file.to_str().unwrap()]);
    says(&output(command.write_stdin("<s>a & b < c. \"d\"")), &["tokens ", "saved "]);
    let svg = fs::read_to_string(&file).unwrap();
    well_formed(&svg);
    says(&svg, &["<svg xmlns=", "rule ep</text>", "&lt;s&gt;", "&amp;", "own segment", "earlier anchor", "hidden"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the picture");
}

#[test]
fn a_picture_of_too_many_tokens_is_refused_and_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let (svg, html) = (folder.path().join("mask.svg"), folder.path().join("text.html"));
    let args = ["--anchors", "ep", "--mask", "--svg", svg.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let refused = failure(anchors(&args).write_stdin("x. ".repeat(3000)), 1);
    says(&refused, &["--mask", "at most 4096", "hint: ", "--limit-tokens 4096"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn writes_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.html");
    let mut command = anchors(&["--json", "--anchors", "ep", "--html", file.to_str().unwrap()]);
    let found = object(command.write_stdin("<s>a <script>x</script> & b.\n\"c\""));
    let page = fs::read_to_string(&file).unwrap();
    let (head, body) = page.split_once("<body>").unwrap();
    says(head, &["<!DOCTYPE html>", "<meta charset=\"utf-8\">", "prefers-color-scheme: dark"]);
    well_formed(&format!("<body>{}", body.split_once("</html>").unwrap().0));
    assert!(!body.contains("<script"));
    says(body, &["<i>&lt;s&gt;</i>", ">.</b>", "title=\"anchor &quot;.&quot;: position "]);
    let spans = body.matches("title=\"").count();
    assert_eq!(spans as u64, found["tokens"].as_u64().unwrap(), "one element for each token");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing").join("mask.svg");
    let message = failure(&mut anchors(&["--anchors", "ep", "--svg", file.to_str().unwrap()]), 1);
    says(&message, &["mask.svg", "cannot be written", "hint: "]);
}

#[test]
fn a_text_without_anchors_is_warned_about() {
    let assert = anchors(&["--anchors", "ep"]).write_stdin("No end in sight").assert().success();
    let warning = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    says(&warning, &["no token of standard input is an anchor under the rule `ep`", "hint: ", "--anchors"]);
    let assert = anchors(&["--anchors", "ep"]).write_stdin(format!("A. {}", "b ".repeat(600))).assert().success();
    says(&String::from_utf8_lossy(&assert.get_output().stderr), &["no anchor in ", "hint: "]);
}

#[test]
fn an_empty_or_missing_text_is_an_error() {
    says(&failure(anchors(&["--anchors", "ep"]).write_stdin(""), 1), &["standard input", "no tokens", "hint: "]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    let missing = Path::new(MODEL).join("missing.txt");
    let message = failure(command.args(["anchors", "--model", MODEL, "--text"]).arg(missing), 1);
    says(&message, &["missing.txt", "cannot read the text"]);
}

/// Every element is closed in order, and every `&` begins an entity.
#[track_caller]
fn well_formed(xml: &str) {
    let mut open = Vec::new();
    for tag in xml.split('<').skip(1) {
        let (inside, text) = tag.split_once('>').unwrap_or_else(|| panic!("unclosed: <{tag}"));
        assert!(!text.contains('>'), "a bare > in {text:?}");
        let name = inside.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !inside.ends_with('/') {
            assert_eq!(inside.matches('"').count() % 2, 0, "<{inside}>");
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    for entity in xml.split('&').skip(1) {
        let name = entity.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "&{name}");
    }
}

#[test]
fn a_trace_says_what_the_cache_held_and_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, svg) = (folder.path().join("t.jsonl"), folder.path().join("t.svg"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    command.args(["generate", "--seed", "6", "-n", "60", "--json", "--trace"]).arg(&trace);
    let kv = object(&mut command)["kv"].clone();
    let lines = fs::read_to_string(&trace).unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap();
    let last = rows.last().unwrap();
    assert_eq!(json!(rows.len()), kv["seen"]);
    assert_eq!((&last["held"], &last["bytes"], &last["full_bytes"]), (&kv["kept"], &kv["bytes"], &kv["full_bytes"]));
    let peak = rows.iter().map(|row| number(row, "held") + row["dropped"].as_array().unwrap().len() as u64).max();
    assert_eq!(json!(peak), kv["peak"], "a token's own entry is there before it drops others");
    assert!(rows.iter().all(|row| row["anchor"] == json!(row["text"] == ".")), "{rows:?}");
    assert_eq!((&rows[0]["part"], &last["part"]), (&json!("prompt"), &json!("generated")));

    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    let text = output(command.arg("anchors").arg("--trace").arg(&trace).arg("--svg").arg(&svg));
    says(&text, &["anchor: ", " entries kept, peak "]);
    let picture = fs::read_to_string(&svg).unwrap();
    says(&picture, &["<svg", "tokens seen", "full cache"]);

    fs::write(&trace, "{\"step\": 0}\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    let refused = failure(command.arg("anchors").arg("--trace").arg(&trace), 1);
    says(&refused, &["t.jsonl: line 1 is not a step", "hint: ", "--trace"]);
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_the_work() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anllm"));
    let refused = failure(command.args(["generate", "--trace", "nowhere/t.jsonl"]), 1);
    says(&refused, &["nowhere/t.jsonl", "no folder nowhere", "hint: "]);
}
