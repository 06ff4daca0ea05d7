//! What PyTorch computes from each fixture, by the real program on every backend: scores under both masks, both greedy
//! continuations, and `verify`. A backend that is not compiled in has no tests; one that finds no device skips them.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use anllm_model::Checkpoint;
use common::{Golden, PROMPT, anllm, distance, encode, fixture, ids, logits, numbers, object, on_model};

/// Calls `$with!` with its arguments and a list of all checkpoints: a test's name, and the path in `testdata`.
macro_rules! for_each_checkpoint {
    ($with:ident!($($args:tt)*)) => {
        $with! {
            $($args)*;
            llama_mha_untied "tiny/llama-mha-untied",
            llama_gqa_tied "tiny/llama-gqa-tied",
            llama3_rope "tiny/llama3-rope",
            llama_linear_rope "tiny/llama-linear-rope",
            llama_yarn_rope "tiny/llama-yarn-rope",
            mistral "tiny/mistral",
            qwen2 "tiny/qwen2",
            qwen3 "tiny/qwen3",
            gguf "gguf/llama-tiny.gguf",
        }
    };
}

macro_rules! tests {
    ($module:ident, $device:expr; $($test:ident $path:literal,)*) => {
        mod $module {
            use super::*;
            $(#[test] fn $test() { ($device).check($path); })*
        }
    };
}

macro_rules! paths {
    (; $($test:ident $path:literal,)*) => { [$($path),*] };
}

#[cfg(feature = "cpu")]
for_each_checkpoint!(tests!(cpu, Device { name: "cpu", tolerance: 1e-4, depth: Depth::Thorough }));
#[cfg(feature = "ndarray")]
for_each_checkpoint!(tests!(ndarray, Device { name: "ndarray", tolerance: 1e-4, depth: Depth::Thorough }));
#[cfg(feature = "wgpu")]
for_each_checkpoint!(tests!(wgpu, Device { name: "wgpu", tolerance: 1e-3, depth: Depth::Quick }));
// Shaders are compiled by the driver, which is quick.
#[cfg(feature = "cuda")]
for_each_checkpoint!(tests!(cuda, Device { name: "cuda", tolerance: 1e-3, depth: Depth::Thorough }));
#[cfg(feature = "vulkan")]
// The shaders are those of `wgpu` but for their compiler: two checkpoints tell whether that one works.
tests! {
    vulkan, Device { name: "vulkan", tolerance: 1e-3, depth: Depth::Quick };
    llama_gqa_tied "tiny/llama-gqa-tied",
    gguf "gguf/llama-tiny.gguf",
}

#[test]
fn no_fixture_is_forgotten() {
    let listed = for_each_checkpoint!(paths!());
    for folder in std::fs::read_dir(fixture("tiny")).unwrap() {
        let path = format!("tiny/{}", folder.unwrap().file_name().to_str().unwrap());
        assert!(listed.contains(&path.as_str()), "{path}");
    }
}

/// How much is run. Shaders are compiled by each process anew, which takes a software GPU most of its time.
// Which of them is used depends on the features.
#[allow(dead_code)]
#[derive(PartialEq)]
enum Depth {
    Thorough,
    Quick,
}

struct Device {
    name: &'static str,
    /// The largest difference of any score.
    tolerance: f64,
    depth: Depth,
}

impl Device {
    fn check(&self, checkpoint: &str) {
        if let Err(reason) = self.usable() {
            eprintln!("skipped: --device {} is not usable: {reason}", self.name);
            return;
        }
        let path = fixture(checkpoint);
        let golden = Golden::read(if path.is_dir() { &path } else { path.parent().unwrap() });
        assert_eq!(encode(&path, PROMPT), golden.ids("input_ids"), "the text is the one the golden tokens are of");

        for (policy, mask) in [("anchor", "ansan"), ("full", "causal")] {
            let scores = golden.floats(&format!("logits_{mask}"));
            let continuation = golden.ids(&format!("greedy_{mask}"));
            match self.depth {
                Depth::Thorough => {
                    self.check_scores(checkpoint, policy, &golden.ids("input_ids"), &scores);
                    self.check_continuation(checkpoint, policy, &continuation);
                }
                Depth::Quick => {
                    self.check_at_once(checkpoint, policy, &golden.ids("input_ids"), &scores, &continuation)
                }
            }
        }
        if self.depth == Depth::Quick && checkpoint == common::ANY {
            self.check_continuation(checkpoint, "anchor", &golden.ids("greedy_ansan"));
        }
        if self.depth == Depth::Thorough || checkpoint == common::ANY {
            self.check_verify(checkpoint);
        }
    }

    fn usable(&self) -> Result<(), String> {
        let found = object(&mut anllm(["devices"]));
        let rows = found["devices"].as_array().unwrap();
        let of_this = rows.iter().filter(|r| r["device"].as_str().unwrap().split(':').next() == Some(self.name));
        let mut reason = "`anllm devices` does not list it".to_owned();
        for row in of_this {
            if row["usable"] == true {
                return Ok(());
            }
            reason = row["reason"].to_string();
        }
        Err(reason)
    }

    fn logits(&self, checkpoint: &str, policy: &str, ids: &[u32], way: &[&str]) -> Vec<f64> {
        let options = [&["--device", self.name, "--anchors", "ep", "--cache", policy], way].concat();
        logits(&fixture(checkpoint), ids, &options)
    }

    fn check_close(&self, found: &[f64], expected: &[f64], what: &str) {
        let gap = distance(found, expected);
        eprintln!("{} {what}: largest difference {gap:.1e}", self.name);
        assert!(gap <= self.tolerance, "{} {what}: {gap:e}", self.name);
    }

    /// Scores of every position of the prompt, in one pass and through the cache.
    fn check_scores(&self, checkpoint: &str, policy: &str, prompt: &[u32], expected: &[f64]) {
        for way in [&["--dense"][..], &["--prefill-chunk", "512"], &["--prefill-chunk", "5"]] {
            let found = self.logits(checkpoint, policy, prompt, way);
            self.check_close(&found, expected, &format!("{checkpoint} --cache {policy} {way:?}"));
        }
    }

    /// The prompt and its golden continuation in two chunks through the cache: the prompt's scores, and the best token
    /// at every step. One process, where a continuation token by token needs another, with many more shaders.
    fn check_at_once(&self, checkpoint: &str, policy: &str, prompt: &[u32], expected: &[f64], continuation: &[u32]) {
        let ids = [prompt, continuation].concat();
        let chunk = ids.len().div_ceil(2).to_string();
        let found = self.logits(checkpoint, policy, &ids, &["--prefill-chunk", &chunk]);
        let what = format!("{checkpoint} --cache {policy}");
        self.check_close(&found[..expected.len()], expected, &what);
        let rows = found.chunks(found.len() / ids.len()).skip(prompt.len() - 1);
        let best = rows.map(|row| (0u32..).zip(row).max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id).unwrap());
        let best: Vec<u32> = best.take(continuation.len()).collect();
        assert_eq!(best, continuation, "{} {what}", self.name);
    }

    /// The greedy continuation, token for token, and what the cache kept meanwhile.
    fn check_continuation(&self, checkpoint: &str, policy: &str, expected: &[u32]) {
        let path = fixture(checkpoint);
        let mut command = on_model("generate --ignore-eos --anchors ep", &path);
        command.args(["--device", self.name, "--cache", policy, "--prompt", PROMPT]);
        let found = object(command.args(["--max-new-tokens", &expected.len().to_string()]));
        assert_eq!(ids(&found["tokens"]), expected, "{} {checkpoint} --cache {policy}", self.name);
        let tokenizer = Checkpoint::open(&path).unwrap().tokenizer().unwrap();
        assert_eq!(found["text"], tokenizer.decode(expected).unwrap());
        assert_eq!(found["stop_reason"], "length");

        let kv = &found["kv"];
        let [seen, kept, peak, bytes, full] =
            ["seen", "kept", "peak", "bytes", "full_bytes"].map(|key| kv[key].as_u64().unwrap());
        // The last token's successor is never computed, so that it is not seen.
        assert_eq!(seen, found["prompt_tokens"].as_u64().unwrap() + expected.len() as u64 - 1);
        assert_eq!(kv["policy"], policy);
        match policy {
            "full" => assert_eq!((kept, peak, bytes), (seen, seen, full)),
            _ => assert!(kept < seen && kept <= peak && bytes < full, "{kv}"),
        }
    }

    /// The masked full forward against the cache, in chunks of several sizes.
    fn check_verify(&self, checkpoint: &str) {
        let (chunks, tokens) = match self.depth {
            Depth::Thorough => ("1,7,64,all", "256"),
            Depth::Quick => ("7,all", "64"),
        };
        let mut command = on_model("verify --anchors ep", &fixture(checkpoint));
        command.args(["--device", self.name, "--chunks", chunks, "--limit-tokens", tokens]);
        let found = object(&mut command);
        assert_eq!(found["ok"], true, "{} {checkpoint}: {found}", self.name);
        assert_eq!(found["tokens"].to_string(), tokens);
        assert!(found["anchors"].as_u64().unwrap() >= 1, "{found}");
        let rows = found["chunks"].as_array().unwrap();
        let sizes: Vec<f64> = rows.iter().map(|row| row["chunk"].as_f64().unwrap()).collect();
        let asked = chunks.replace("all", tokens);
        assert_eq!(sizes, numbers(&serde_json::from_str(&format!("[{asked}]")).unwrap()));
        eprintln!("{} {checkpoint} verify: {} of the largest score", self.name, found["max_rel_diff"]);
    }
}
