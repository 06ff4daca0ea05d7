//! `anllm bench`: what it reports, not how fast anything is.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use assert_cmd::Command;
use common::{ANY, fixture, on_model};
use serde_json::Value;

fn rows(command: &mut Command) -> Vec<Value> {
    let output = command.arg("--json").assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(rows: &[Value]) -> Vec<(u64, &str)> {
    rows.iter().map(|row| (row["context"].as_u64().unwrap(), row["policy"].as_str().unwrap())).collect()
}

#[test]
fn every_length_under_both_policies() {
    let rows = rows(&mut on_model("bench --anchors every:6 --context 8,24 --new-tokens 4 --reps 2", &fixture(ANY)));
    assert_eq!(names(&rows), [(8, "full"), (8, "anchor"), (24, "full"), (24, "anchor")]);
    for row in &rows {
        let (median, range) = (row["prefill_tps"].as_f64().unwrap(), &row["prefill_tps_range"]);
        assert!(range[0].as_f64().unwrap() <= median && median <= range[1].as_f64().unwrap(), "{row}");
        assert!(row["decode_tps"].as_f64().unwrap() > 0.0);
        assert_eq!(row["reps"], 2);
    }
    let bytes = |number: usize| rows[number]["kv_bytes"].as_u64().unwrap();
    assert!(bytes(3) < bytes(2), "anchors keep less than everything");
}

#[test]
fn a_cache_of_16_bits_is_half_as_large() {
    let kept = |dtype: &str| {
        let command = format!("bench --context 8 --new-tokens 4 --reps 1 --cache-dtype {dtype}");
        rows(&mut on_model(&command, &fixture(ANY))).iter().map(|row| row["kv_bytes"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(kept("f32"), 2 * kept("f16"));
    assert_eq!(kept("f16"), kept("bf16"));
}

#[test]
fn several_sequences_at_once() {
    let command = "bench --anchors every:6 --context 8 --new-tokens 3 --reps 1 --batch 1,5";
    let rows = rows(&mut on_model(command, &fixture(ANY)));
    assert_eq!(names(&rows), [(8, "full"), (8, "full"), (8, "anchor"), (8, "anchor")]);
    let bytes = |number: usize| rows[number]["kv_bytes"].as_u64().unwrap();
    assert_eq!((&rows[0]["batch"], &rows[1]["batch"]), (&1.into(), &5.into()));
    assert_eq!(bytes(1), 5 * bytes(0), "full caches of equal length");
    assert!(bytes(3) < bytes(1) && rows[1]["decode_tps"].as_f64().unwrap() > 0.0);
}

#[test]
fn training_steps_of_all_weights_and_of_adapters() {
    let all = rows(&mut on_model("bench --train --context 24 --reps 2", &fixture(ANY)));
    assert_eq!(names(&all), [(24, "full"), (24, "anchor")]);
    assert!(all.iter().all(|row| row["trained"] == "all" && row["train_tps"].as_f64().unwrap() > 0.0));
    let lora = rows(&mut on_model("bench --train --lora 2 --cache anchor --context 24 --reps 1", &fixture(ANY)));
    assert_eq!(names(&lora), [(24, "anchor")]);
    assert_eq!(lora[0]["trained"], "lora");
}

#[test]
fn lengths_beyond_the_context_are_refused() {
    let refused = on_model("bench --context 100000", &fixture(ANY)).assert().code(1);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(message.contains("--context") && message.contains("hint: "), "{message}");
}

#[test]
fn a_question_behind_a_prefix_that_is_read_again_or_cached() {
    let mut command = on_model("bench --prefix --anchors ep --reps 2", &fixture(ANY));
    command.arg("--text").arg(fixture("few-shot.txt"));
    let rows = rows(&mut command);
    let named: Vec<_> =
        rows.iter().map(|row| (row["prefix"].as_str().unwrap(), row["policy"].as_str().unwrap())).collect();
    assert_eq!(named, [("none", "full"), ("none", "anchor"), ("cache", "full"), ("cache", "anchor")]);
    let number = |row: usize, key: &str| rows[row][key].as_u64().unwrap();
    assert!(number(3, "file_bytes") < number(2, "file_bytes"));
    assert_eq!(number(2, "entries"), number(2, "prefix_tokens"));
    assert_eq!(number(0, "kv_bytes"), number(2, "kv_bytes"), "the same cache, however it came to be");
    assert_eq!(number(1, "kv_bytes"), number(3, "kv_bytes"));
    assert!(rows.iter().all(|row| row["time_s"].as_f64().unwrap() > 0.0));
    on_model("bench --prefix", &fixture(ANY)).assert().code(2);
}
