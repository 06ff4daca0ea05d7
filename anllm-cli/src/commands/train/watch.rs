//! What a run shows and writes while it goes on: a bar on the terminal, JSON Lines, TensorBoard events.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anllm_kernels::{Kernels, TrainableKernels};
use anllm_model::Decoder;
use anllm_train::config::TrainConfig;
use anllm_train::logs::{EventWriter, JsonLines};
use anllm_train::{Observer, StepReport, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use super::super::memory::Memory;
use super::samples::Samples;
use crate::output::{Output, bytes};

pub(super) struct Watch {
    output: Output,
    lines: JsonLines,
    events: Option<EventWriter>,
    every: usize,
    bar: ProgressBar,
    samples: Option<Samples>,
    problem: Option<anyhow::Error>,
}

impl Watch {
    /// Opens the run's logs, cut to the steps that are taken, and saves its settings beside them. `asked` is what the
    /// user wrote, with the run's length in whatever it was given.
    pub(super) fn start<A: TrainableKernels>(
        trainer: &Trainer<A>,
        asked: &TrainConfig,
        output: Output,
    ) -> anyhow::Result<Self> {
        let (config, taken) = (trainer.config(), trainer.steps_taken());
        let samples = Samples::new(trainer.start(), config)?;
        let folder = &config.save.output;
        save_settings(config, asked, folder).map_err(|e| {
            let hint = "check that save.output names a folder that can be written, on a disk with room";
            anyhow::anyhow!("{}: the run's folder cannot be written: {e}\n  hint: {hint}", folder.display())
        })?;
        let lines = JsonLines::resume(&folder.join("log.jsonl"), taken as u64 + 1)?;
        let events = match config.log.tensorboard {
            true => Some(EventWriter::resume(&folder.join("tensorboard"), taken as u64 + 1)?),
            false => None,
        };
        let (every, bar) = (config.log.every.max(1), bar(trainer.steps(), taken, output));
        Ok(Self { output, lines, events, every, bar, samples, problem: None })
    }

    /// The first problem of writing, if there was one.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
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

    /// A line for people, above the bar.
    fn note_line(&self, line: &str) {
        self.bar.suspend(|| self.output.note(line));
    }

    fn text(&mut self, step: usize, tag: &str, text: &str) {
        let Some(mut events) = self.events.take() else { return };
        let written = events.text(step as u64, tag, text, SystemTime::now()).and_then(|()| events.flush());
        self.note(written);
        self.events = Some(events);
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

impl<B: Kernels> Observer<B> for Watch {
    fn step(&mut self, report: &StepReport) {
        let memory = Memory::now();
        let part = |name: &str, value: Option<String>| value.map_or(String::new(), |value| format!("  {name} {value}"));
        self.bar.set_position(report.step as u64);
        self.bar.set_message(format!(
            "loss {:.4}{}  |g| {:.2}  {:.0} tokens/s{}",
            report.loss,
            part("after anchors", report.loss_after_anchors.map(|loss| format!("{loss:.4}"))),
            report.gradient_norm,
            report.tokens_per_s,
            part("memory", memory.memory_bytes.map(|count| bytes(count as usize))),
        ));
        if !report.step.is_multiple_of(self.every) {
            return;
        }
        let written = self.lines.write(&Line { report, memory });
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
                ("memory/bytes", memory.memory_bytes.map(|count| count as f64)),
                ("memory/peak_bytes", memory.peak_memory_bytes.map(|count| count as f64)),
            ],
        );
    }

    fn validated(&mut self, step: usize, loss: f64) {
        self.note_line(&format!("step {step}: validation loss {loss:.4}, perplexity {:.2}", loss.exp()));
        let written = self.lines.write(&json!({ "step": step, "val_loss": loss }));
        self.note(written);
        self.scalars(step, &[("loss/validation", Some(loss))]);
    }

    fn saved(&mut self, path: &Path) {
        self.bar.suspend(|| tracing::info!("saved {}", path.display()));
    }

    fn sample(&mut self, step: usize, decoder: &Decoder<B>) {
        let Some(samples) = &self.samples else { return };
        let written = match samples.write(decoder) {
            Ok(written) => written,
            Err(error) => {
                // A model that cannot write yet can still learn.
                self.bar.suspend(|| tracing::warn!("step {step}: no sample: {error}"));
                return;
            }
        };
        for (number, sample) in written.iter().enumerate() {
            self.note_line(&format!("step {step}: {:?} → {:?}", sample.prompt, sample.text));
            let logged = self.lines.write(&json!({ "step": step, "sample": sample }));
            self.note(logged);
            self.text(step, &format!("samples/{number}"), &format!("**{}**{}", sample.prompt, sample.text));
        }
    }
}

/// A step's line in the log.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    report: &'a StepReport,
    #[serde(flatten)]
    memory: Memory,
}

/// A bar on standard error, where that is a terminal and somebody reads it.
fn bar(steps: usize, taken: usize, output: Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let template = "step {pos}/{len} {bar:20} {eta} left  {wide_msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps as u64).with_style(style).with_position(taken as u64);
    // What an earlier process took says nothing of this one's speed.
    bar.reset_eta();
    bar
}

fn save_settings(config: &TrainConfig, asked: &TrainConfig, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let text = serde_json::to_string_pretty(&json!({
        "format": 1,
        "config": config,
        "length": { "steps": asked.train.steps, "tokens": asked.train.tokens, "epochs": asked.train.epochs },
        "version": env!("CARGO_PKG_VERSION"),
        "arguments": std::env::args().collect::<Vec<_>>(),
        "threads": std::thread::available_parallelism().map_or(0, usize::from),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    }))?;
    fs::write(folder.join("run.json"), text + "\n")
}
