//! The loop: draw rows, learn from them, measure, save. What a step does is a function of the configuration, the data
//! and the step's number, so that a run that was stopped goes on as if it had not been.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anllm_core::{AnchorPolicy, FullPolicy};
use anllm_kernels::TrainableKernels;
use anllm_model::Decoder;
use anllm_model::decoder::Sight;
use burn::module::AutodiffModule;
use burn::tensor::DType;

use crate::config::{MaskMode, TrainConfig};
use crate::data::{Draw, Order, TrainingData};
use crate::engine::{Gradients, LossOptions, Optimizer, Pass, PassOptions, Prepared, Recompute, TrainingRow, evaluate};
use crate::error::TrainError;
use crate::length::{Length, resolved};
use crate::report::{Observer, Outcome, StepReport};
use crate::saved::{Progress, Saved};
use crate::start::Start;
use crate::tally::{Mean, Tally};
use crate::teacher::Teacher;

/// A model in training.
pub struct Trainer<A: TrainableKernels> {
    config: TrainConfig,
    start: Start,
    data: TrainingData,
    /// Always there but while the optimiser replaces it.
    decoder: Option<Decoder<A>>,
    teacher: Option<Teacher<A>>,
    optimizer: Optimizer<A::InnerBackend>,
    order: Order,
    progress: Progress,
    /// The token whose rows learn beside adapters.
    row: Option<u32>,
}

impl<A: TrainableKernels> std::fmt::Debug for Trainer<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<A: TrainableKernels> Trainer<A> {
    /// A run from its beginning, or from a saved state.
    ///
    /// # Errors
    /// When the model or the data cannot be used, or the saved state belongs to another run.
    pub fn new(config: TrainConfig, device: &A::Device, saved: Option<&Saved>) -> Result<Self, TrainError> {
        check(&config)?;
        if !A::supports_dtype(device, config.train.compute.dtype()) {
            return Err(TrainError::settings(
                format!("train.compute: {} is not supported by the device {}", config.train.compute, A::name(device)),
                "leave it at f32",
            ));
        }
        let start = Start::new(&config)?;
        let data = start.rows(&config)?;
        let config = resolved(&config, &data)?;
        let mut order = data.order(config.seed);
        let mut optimizer = Optimizer::new(&config.optimizer);
        let mut progress = Progress::new(&config, &start, &data);
        let decoder = match saved {
            Some(saved) => {
                progress.take_up(saved)?;
                optimizer.restore(saved.moments(device)?);
                saved.checkpoint()?.load(device, DType::F32)?
            }
            None => start.checkpoint.load(device, DType::F32)?,
        };
        let decoder = match &config.lora {
            Some(lora) => crate::lora::attach(decoder, lora, config.seed, saved.map(Saved::folder))?,
            None => decoder,
        };
        order.skip(progress.step * config.train.rows_per_step);
        let row = start.learned_row(&config);
        let teacher = Teacher::of(&config.train, &start, device)?;
        Ok(Self { config, start, data, decoder: Some(decoder), teacher, optimizer, order, progress, row })
    }

    /// The rows.
    pub fn data(&self) -> &TrainingData {
        &self.data
    }

