//! What a run shows and writes while it goes on: a line on the terminal, JSON Lines, TensorBoard events.

use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime};

use anllm_train::config::TrainConfig;
use anllm_train::logs::{EventWriter, JsonLines};
use anllm_train::{Observer, StepReport};
use serde_json::json;

use crate::output::Output;

pub(super) struct Watch {
    output: Output,
    lines: JsonLines,
    events: Option<EventWriter>,
    every: usize,
    steps: usize,
    first: usize,
    began: Instant,
    problem: Option<anyhow::Error>,
}

impl Watch {
    /// Opens the run's logs, cut to the steps that are taken, and saves its settings beside them.
    pub(super) fn start(config: &TrainConfig, taken: usize, output: Output) -> anyhow::Result<Self> {
        let folder = &config.save.output;
        save_settings(config, folder).map_err(|e| {
            let hint = "check that save.output names a folder that can be written, on a disk with room";
            anyhow::anyhow!("{}: the run's folder cannot be written: {e}\n  hint: {hint}", folder.display())
        })?;
        let lines = JsonLines::resume(&folder.join("log.jsonl"), taken as u64 + 1)?;
        let events = match config.log.tensorboard {
            true => Some(EventWriter::resume(&folder.join("tensorboard"), taken as u64 + 1)?),
            false => None,
        };
        let (every, steps) = (config.log.every.max(1), config.train.steps);
        Ok(Self { output, lines, events, every, steps, first: taken, began: Instant::now(), problem: None })
    }

    /// The first problem of writing, if there was one.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        self.problem.map_or(Ok(()), Err)
    }

    fn note<E: Into<anyhow::Error>>(&mut self, result: Result<(), E>) {
        if let (Err(error), None) = (result, &self.problem) {
            let error = error.into();
            tracing::warn!("the run goes on, but its log cannot be written: {error}");
            self.problem = Some(error);
        }
    }

    fn scalars(&mut self, step: usize, values: &[(&str, Option<f64>)]) {
        let Some(mut events) = self.events.take() else { return };
        for (tag, value) in values {
            if let Some(value) = value {
                let written = events.scalar(step as u64, tag, *value as f32, SystemTime::now());
                self.note(written);
            }
        }
        let flushed = events.flush();
        self.note(flushed);
        self.events = Some(events);
    }
}

impl Observer for Watch {
    fn step(&mut self, report: &StepReport) {
        let taken = report.step - self.first;
        let left = self.began.elapsed().as_secs_f64() / taken as f64 * (self.steps - report.step) as f64;
        let line = format!(
            "step {}/{}  loss {:.4}  after anchors {}  |g| {:.2}  lr {:.1e}  {:.0} tokens/s  {} left",
            report.step,
            self.steps,
            report.loss,
            report.loss_after_anchors.map_or("-".to_owned(), |l| format!("{l:.4}")),
            report.gradient_norm,
            report.learning_rate,
            report.tokens_per_s,
            time(left),
        );
        self.output.progress(&line);
        if !report.step.is_multiple_of(self.every) {
            return;
        }
        let written = self.lines.write(report);
        self.note(written);
        self.scalars(
            report.step,
            &[
                ("loss/train", Some(report.loss)),
                ("loss/on_anchors", report.loss_on_anchors),
                ("loss/after_anchors", report.loss_after_anchors),
                ("loss/divergence", report.divergence),
                ("optimizer/learning_rate", Some(report.learning_rate)),
                ("optimizer/gradient_norm", Some(report.gradient_norm)),
                ("speed/tokens_per_s", Some(report.tokens_per_s)),
                ("data/anchors_per_thousand", Some(report.anchors_per_thousand)),
            ],
        );
    }

    fn validated(&mut self, step: usize, loss: f64) {
        self.output.progress_done();
        self.output.note(&format!("step {step}: validation loss {loss:.4}, perplexity {:.2}", loss.exp()));
        let written = self.lines.write(&json!({ "step": step, "val_loss": loss }));
        self.note(written);
        self.scalars(step, &[("loss/validation", Some(loss))]);
    }

    fn saved(&mut self, path: &Path) {
        tracing::info!("saved {}", path.display());
    }
}

fn save_settings(config: &TrainConfig, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let text = serde_json::to_string_pretty(&json!({
        "format": 1,
        "config": config,
        "version": env!("CARGO_PKG_VERSION"),
        "arguments": std::env::args().collect::<Vec<_>>(),
        "threads": std::thread::available_parallelism().map_or(0, usize::from),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    }))?;
    fs::write(folder.join("run.json"), text + "\n")
}

/// `1h 02m`, `3m 07s`, `12s`.
fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}
