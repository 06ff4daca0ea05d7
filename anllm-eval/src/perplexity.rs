//! Perplexity of a text under a cache policy.

use anllm_core::Policy;
use anllm_infer::{Engine, InferError, Session};
use anllm_kernels::{Kernels, pick};
use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use serde::Serialize;

use crate::groups::{ByDistance, ByPosition, Stretch, distances};
use crate::totals::{Loss, Quality, Totals};
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
    /// Positions of a window in a row of the report.
    pub bucket: usize,
}

/// Perplexity, with what the cache saved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Perplexity {
    /// Over all scored tokens.
    #[serde(flatten)]
    pub quality: Quality,
    /// Anchors among the tokens fed.
    pub anchors: usize,
    /// Share of the cache entries not kept at the ends of the windows, 0 to 1.
    pub kv_reduction: f64,
    /// Documents scored; a plain text is one.
    pub documents: usize,
    /// Windows scored.
    pub windows: usize,
    /// By the position in the window.
    pub by_position: Vec<Stretch<Loss>>,
    /// By the distance from the last anchor of the window.
    pub by_distance: Vec<Stretch<Loss>>,
}

/// A window that has just been scored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WindowScore {
    /// Its number, counted from 0.
    pub window: usize,
    /// Which document it is of, counted from 0.
    pub document: usize,
    /// Total negative log-likelihood of its scored tokens, in nats.
    pub nll: f64,
    /// Tokens scored.
    pub tokens: usize,
    /// Windows in all.
    #[serde(skip)]
    pub of: usize,
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
    /// Not one whole window.
    #[error("the text has {tokens} tokens, fewer than a window of {window}\n  hint: give a longer text")]
    ShorterThanWindow {
        /// Tokens of the text.
        tokens: usize,
        /// Tokens of a window.
        window: usize,
    },
}

/// Scores `documents`, each cut into windows, each window in a session of its own. `bytes_of` gives the bytes a token
/// stands for; `each` hears of every finished window.
///
/// # Errors
/// When the windows make no sense, a window is longer than the context, or the model fails.
pub fn perplexity<B: Kernels>(
    engine: &Engine<B>,
    documents: &[Vec<u32>],
    options: &PerplexityOptions,
    bytes_of: impl Fn(u32) -> usize,
    each: impl FnMut(&WindowScore),
) -> Result<Perplexity, EvalError> {
    let start = engine.session(options.policy.clone());
    perplexity_behind(engine, &start, documents, options, bytes_of, each)
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
    mut each: impl FnMut(&WindowScore),
) -> Result<Perplexity, EvalError> {
    let mut cut = Vec::new();
    for (document, ids) in documents.iter().enumerate() {
        let windows = windows(ids.len(), options.window, options.stride)?;
        cut.extend(windows.into_iter().map(|window| (document, ids, window)));
    }
    let mut total = Totals::default();
    let mut by_position: ByPosition<Totals> = ByPosition::new(options.bucket);
    let mut by_distance: ByDistance<Totals> = ByDistance::default();
    let (mut kept, mut seen, mut anchors) = (0, 0, 0);
    for (number, (document, ids, window)) in cut.iter().enumerate() {
        let mut session = start.clone();
        let fed = &ids[window.fed.clone()];
        let segments = engine.matcher().segments(fed);
        let distances = distances(segments.places());
        let before = total;
        engine.score::<EvalError>(&mut session, fed, options.chunk, |start, logits| {
            // Position t predicts token t + 1: the scores of the window's last token predict nothing inside it.
            let first = window.fed.start + start + 1;
            let targets = first.max(window.scored.start)..(first + logits.dims()[1]).min(window.scored.end);
            if !targets.is_empty() {
                let rows = targets.start - first..targets.end - first;
                let logits = logits.narrow(1, rows.start, rows.len());
                for (loss, target) in losses(logits, &ids[targets.clone()])?.into_iter().zip(targets) {
                    let (id, position) = (ids[target], target - window.fed.start);
                    if options.unscored != Some(id) {
                        let bytes = bytes_of(id);
                        total.add(loss, bytes);
                        by_position.at(position).add(loss, bytes);
                        by_distance.at(distances[position]).add(loss, bytes);
                    }
                }
            }
            Ok(())
        })?;
        let stats = session.stats();
        kept += stats.kept;
        seen += stats.seen;
        anchors += segments.anchors().len();
        let (nll, tokens) = (total.nll - before.nll, total.tokens - before.tokens);
        each(&WindowScore { window: number, document: *document, nll, tokens, of: cut.len() });
    }
    let quality = total.quality().ok_or_else(|| EvalError::TooShort(documents.iter().map(Vec::len).sum()))?;
    Ok(Perplexity {
        quality,
        anchors,
        kv_reduction: 1.0 - kept as f64 / seen.max(1) as f64,
        documents: documents.len(),
        windows: cut.len(),
        by_position: by_position.report(Totals::loss),
        by_distance: by_distance.report(Totals::loss),
    })
}

/// What each target costs, in nats. `logits` is `[1, T, V]` for `T` targets.
pub(crate) fn losses<B: Kernels>(logits: Tensor<B, 3>, targets: &[u32]) -> Result<Vec<f64>, EvalError> {
    let targets: Vec<i32> = targets.iter().map(|&id| id as i32).collect();
    let shape = [targets.len(), 1];
    let targets = Tensor::<B, 2, Int>::from_data(TensorData::new(targets, shape), &logits.device());
    let likelihoods = pick(log_softmax(logits.cast(FloatDType::F32), 2).squeeze_dim(0), targets);
    let data = likelihoods.try_into_data().map_err(|e| InferError::Device(format!("{e:?}")))?;
    Ok(data.iter::<f32>().map(|likelihood| -f64::from(likelihood)).collect())
}
