//! How far a policy's predictions are from those of full attention, token by token.
//!
//! Perplexity says how likely the text's own tokens are; two policies can agree there and yet say other things. The
//! divergence looks at all that could have come next.

use anllm_core::{FullPolicy, Policy};
use anllm_infer::{Engine, InferError, Session};
use anllm_kernels::{Kernels, pick};
use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use serde::Serialize;

use crate::groups::{ByDistance, ByPosition, Stretch, distances};
use crate::perplexity::EvalError;
use crate::totals::{Quality, Totals};
use crate::windows::windows;

/// How to cut and run.
#[derive(Debug, Clone)]
pub struct DivergenceOptions {
    /// Tokens in a window.
    pub window: usize,
    /// Mask and cache to compare with full attention.
    pub policy: Policy,
    /// Tokens whose scores over the vocabulary exist at a time. It bounds memory; results do not depend on it.
    pub chunk: usize,
    /// Positions of a window in a row of the report.
    pub bucket: usize,
}

/// Divergence of some tokens' predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gap {
    /// Predictions compared.
    pub tokens: usize,
    /// Mean of `KL(full ‖ policy)`, in nats; nothing where there are no tokens.
    pub kl: Option<f64>,
    /// Share of predictions whose likeliest token is the same.
    pub top1_agreement: Option<f64>,
}

/// The divergence of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// Predictions compared.
    pub tokens: usize,
    /// Mean of `KL(full ‖ policy)`, in nats.
    pub kl: f64,
    /// Half of the predictions are nearer.
    pub kl_median: f64,
    /// 99 of 100 are nearer.
    pub kl_p99: f64,
    /// The farthest.
    pub kl_max: f64,
    /// Share of predictions whose likeliest token is the same.
    pub top1_agreement: f64,
    /// The text under full attention.
    pub full: Quality,
    /// The text under the policy.
    pub reduced: Quality,
    /// Anchors among the tokens fed.
    pub anchors: usize,
    /// Share of the cache entries not kept at the ends of the windows, 0 to 1.
    pub kv_reduction: f64,
    /// Windows compared.
    pub windows: usize,
    /// By the position in the window of the token that is predicted.
    pub by_position: Vec<Stretch<Gap>>,
    /// By its distance from the last anchor.
    pub by_distance: Vec<Stretch<Gap>>,
}

