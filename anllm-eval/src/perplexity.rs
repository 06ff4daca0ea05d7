//! Perplexity of a text under a cache policy.

use anllm_core::Policy;
use anllm_infer::{Engine, InferError, Session};
use anllm_kernels::Kernels;
use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use serde::Serialize;

use crate::windows::{WindowError, windows};

/// How to cut and run.
#[derive(Debug, Clone)]
pub struct PerplexityOptions {
    /// Tokens in a window.
    pub window: usize,
    /// Tokens between window starts; equal to `window` for windows side by side.
    pub stride: usize,
    /// Mask and cache.
    pub policy: Policy,
    /// A token that is read but not scored: an anchor that was put into the text.
    pub unscored: Option<u32>,
    /// Tokens whose scores over the vocabulary exist at a time. It bounds memory; results do not depend on it.
    pub chunk: usize,
}

/// Perplexity, with what the cache saved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Perplexity {
    /// `exp(nll)`.
    pub ppl: f64,
    /// Mean negative log-likelihood of a scored token, in nats.
    pub nll: f64,
    /// Tokens scored.
    pub tokens: usize,
    /// Total negative log-likelihood in bits over the bytes of the scored tokens: comparable between vocabularies.
    pub bits_per_byte: f64,
    /// Anchors among the tokens fed.
    pub anchors: usize,
    /// Share of the cache entries not kept at the ends of the windows, 0 to 1.
    pub kv_reduction: f64,
    /// Documents scored; a plain text is one.
    pub documents: usize,
    /// Windows scored.
    pub windows: usize,
}

/// What stops an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The windows do not fit.
    #[error(transparent)]
    Windows(#[from] WindowError),
    /// The model refused.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Nothing to score.
    #[error("the text has {0} token(s): at least 2 are needed to score one")]
    TooShort(usize),
}

/// Scores `documents`, each cut into windows, each window in a session of its own. `bytes_of` gives the bytes a token
/// stands for; `progress` hears of each finished window: windows done, windows in all.
///
/// # Errors
/// When the windows make no sense, a window is longer than the context, or the model fails.
pub fn perplexity<B: Kernels>(
    engine: &Engine<B>,
    documents: &[Vec<u32>],
    options: &PerplexityOptions,
    bytes_of: impl Fn(u32) -> usize,
    progress: impl FnMut(usize, usize),
) -> Result<Perplexity, EvalError> {
    let start = engine.session(options.policy.clone());
    perplexity_behind(engine, &start, documents, options, bytes_of, progress)
}

/// The same with every window behind what `start` has read, under its policy. What it kept counts in the reduction.
///
/// # Errors
/// As [`perplexity`]; the context must hold what was read and a window.
pub fn perplexity_behind<B: Kernels>(
    engine: &Engine<B>,
    start: &Session<B>,
    documents: &[Vec<u32>],
    options: &PerplexityOptions,
    bytes_of: impl Fn(u32) -> usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Perplexity, EvalError> {
    let mut cut = Vec::new();
    for ids in documents {
        cut.extend(windows(ids.len(), options.window, options.stride)?.into_iter().map(|window| (ids, window)));
    }
    let mut total = Totals::default();
    for (done, (ids, window)) in cut.iter().enumerate() {
        let mut session = start.clone();
        let fed = &ids[window.fed.clone()];
        engine.score::<EvalError>(&mut session, fed, options.chunk, |start, logits| {
            // Position t predicts token t + 1: the scores of the window's last token predict nothing inside it.
            let first = window.fed.start + start + 1;
            let targets = first.max(window.scored.start)..(first + logits.dims()[1]).min(window.scored.end);
            if !targets.is_empty() {
                let rows = targets.start - first..targets.end - first;
                let logits = logits.narrow(1, rows.start, rows.len());
                let targets = &ids[targets];
                for (loss, id) in losses(logits, targets)?.into_iter().zip(targets) {
                    if options.unscored != Some(*id) {
                        total.nll += loss;
                        total.tokens += 1;
                        total.bytes += bytes_of(*id);
                    }
                }
            }
            Ok(())
        })?;
        let stats = session.stats();
        total.kept += stats.kept;
        total.seen += stats.seen;
        total.anchors += engine.matcher().segments(fed).anchors().len();
        progress(done + 1, cut.len());
    }
    match total.tokens {
        0 => Err(EvalError::TooShort(documents.iter().map(Vec::len).sum())),
        _ => Ok(total.report(documents.len(), cut.len())),
    }
}

#[derive(Default)]
struct Totals {
    nll: f64,
    tokens: usize,
    bytes: usize,
    kept: usize,
    seen: usize,
    anchors: usize,
}

impl Totals {
    fn report(&self, documents: usize, windows: usize) -> Perplexity {
        let nll = self.nll / self.tokens as f64;
        Perplexity {
            ppl: nll.exp(),
            nll,
            tokens: self.tokens,
            bits_per_byte: self.nll / std::f64::consts::LN_2 / self.bytes.max(1) as f64,
            anchors: self.anchors,
            kv_reduction: 1.0 - self.kept as f64 / self.seen.max(1) as f64,
            documents,
            windows,
        }
    }
}

/// What each target costs, in nats. `logits` is `[1, T, V]` for `T` targets.
pub(crate) fn losses<B: Kernels>(logits: Tensor<B, 3>, targets: &[u32]) -> Result<Vec<f64>, EvalError> {
    let targets: Vec<i32> = targets.iter().map(|&id| id as i32).collect();
    let shape = [1, targets.len(), 1];
    let targets = Tensor::<B, 3, Int>::from_data(TensorData::new(targets, shape), &logits.device());
    let likelihoods = log_softmax(logits.cast(FloatDType::F32), 2).gather(2, targets);
    let data = likelihoods.try_into_data().map_err(|e| InferError::Device(format!("{e:?}")))?;
    Ok(data.iter::<f32>().map(|likelihood| -f64::from(likelihood)).collect())
}
