//! Every question's choices, scored.

use std::ops::ControlFlow;

use anllm_core::Policy;
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use burn::tensor::DType;
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
    /// What questions share.
    pub sharing: Sharing,
}

/// How demonstrations that several questions share are processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Once, into the policy's cache, which every question then continues.
    #[default]
    Cached,
    /// With the questions, in one pass under the policy's mask: nothing is cached.
    OnePass,
}

/// One question's choices, scored.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Answer {
    /// Which question, counted from 0.
    pub question: usize,
    /// Each choice's log-likelihood, in nats.
    #[serde(with = "exact")]
    pub likelihoods: Vec<f64>,
    /// Whether each token of a choice is the likeliest one.
    pub greedy: Vec<bool>,
}

/// Numbers as texts, as samples have them: JSON's numbers need not come back to the last bit, and an answer that was kept
/// is the answer that was given.
mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| format!("{value:?}")))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
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
        let cached = options.sharing == Sharing::Cached && members.len() > 1;
        let beginning = if cached { group.beginning.as_slice() } else { &[] };
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

/// How far two runs over the same questions agree.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Agreement {
    /// The largest difference of a log-likelihood.
    pub max_abs_diff: f64,
    /// Where that is: a question.
    pub question: usize,
}

/// Checks that the mask in one pass and the reduced cache give the same likelihoods, within what rounding does.
///
/// # Errors
/// Names the first question where they differ by more.
pub fn agreement(
    prepared: &Prepared,
    masked: &[Answer],
    cached: &[Answer],
    dtype: DType,
) -> Result<Agreement, QaError> {
    let mut worst = Agreement::default();
    for (a, b) in masked.iter().zip(cached) {
        for (masked, cached) in a.likelihoods.iter().zip(&b.likelihoods) {
            let apart = (masked - cached).abs();
            if apart.is_nan() || apart > tolerance(dtype) * (1.0 + masked.abs()) {
                let origin = prepared.questions[a.question].record.origin.clone();
                return Err(QaError::Disagree { origin, cached: *cached, masked: *masked });
            }
            if apart > worst.max_abs_diff {
                worst = Agreement { max_abs_diff: apart, question: a.question };
            }
        }
    }
    Ok(worst)
}

/// What rounding may do, as a share of the log-likelihood.
pub(super) fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 5e-2,
        DType::BF16 => 2e-1,
        _ => 2e-3,
    }
}

impl Prepared {
    /// The group that a question is in, with its number.
    pub(super) fn group_of(&self, question: usize) -> Option<(usize, &Group)> {
        self.groups.iter().enumerate().find(|(_, group)| group.members.contains(&question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_answer_is_the_answer_that_was_given() {
        // Sums of 32-bit numbers; a parser that rounds twice misses some of them by the last bit.
        let likelihoods: Vec<f64> =
            (1..2000).map(|n| -f64::from(n as f32 * 0.013_1) - f64::from(1.0 / n as f32)).collect();
        let given = Answer { question: 3, greedy: vec![false; likelihoods.len()], likelihoods };
        let kept: Answer = serde_json::from_str(&serde_json::to_string(&given).unwrap()).unwrap();
        assert!(kept == given);
    }
}
