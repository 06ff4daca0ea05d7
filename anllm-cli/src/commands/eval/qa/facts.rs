//! What a run is: for those who read its results, and for those who go on with it.

use std::time::{Instant, SystemTime};

use anllm_eval::qa::Prepared;
use anllm_eval::task::Task as QaTask;
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use serde_json::{Map, json};
use time::{Duration, OffsetDateTime};

use super::Qa;
use super::mode::Mode;

impl Qa {
    /// What answers depend on: the model, how it runs, and every text.
    pub(super) fn fingerprint(&self, task: &QaTask, mode: &Mode, prepared: &Prepared) -> String {
        let run = &self.args.run;
        let mut hash = blake3::Hasher::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.checkpoint.path().display().to_string());
        let metadata = std::fs::metadata(self.checkpoint.path()).ok();
        let changed = metadata.and_then(|metadata| Some((metadata.len(), metadata.modified().ok()?)));
        add(&format!("{changed:?} {:?} {:?}", run.dtype, run.weights));
        add(&mode.policy.name());
        add(mode.name);
        add(&self.rules.matcher.rule().to_string());
        add(&task.settings().to_string());
        for scored in prepared.texts.iter().flat_map(|texts| &texts.choices) {
            add(&scored.context);
            add(&scored.continuation);
        }
        hash.finalize().to_hex().to_string()
    }

    /// What the results file says of the run.
    pub(super) fn facts<B: Kernels>(
        &self,
        engine: &Engine<B>,
        mode: &Mode,
        started: (Instant, SystemTime),
    ) -> Map<String, serde_json::Value> {
        let name = self.args.run.model.model.display().to_string();
        let run = &self.args.run;
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let facts = json!({
            "config": {
                "model": "anllm",
                "model_args": {
                    "pretrained": name,
                    "cache": mode.policy.name(),
                    "mode": mode.name,
                    "anchors": self.rules.matcher.rule().to_string(),
                    "weights": run.weights.to_string(),
                },
                "model_num_parameters": engine.config().parameters(),
                "model_dtype": format!("{:?}", run.dtype).to_lowercase(),
                "batch_size": run.prefill_chunk,
                "device": run.device.to_string(),
                "limit": self.args.limit,
                "fewshot_seed": self.args.seed,
            },
            "git_hash": null,
            "date": since(started.1),
            "anllm_version": env!("CARGO_PKG_VERSION"),
            "max_length": engine.config().max_positions,
            "model_source": "anllm",
            "model_name": name,
            "model_name_sanitized": sanitized(&name),
            "total_evaluation_time_seconds": started.0.elapsed().as_secs_f64().to_string(),
        });
        match facts {
            serde_json::Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }
}

/// A name without what file names may not hold.
fn sanitized(name: &str) -> String {
    let mut text = String::new();
    for part in name.split(|c| "\"<>:/|\\?*[]".contains(c)).filter(|part| !part.is_empty()) {
        text.push_str(if text.is_empty() { "" } else { "__" });
        text.push_str(part);
    }
    text
}

/// The time as file names have it: `2026-01-31T09-05-00.123456`, in UTC. Of files that are named at once each has a
/// `number` of its own, microseconds that keep them apart.
pub(super) fn date(number: i64) -> String {
    let now = OffsetDateTime::now_utc() + Duration::microseconds(number);
    format!("{}T{:02}-{:02}-{:02}.{:06}", now.date(), now.hour(), now.minute(), now.second(), now.microsecond())
}