    /// The settings, with the run's length in steps.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        self.config.train.steps.unwrap_or(0)
    }

    /// What the run started with.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Steps taken.
    pub fn steps_taken(&self) -> usize {
        self.progress.step
    }

    /// The weights as they stand.
    ///
    /// # Errors
    /// When a step failed half-way, which leaves none.
    pub fn decoder(&self) -> Result<&Decoder<A>, TrainError> {
        self.decoder.as_ref().ok_or_else(|| {
            TrainError::settings("the weights were lost when a step was broken off", "resume from a checkpoint")
        })
    }

    /// Takes one step.
    ///
    /// # Errors
    /// When the loss or a gradient is not finite; the weights are then as they were before the step. Its rows are
    /// passed over, so that a run that goes on from here is another than one taken up from a checkpoint.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        let began = Instant::now();
        let number = self.progress.step;
        let train = &self.config.train;
        let draws: Vec<Draw> = (0..train.rows_per_step).filter_map(|_| self.order.draw()).collect();
        let rows: Vec<TrainingRow> = draws.iter().map(|d| self.data.row(d.source, d.row)).collect();
        let parts: Vec<Prepared> = rows
            .chunks(train.rows_at_once.max(1))
            .map(|rows| Prepared::new(&rows.iter().collect::<Vec<_>>()))
            .collect();
        let data_s = began.elapsed().as_secs_f64();
        let asked: usize = parts.iter().map(Prepared::asked).sum();
        let named = || draws.iter().map(|d| format!("{}:{}", d.source, d.row)).collect::<Vec<_>>().join(" ");
        if asked == 0 {
            return Err(TrainError::settings(
                format!("step {number}: none of its rows ({}) has a token to learn", named()),
                "prompts longer than data.context leave no room for completions: raise data.context",
            ));
        }

        let decoder = self.decoder()?;
        let teacher = self.teacher.as_ref().map(|teacher| teacher.weights(decoder));
        let mut gradients = Gradients::default();
        let mut tally = Tally::default();
        for (part, rows) in parts.iter().zip(0u64..) {
            let options = PassOptions {
                sight: sight(train.mask, train.anneal_steps, number),
                recompute: if train.gradient_checkpointing { Recompute::Blocks } else { Recompute::Never },
                compute: train.compute.dtype(),
                loss: LossOptions { scale: 1.0 / asked as f64, chunk_bytes: train.logits_mb << 20 },
                seed: self.config.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((number as u64) << 8) ^ rows,
                row: self.row,
            };
            let teacher = teacher.as_ref().map(|teacher| (teacher, train.distill));
            let losses = Pass { decoder }.backward(part, teacher, options, &mut gradients);
            tally.add(part, &losses.cross_entropy, &losses.divergence);
        }
        let cross_entropy = tally.all.mean().unwrap_or(f64::NAN);
        let divergence = tally.divergence.mean();
        let loss = divergence.map_or(cross_entropy, |d| (1.0 - train.distill) * cross_entropy + train.distill * d);
        let refuse = |what, value| TrainError::NotFinite { step: number, what, value, rows: named() };
        if !loss.is_finite() {
            return Err(refuse("loss", loss));
        }
        let norm = gradients.norm();
        if !norm.is_finite() {
            return Err(refuse("norm of the gradient", norm));
        }
        let clip = self.config.optimizer.clip_norm;
        let factor = if clip > 0.0 && norm > clip { clip / (norm + 1e-6) } else { 1.0 };
        let rate = self.config.optimizer.learning_rate * self.config.schedule.share(number, self.steps());
        drop(teacher);
        if let Some(decoder) = self.decoder.take() {
            self.decoder = Some(self.optimizer.step(decoder, gradients, factor, rate, self.row));
        }

        let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
        let anchors: usize = rows.iter().map(|row| row.segments.anchors().len()).sum();
        self.progress.step += 1;
        self.progress.tokens += tokens;
        Ok(StepReport {
            step: self.progress.step,
            loss,
            cross_entropy,
            divergence,
            loss_on_anchors: tally.anchors.mean(),
            loss_after_anchors: tally.after.mean(),
            gradient_norm: norm,
            learning_rate: rate,
            anchors_per_thousand: 1000.0 * anchors as f64 / tokens as f64,
            tokens: self.progress.tokens,
            tokens_per_s: tokens as f64 / began.elapsed().as_secs_f64(),
            data_s,
        })
    }

    /// Mean loss on held-out rows, in nats a token; none where no rows are held out.
    ///
    /// # Errors
    /// When there are no weights.
    pub fn validate(&self) -> Result<Option<f64>, TrainError> {
        let rows = self.data.validation(self.config.log.validate_rows);
        let decoder = self.decoder()?.valid();
        let sight = match self.config.train.mask {
            MaskMode::Full => Sight::Policy(&FullPolicy),
            MaskMode::Anchor | MaskMode::Anneal => Sight::Policy(&AnchorPolicy),
        };
        let mut mean = Mean::default();
        for rows in rows.chunks(self.config.train.rows_at_once.max(1)) {
            let prepared = Prepared::new(&rows.iter().collect::<Vec<_>>());
            let losses = evaluate(&decoder, &prepared, sight, self.config.train.logits_mb << 20);
            losses.iter().for_each(|loss| mean.add(*loss));
        }
        Ok(mean.mean())
    }

    /// Writes a checkpoint to resume from; the oldest give way.
    ///
    /// # Errors
    /// When writing fails; earlier checkpoints are then as they were.
    pub fn save(&self) -> Result<PathBuf, TrainError> {
        Saved::write(&self.config, &self.start, self.decoder()?, &self.optimizer, &self.progress)
    }

    /// Goes on to the last step, or until `stop` is set: then the step that runs is finished and saved.
    ///
    /// # Errors
    /// When a step or writing fails.
    pub fn run(
        &mut self,
        observer: &mut dyn Observer<A::InnerBackend>,
        stop: &AtomicBool,
    ) -> Result<Outcome, TrainError> {
        let (steps, save, log) = (self.steps(), self.config.save.clone(), self.config.log.clone());
        let (began, first) = (Instant::now(), self.progress.tokens);
        let mut train_loss = None;
        let mut interrupted = false;
        while self.progress.step < steps {
            if stop.load(Ordering::Relaxed) {
                interrupted = true;
                break;
            }
            let report = self.step()?;
            train_loss = Some(report.loss);
            observer.step(&report);
            let due = |every: usize| every > 0 && report.step.is_multiple_of(every) && report.step < steps;
            if due(log.validate_every) {
                self.measure(observer)?;
            }
            if due(log.sample_every) {
                observer.sample(report.step, &self.decoder()?.valid());
            }
            if due(save.every) {
                observer.saved(&self.save()?);
            }
        }
        let tokens_per_s = (self.progress.tokens - first) as f64 / began.elapsed().as_secs_f64().max(1e-9);
        let mut val_loss = None;
        let checkpoint = if interrupted {
            self.save()?
        } else {
            val_loss = self.measure(observer)?;
            if log.sample_every > 0 {
                observer.sample(self.progress.step, &self.decoder()?.valid());
            }
            self.save()?;
            self.finish("final")?
        };
        observer.saved(&checkpoint);
        let (step, tokens) = (self.progress.step, self.progress.tokens);
        Ok(Outcome { step, train_loss, val_loss, tokens, tokens_per_s, checkpoint, interrupted })
    }

    /// Validates, tells, and keeps the model where it is the best so far.
    fn measure(&mut self, observer: &mut dyn Observer<A::InnerBackend>) -> Result<Option<f64>, TrainError> {
        let Some(loss) = self.validate()? else { return Ok(None) };
        observer.validated(self.progress.step, loss);
        if self.progress.is_best(loss) {
            self.finish("best")?;
        }
        Ok(Some(loss))
    }

    /// Writes the model as a Hugging Face folder.
    fn finish(&self, name: &str) -> Result<PathBuf, TrainError> {
        let folder = self.config.save.output.join(name);
        Saved::finish(&self.config, &self.start, self.decoder()?, &folder)?;
        Ok(folder)
    }
}

fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let train = &config.train;
    Length::of(train)?;
    if config.log.sample_every > 0 && config.log.sample_prompts.is_empty() {
        return Err(TrainError::settings(
            "log.sample_every asks for samples, but there is nothing to continue",
            "set log.sample_prompts, as in log.sample_prompts = [\"Once upon a time\"]",
        ));
    }
    let positive = [
        ("train.rows_per_step", train.rows_per_step),
        ("train.rows_at_once", train.rows_at_once),
        ("data.context", config.data.context.saturating_sub(1)),
        ("train.logits_mb", train.logits_mb),
    ];
    if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
        return Err(TrainError::settings(
            format!("{name} is too small"),
            format!("set {name} to 1 or more (a context to 2)"),
        ));
    }
    if !(0.0..=1.0).contains(&train.distill) {
        return Err(TrainError::settings(
            format!("train.distill is {}", train.distill),
            "it is the share of the divergence in the loss: a number from 0 to 1",
        ));
    }
    Ok(())
}

fn sight(mask: MaskMode, anneal_steps: usize, step: usize) -> Sight<'static> {
    match mask {
        MaskMode::Full => Sight::Policy(&FullPolicy),
        MaskMode::Anneal if step < anneal_steps => Sight::Closing(1.0 - step as f64 / anneal_steps as f64),
        MaskMode::Anchor | MaskMode::Anneal => Sight::Policy(&AnchorPolicy),
    }
}