/// Compares every prediction inside windows of `ids`, side by side, each window in sessions of its own. `bytes_of` gives
/// the bytes a token stands for; `progress` hears of each finished window: windows done, windows in all.
///
/// # Errors
/// When the windows make no sense, one is longer than the context, or the model fails.
pub fn divergence<B: Kernels>(
    engine: &Engine<B>,
    ids: &[u32],
    options: &DivergenceOptions,
    bytes_of: impl Fn(u32) -> usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Divergence, EvalError> {
    let cut = windows(ids.len(), options.window, options.window)?;
    let (mut full, mut reduced) = (Totals::default(), Totals::default());
    let mut by_position: ByPosition<Sums> = ByPosition::new(options.bucket);
    let mut by_distance: ByDistance<Sums> = ByDistance::default();
    let mut all = Vec::new();
    let mut agreed = 0;
    let (mut kept, mut seen, mut anchors) = (0, 0, 0);
    for (done, window) in cut.iter().enumerate() {
        let fed = &ids[window.fed.clone()];
        let segments = engine.matcher().segments(fed);
        let distances = distances(segments.places());
        let mut whole = engine.session(FullPolicy);
        let mut session = engine.session(options.policy.clone());
        // The last token predicts nothing inside the window, but what it leaves in the cache counts.
        let targets = &fed[1..];
        for (number, chunk) in fed.chunks(options.chunk.max(1)).enumerate() {
            let [a, b] = [&mut whole, &mut session].map(|session| scores(engine, session, chunk));
            let (a, b) = (a?, b?);
            let start = number * options.chunk.max(1);
            let known = chunk.len().min(targets.len() - start);
            if known == 0 {
                continue;
            }
            let targets = &targets[start..start + known];
            let compared = compare(a.narrow(1, 0, known), b.narrow(1, 0, known), targets)?;
            for (number, pair) in compared.into_iter().enumerate() {
                let position = start + number + 1;
                let bytes = bytes_of(fed[position]);
                full.add(pair.full, bytes);
                reduced.add(pair.reduced, bytes);
                by_position.at(position).add(&pair);
                by_distance.at(distances[position]).add(&pair);
                agreed += usize::from(pair.agrees);
                all.push(pair.kl);
            }
        }
        let stats = session.stats();
        kept += stats.kept;
        seen += stats.seen;
        anchors += segments.anchors().len();
        progress(done + 1, cut.len());
    }
    let too_short = || EvalError::TooShort(ids.len());
    let (full, reduced) = (full.quality().ok_or_else(too_short)?, reduced.quality().ok_or_else(too_short)?);
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    all.sort_by(f64::total_cmp);
    Ok(Divergence {
        tokens: all.len(),
        kl: mean,
        kl_median: quantile(&all, 0.5),
        kl_p99: quantile(&all, 0.99),
        kl_max: quantile(&all, 1.0),
        top1_agreement: agreed as f64 / all.len() as f64,
        full,
        reduced,
        anchors,
        kv_reduction: 1.0 - kept as f64 / seen.max(1) as f64,
        windows: cut.len(),
        by_position: by_position.report(Sums::gap),
        by_distance: by_distance.report(Sums::gap),
    })
}

/// Scores `[1, T, V]` of what comes after each of `ids`.
fn scores<B: Kernels>(engine: &Engine<B>, session: &mut Session<B>, ids: &[u32]) -> Result<Tensor<B, 3>, EvalError> {
    let mut found = None;
    engine.score::<InferError>(session, ids, ids.len(), |_, scores| {
        found = Some(scores);
        Ok(())
    })?;
    found.ok_or(EvalError::TooShort(0))
}

/// One prediction under both.
struct Pair {
    /// Negative log-likelihood of what came.
    full: f64,
    reduced: f64,
    kl: f64,
    agrees: bool,
}

/// Of scores `[1, T, V]` and what came next.
fn compare<B: Kernels>(full: Tensor<B, 3>, reduced: Tensor<B, 3>, targets: &[u32]) -> Result<Vec<Pair>, EvalError> {
    let read = |tensor: Tensor<B, 2>| -> Result<Vec<f64>, EvalError> {
        let data = tensor.try_into_data().map_err(|e| InferError::Device(format!("{e:?}")))?;
        Ok(data.iter::<f32>().map(f64::from).collect())
    };
    let best = |tensor: &Tensor<B, 3>| -> Result<Vec<i64>, EvalError> {
        let data = tensor.clone().argmax(2).try_into_data().map_err(|e| InferError::Device(format!("{e:?}")))?;
        Ok(data.iter::<i64>().collect())
    };
    let agrees: Vec<bool> = best(&full)?.into_iter().zip(best(&reduced)?).map(|(a, b)| a == b).collect();
    let ids: Vec<i32> = targets.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<B, 2, Int>::from_data(TensorData::new(ids, [targets.len(), 1]), &full.device());
    let [p, q] = [full, reduced].map(|scores| log_softmax(scores.cast(FloatDType::F32).squeeze_dim::<2>(0), 1));
    let taken = [&p, &q].map(|likelihoods| read(pick(likelihoods.clone(), ids.clone())));
    let [a, b] = taken;
    let kl = read((p.clone().exp() * (p - q)).sum_dim(1))?;
    let pairs = a?.into_iter().zip(b?).zip(kl).zip(agrees);
    // Rounding can take a divergence of nothing below zero.
    Ok(pairs.map(|(((a, b), kl), agrees)| Pair { full: -a, reduced: -b, kl: kl.max(0.0), agrees }).collect())
}

/// Sums of a group.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    tokens: usize,
    kl: f64,
    agreed: usize,
}

impl Sums {
    fn add(&mut self, pair: &Pair) {
        self.tokens += 1;
        self.kl += pair.kl;
        self.agreed += usize::from(pair.agrees);
    }

    fn gap(&self) -> Gap {
        let mean = |sum: f64| (self.tokens > 0).then(|| sum / self.tokens as f64);
        Gap { tokens: self.tokens, kl: mean(self.kl), top1_agreement: mean(self.agreed as f64) }
    }
}

/// Of sorted values, at least one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted[(share * last as f64).round() as usize]
}
