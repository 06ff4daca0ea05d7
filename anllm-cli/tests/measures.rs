//! `anllm eval kl`, `passkey` and `frontier` as users run them.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use common::{ANY, anllm, encode, fixture, has_keys, logits, object, on_model, text};
use serde_json::{Value, json};

const TEXT: &str = "The tide went out. The boats lay on the sand.. A boy ran. He ran to the boats and the gulls went \
                    down to the sand, and nobody saw them go. No. The tide came in. The gulls came down again.";

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no number {key}: {value}"))
}

fn measure(command: &str) -> assert_cmd::Command {
    let mut command = on_model(command, &fixture(ANY));
    command.args(["--text", "-"]).write_stdin(TEXT);
    command
}

/// The rows of a command that prints one object per line.
fn rows(command: &mut assert_cmd::Command) -> Vec<Value> {
    text(command.arg("--json")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn refused(command: &mut assert_cmd::Command, parts: &[&str]) {
    let output = command.assert().failure().get_output().clone();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

/// The definition, written out from dense scores.
#[test]
fn divergence_is_what_the_scores_say() {
    let model = fixture(ANY);
    let ids = encode(&model, TEXT);
    let (mut kl, mut agreed, mut compared) = (0.0, 0, 0);
    for window in ids.chunks(20).filter(|window| window.len() > 1) {
        let full = logits(&model, window, &["--cache", "full", "--dense"]);
        let anchor = logits(&model, window, &["--cache", "anchor", "--anchors", "ep", "--dense"]);
        let vocab = full.len() / window.len();
        let shares = |row: &[f64]| -> Vec<f64> {
            let highest = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|score| (score - highest).exp()).sum();
            row.iter().map(|score| score - highest - sum.ln()).collect()
        };
        let best = |row: &[f64]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        for at in 0..window.len() - 1 {
            let [p, q] = [&full, &anchor].map(|scores| shares(&scores[at * vocab..][..vocab]));
            kl += p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
            agreed += usize::from(best(&p) == best(&q));
            compared += 1;
        }
    }
    for chunk in ["3", "512"] {
        let found = object(measure("eval kl").args(["--anchors", "ep", "--window", "20", "--prefill-chunk", chunk]));
        assert_eq!(
            (&found["measure"], &found["policy"], &found["rule"]),
            (&json!("kl"), &json!("anchor"), &json!("ep"))
        );
        assert_eq!(found["tokens"], compared);
        assert!((number(&found, "kl") - kl / f64::from(compared)).abs() < 1e-5, "{found}, {kl}");
        assert!((number(&found, "top1_agreement") - f64::from(agreed as u32) / f64::from(compared)).abs() < 1e-9);
    }
}

#[test]
fn full_attention_does_not_diverge_from_itself() {
    let found = object(measure("eval kl").args(["--cache", "full", "--window", "64"]));
    assert!(number(&found, "kl_max") < 1e-5 && found["top1_agreement"] == json!(1.0), "{found}");
    let ppl = object(measure("eval ppl").args(["--cache", "full", "--window", "64"]));
    for side in ["full", "reduced"] {
        assert!((number(&found[side], "nll") - number(&ppl, "nll")).abs() < 1e-6);
    }
}

#[test]
fn groups_of_tokens_add_up() {
    let ppl = object(measure("eval ppl").args(["--anchors", "ep", "--window", "40", "--by-position", "10"]));
    let kl = object(measure("eval kl").args(["--anchors", "ep", "--window", "40", "--by-position", "10"]));
    for (found, value) in [(&ppl, "nll"), (&kl, "kl")] {
        for groups in ["by_position", "by_distance"] {
            let rows = found[groups].as_array().unwrap();
            let tokens: u64 = rows.iter().map(|row| row["tokens"].as_u64().unwrap()).sum();
            assert_eq!(tokens, found["tokens"].as_u64().unwrap(), "{groups}");
            let sum: f64 = rows.iter().filter_map(|row| Some(row[value].as_f64()? * row["tokens"].as_f64()?)).sum();
            assert!((sum / tokens as f64 - number(found, value)).abs() < 1e-9, "{groups}: {found}");
        }
    }
    assert_eq!(ppl["by_position"].as_array().unwrap().len(), 4);
    // The first token behind each anchor but the last token's.
    let first = &ppl["by_distance"][1];
    assert_eq!((&first["from"], &first["to"]), (&json!(1), &json!(2)));
    // Before the first anchor both see the same.
    assert!(number(&kl["by_distance"][0], "kl") < 1e-6, "{kl}");
}

#[test]
fn keys_are_looked_for_at_every_length_and_depth() {
    let find =
        |options: &[&str]| rows(anllm("eval passkey --length 300,400 --depth 0,1 --trials 2".split(' ')).args(options));
    let full = find(&["--cache", "full"]);
    let places: Vec<_> = full.iter().map(|row| (number(row, "length"), number(row, "depth"))).collect();
    assert_eq!(places, [(300.0, 0.0), (300.0, 1.0), (400.0, 0.0), (400.0, 1.0)]);
    for row in &full {
        has_keys(row, &["measure", "policy", "accuracy", "nll", "n", "tokens", "entries", "bytes", "kv_reduction"]);
        assert!(number(row, "tokens") <= number(row, "length") && number(row, "tokens") > number(row, "length") - 80.0);
        assert!(number(row, "entries") == number(row, "tokens") - 1.0, "the last token is read with the key: {row}");
    }
    assert_eq!(full, find(&["--cache", "full"]), "the same keys every time");
    assert_ne!(full, find(&["--cache", "full", "--seed", "1"]));
    for row in find(&["--cache", "window:16"]) {
        assert_eq!(row["entries"], 15.0);
    }
}

/// What lies before the window is not seen: another key there changes nothing but what is compared with.
#[test]
fn a_key_outside_the_window_cannot_be_found() {
    let find = |cache: &str, depth: &str| {
        let options = ["eval", "passkey", "--length", "400", "--trials", "1", "--cache", cache, "--depth", depth];
        number(&object(&mut anllm(options)), "nll")
    };
    // The model in the program tells stories and finds no keys, but its likelihoods move with what it sees.
    assert!((find("window:16", "0") - find("window:16", "0.5")).abs() < 1e-4);
    assert!((find("full", "0") - find("full", "0.5")).abs() > 1e-4);
}

#[test]
fn the_frontier_has_a_point_for_each_policy_and_length() {
    let mut command = measure("eval frontier --context 16,32 --budget 8,24 --new-tokens 4 --reps 1 --anchors ep");
    let found = rows(&mut command);
    let at = |context: u64| found.iter().filter(move |row| row["context"] == context);
    assert_eq!((at(16).count(), at(32).count()), (4 + 4, 4 + 8), "budgets beyond the length are left out");
    for row in &found {
        has_keys(row, &["measure", "policy", "rule", "ppl", "bits_per_byte", "entries", "peak", "bytes", "decode_tps"]);
        let own = object(
            measure("eval ppl --anchors ep").args([
                "--cache",
                row["policy"].as_str().unwrap(),
                "--window",
                &row["context"].to_string(),
                "--limit-tokens",
                // Whole windows alone.
                &(encode(&fixture(ANY), TEXT).len() as u64 / row["context"].as_u64().unwrap()
                    * row["context"].as_u64().unwrap())
                .to_string(),
            ]),
        );
        assert!((number(row, "nll") - number(&own, "nll")).abs() < 1e-9, "{row} {own}");
        assert!((number(row, "kv_reduction") - number(&own, "kv_reduction")).abs() < 1e-9, "{row} {own}");
    }
    let full = at(32).find(|row| row["policy"] == "full").unwrap();
    assert_eq!((&full["entries"], &full["peak"], &full["kv_reduction"]), (&json!(32.0), &json!(32), &json!(0.0)));
    let chosen =
        rows(measure("eval frontier --context 16 --new-tokens 0").args(["--policies", "window:8;random:4,seed=2"]));
    let names: Vec<_> = chosen.iter().map(|row| row["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["window:8", "random:4,seed=2"]);
    assert_eq!(chosen[0]["decode_tps"], Value::Null);
}

#[test]
fn usual_lengths_are_those_that_fit() {
    let found = rows(&mut anllm("eval passkey --depth 1 --trials 1".split(' ')));
    assert_eq!(found.iter().map(|row| number(row, "length")).collect::<Vec<_>>(), [256.0, 512.0]);
    let found = rows(measure("eval frontier --new-tokens 0").args(["--policies", "full"]));
    assert_eq!(found[0]["context"], encode(&fixture(ANY), TEXT).len());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    refused(measure("eval kl").args(["--window", "100000"]), &["--window 100000", "hint: use --window 256"]);
    refused(measure("eval frontier").args(["--cache", "full"]), &["--cache", "--policies"]);
    refused(measure("eval frontier").args(["--context", "200"]), &["fewer than the longest --context of 200"]);
    refused(measure("eval frontier").args(["--context", "1000"]), &["context of 256", "hint"]);
    let passkey = || on_model("eval passkey", &fixture(ANY));
    refused(passkey().args(["--depth", "1.5"]), &["--depth 1.5"]);
    refused(passkey().args(["--length", "5000"]), &["--length 5000", "256"]);
    refused(passkey().args(["--length", "20"]), &["at least", "20 were asked for"]);
    refused(&mut anllm(["eval", "kl"]), &["--text"]);
}
