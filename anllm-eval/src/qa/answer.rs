//! Every question's choices, scored.

use std::ops::ControlFlow;

use anllm_core::Policy;
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use serde::{Deserialize, Serialize};

use super::error::QaError;
use super::prepared::{Group, Prepared};
use crate::likelihood::{Encoded, score};

/// How to run.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    /// Mask and cache.
    pub policy: Policy,
    /// Tokens processed at once, about. It bounds memory; results do not depend on it.
    pub batch: usize,
}

/// One question's choices, scored.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Answer {
    /// Which question, counted from 0.
    pub question: usize,
    /// Each choice's log-likelihood, in nats.
    pub likelihoods: Vec<f64>,
    /// Whether each token of a choice is the likeliest one.
    pub greedy: Vec<bool>,
}

/// Answers the questions that `wanted` says, the longest first, several in one pass. Demonstrations that questions share
/// are processed once. `each` hears of every answer, and may break off.
///
/// # Errors
/// When the model fails, or `each` does.
pub fn answer<B: Kernels, E: From<QaError>>(
    engine: &Engine<B>,
    prepared: &Prepared,
    options: &AnswerOptions,
    wanted: impl Fn(usize) -> bool,
    mut each: impl FnMut(Answer) -> Result<ControlFlow<()>, E>,
) -> Result<ControlFlow<()>, E> {
    for group in &prepared.groups {
        let members: Vec<usize> = group.members.iter().copied().filter(|&question| wanted(question)).collect();
        let mut session = engine.session(options.policy.clone());
        // Demonstrations of a single question are shared by its choices in any case.
        let beginning = if members.len() > 1 { group.beginning.as_slice() } else { &[] };
        if !beginning.is_empty() {
            engine.prefill(&mut session, beginning).map_err(QaError::from)?;
        }
        for batch in batches(prepared, &members, beginning.len(), options.batch) {
            let texts: Vec<&Encoded> = batch.iter().flat_map(|&question| &prepared.encoded[question]).collect();
            let scores = score(engine, &session, beginning.len(), &texts).map_err(QaError::from)?;
            let mut scores = scores.into_iter();
            for &question in &batch {
                let (likelihoods, greedy) =
                    scores.by_ref().take(prepared.encoded[question].len()).map(|s| (s.sum, s.greedy)).unzip();
                if each(Answer { question, likelihoods, greedy })?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Questions that fill a pass together: at least one, and more as long as their tokens fit.
fn batches(prepared: &Prepared, members: &[usize], shared: usize, most: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0;
    for &question in members {
        let tokens = prepared.tokens(question, shared);
        match batches.last_mut() {
            Some(batch) if filled + tokens <= most => {
                batch.push(question);
                filled += tokens;
            }
            _ => {
                batches.push(vec![question]);
                filled = tokens;
            }
        }
    }
    batches
}

impl Prepared {
    /// The group that a question is in, with its number.
    pub(super) fn group_of(&self, question: usize) -> Option<(usize, &Group)> {
        self.groups.iter().enumerate().find(|(_, group)| group.members.contains(&question))
    }
}
