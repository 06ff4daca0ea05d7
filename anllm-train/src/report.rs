//! What a run tells of itself.

use std::path::PathBuf;

use anllm_model::Decoder;
use burn::tensor::backend::Backend;
use serde::Serialize;

/// What one step did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps taken, this one included.
    pub step: usize,
    /// What was minimised, in nats a token.
    pub loss: f64,
    /// Cross-entropy, in nats a token; the same as the loss without a teacher.
    pub cross_entropy: f64,
    /// Divergence from the teacher, in nats a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
    /// Mean cross-entropy of the anchors.
    pub loss_on_anchors: Option<f64>,
    /// Mean cross-entropy of the first token after each anchor: the one that has to rely on anchors most.
    pub loss_after_anchors: Option<f64>,
    /// The gradient's norm before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Anchors in a thousand tokens of the step.
    pub anchors_per_thousand: f64,
    /// Tokens of all steps so far.
    pub tokens: usize,
    /// Tokens of the step over its time.
    pub tokens_per_s: f64,
    /// Seconds of the step that went into reading rows.
    pub data_s: f64,
}

/// Who watches a run on a backend.
pub trait Observer<B: Backend> {
    /// A step was taken.
    fn step(&mut self, report: &StepReport);
    /// The model was measured on held-out rows: nats a token.
    fn validated(&mut self, step: usize, loss: f64);
    /// A checkpoint was written.
    fn saved(&mut self, path: &std::path::Path);
    /// It is time to see what the model writes (`log.sample_every`). How text is made is the watcher's affair: training
    /// knows no inference.
    fn sample(&mut self, _step: usize, _decoder: &Decoder<B>) {}
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Steps taken.
    pub step: usize,
    /// Loss of the last step.
    pub train_loss: Option<f64>,
    /// Loss on held-out rows, where there are any.
    pub val_loss: Option<f64>,
    /// Tokens of all steps.
    pub tokens: usize,
    /// Tokens of this process's steps over their time.
    pub tokens_per_s: f64,
    /// The finished model, or the last checkpoint of an interrupted run.
    pub checkpoint: PathBuf,
    /// Whether the run was stopped before its end.
    #[serde(skip)]
    pub interrupted: bool,
}
