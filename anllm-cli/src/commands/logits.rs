//! `anllm logits`: raw scores, for comparison with other implementations.

use anllm_core::PolicyKind;
use anllm_infer::InferError;
use anllm_kernels::Kernels;
use anllm_model::Checkpoint;
use serde_json::json;

use super::setup::{self, Rules};
use crate::args::LogitsArgs;
use crate::device::{Task, run_on};
use crate::output::Output;

pub(crate) fn run(args: LogitsArgs, output: &Output) -> anyhow::Result<()> {
    setup::threads(&args.run)?;
    let checkpoint = args.run.model.open()?;
    let rules = setup::rules(&args.run, &checkpoint, PolicyKind::Full)?;
    let vocab = checkpoint.config().vocab_size;
    let ids = args.ids.clone();
    let device = args.run.device;
    let logits = run_on(device, Logits { args, checkpoint, rules })?;
    if output.is_json() {
        return output.json(&json!({ "shape": [ids.len(), vocab], "logits": logits }));
    }
    let mut text = String::new();
    for (position, (id, row)) in ids.iter().zip(logits.chunks(vocab)).enumerate() {
        let mut best: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shown: Vec<String> = best.iter().take(5).map(|(id, score)| format!("{id}: {score:.4}")).collect();
        text.push_str(&format!("{position:>5}  id {id:>6}  best next  {}\n", shown.join("   ")));
    }
    output.text(&text)
}

struct Logits {
    args: LogitsArgs,
    checkpoint: Checkpoint,
    rules: Rules,
}

impl Task for Logits {
    /// `[T, V]`, row-major.
    type Output = Vec<f32>;

    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Vec<f32>> {
        let engine = setup::engine::<B>(&self.args.run, &self.checkpoint, self.rules.matcher, &device)?;
        let ids = &self.args.ids;
        if self.args.dense {
            return Ok(engine.dense_logits(ids, &*self.rules.policy)?);
        }
        let mut session = engine.session(self.rules.policy);
        let mut all = Vec::with_capacity(ids.len() * engine.config().vocab_size);
        engine.score::<InferError>(&mut session, ids, self.args.run.prefill_chunk, |_, logits| {
            let data = logits.try_into_data().map_err(|e| InferError::Device(format!("{e:?}")))?;
            all.extend(data.convert::<f32>().iter::<f32>());
            Ok(())
        })?;
        Ok(all)
    }
}
