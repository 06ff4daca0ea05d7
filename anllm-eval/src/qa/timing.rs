//! How long questions take without a cache, with a full cache of their demonstrations, and with a reduced one: the
//! paper's T⇑, and the fair one beside it. On the way the reduced cache is held against the mask in one pass.

use std::time::Instant;

use anllm_core::{FullPolicy, Policy};
use anllm_infer::{Engine, Session};
use anllm_kernels::Kernels;
use serde::Serialize;

use super::answer::tolerance;
use super::error::QaError;
use super::prepared::Prepared;
use crate::likelihood::{Encoded, Likelihood, score};

/// Seconds for the same questions, one after the other.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Timing {
    /// Questions timed.
    pub timed: usize,
    /// The whole prompt processed again for every question, under the policy's mask.
    pub time_no_cache_s: f64,
    /// The demonstrations in a full cache, under full attention.
    pub time_full_cache_s: f64,
    /// The demonstrations in the policy's cache.
    pub time_anchor_cache_s: f64,
    /// The paper's T⇑: without a cache over the policy's.
    pub speedup_vs_no_cache: f64,
    /// The fair one: a full cache over the policy's.
    pub speedup_vs_full_cache: f64,
    /// The largest difference of a log-likelihood between the policy's mask in one pass and its cache.
    pub masked_cached_max_diff: f64,
}

/// Times the first `count` questions under `policy`, and checks that cache and mask agree. The demonstrations' own time
/// is not counted. `progress` hears of each question done.
///
/// # Errors
/// When the model fails, or the likelihoods differ by more than rounding.
pub fn measure<B: Kernels>(
    engine: &Engine<B>,
    prepared: &Prepared,
    policy: &Policy,
    count: usize,
    mut progress: impl FnMut(usize),
) -> Result<Timing, QaError> {
    let mut timing = Timing::default();
    let full: Policy = FullPolicy.into();
    let mut held: Option<(usize, Session<B>, Session<B>)> = None;
    for question in 0..count.min(prepared.questions.len()) {
        let Some((number, group)) = prepared.group_of(question) else { continue };
        let (of, reduced, complete) = match held.take() {
            Some(held) if held.0 == number => held,
            _ => {
                let [reduced, complete] = [policy, &full].map(|policy| cached(engine, policy, &group.beginning));
                (number, reduced?, complete?)
            }
        };
        let texts: Vec<&Encoded> = prepared.encoded[question].iter().collect();
        let shared = group.beginning.len();
        let empty = engine.session(policy.clone());
        // The first question also fetches code and weights: it is not counted.
        if question == 0 {
            score(engine, &empty, 0, &texts)?;
        }
        let (masked, no_cache) = timed(engine, &empty, 0, &texts)?;
        let (_, full_cache) = timed(engine, &complete, shared, &texts)?;
        let (cached, anchor_cache) = timed(engine, &reduced, shared, &texts)?;
        timing.time_no_cache_s += no_cache;
        timing.time_full_cache_s += full_cache;
        timing.time_anchor_cache_s += anchor_cache;
        timing.timed += 1;
        for (masked, cached) in masked.iter().zip(&cached) {
            let difference = (masked.sum - cached.sum).abs();
            timing.masked_cached_max_diff = timing.masked_cached_max_diff.max(difference);
            if difference.is_nan() || difference > tolerance(engine.coarsest_dtype()) * (1.0 + masked.sum.abs()) {
                let origin = prepared.questions[question].record.origin.clone();
                return Err(QaError::Disagree { origin, cached: cached.sum, masked: masked.sum });
            }
        }
        progress(timing.timed);
        held = Some((of, reduced, complete));
    }
    let ratio = |other: f64| if timing.time_anchor_cache_s > 0.0 { other / timing.time_anchor_cache_s } else { 1.0 };
    timing.speedup_vs_no_cache = ratio(timing.time_no_cache_s);
    timing.speedup_vs_full_cache = ratio(timing.time_full_cache_s);
    Ok(timing)
}

/// A session that has seen the demonstrations.
fn cached<B: Kernels>(engine: &Engine<B>, policy: &Policy, beginning: &[u32]) -> Result<Session<B>, QaError> {
    let mut session = engine.session(policy.clone());
    if !beginning.is_empty() {
        engine.prefill(&mut session, beginning)?;
    }
    Ok(session)
}

fn timed<B: Kernels>(
    engine: &Engine<B>,
    session: &Session<B>,
    shared: usize,
    texts: &[&Encoded],
) -> Result<(Vec<Likelihood>, f64), QaError> {
    let start = Instant::now();
    let scores = score(engine, session, shared, texts)?;
    Ok((scores, start.elapsed().as_secs_f64()))
}
