//! The models that are part of the program.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use common::{anllm, object, text};

const MODELS: [&str; 2] = ["bundled:ep", "bundled:ac"];

#[test]
fn a_story_needs_neither_model_nor_prompt() {
    let tell = |seed: &str| text(&mut anllm(["generate", "-n", "60", "--seed", seed]));
    let story = tell("1");
    assert!(story.starts_with("Once upon a time, "), "{story}");
    assert!(story.split_whitespace().count() > 30, "{story}");
    assert_eq!(story, tell("1"));
    assert_ne!(story, tell("2"), "stories are drawn");
    let found = object(&mut anllm(["generate", "--prompt", "One day, a", "-n", "80", "--seed", "1"]));
    assert_eq!(found["kv"]["policy"], "anchor");
    assert!(found["kv"]["kept"].as_u64().unwrap() < found["kv"]["seen"].as_u64().unwrap() / 2, "{found}");
}

#[test]
fn both_pass_verification() {
    for model in MODELS {
        let found = object(&mut anllm(["verify", "--model", model, "--limit-tokens", "200"]));
        assert_eq!(found["ok"], true, "{model}: {found}");
    }
}

#[test]
fn few_bits_change_little_and_verify_like_any() {
    let perplexity = |weights: &str| {
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/stories.jsonl");
        let mut command = anllm(["eval", "ppl", "--window", "256", "--weights", weights, "--text"]);
        object(command.arg(text))["ppl"].as_f64().unwrap()
    };
    let exact = perplexity("float");
    for (weights, allowed) in [("native", 1e-5), ("q8", 1e-3), ("q4", 0.03)] {
        let change = perplexity(weights) / exact - 1.0;
        assert!(change.abs() < allowed, "{weights}: {change}");
        assert!(weights == "native" || change != 0.0, "{weights} is another model");
        let found = object(&mut anllm(["verify", "--weights", weights, "--limit-tokens", "200"]));
        assert_eq!(found["ok"], true, "{weights}: {found}");
    }
}

#[test]
fn the_added_anchor_model_writes_its_anchors_and_takes_them() {
    let prompt = "Tom had a red ball. He lost it.";
    let read = |options: &[&str]| {
        object(
            anllm(["generate", "--model", "bundled:ac", "--prompt", prompt, "-n", "60", "--seed", "1"]).args(options),
        )
    };
    let (plain, added) = (read(&[]), read(&["--add-anchors"]));
    assert_eq!(added["prompt_tokens"].as_u64().unwrap(), plain["prompt_tokens"].as_u64().unwrap() + 2);
    assert!(added["kv"]["kept"].as_u64().unwrap() < added["kv"]["seen"].as_u64().unwrap() / 2, "{added}");
    assert!(!added["text"].as_str().unwrap().contains("<AC>"), "anchors are not text: {added}");
}
