//! Log-likelihoods of a forest's texts.

use anllm_infer::{Engine, InferError, Session};
use anllm_kernels::Kernels;
use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};

use super::encode::Encoded;
use super::forest::Forest;

/// Positions whose scores over the vocabulary exist at a time: it bounds memory.
const BLOCK: usize = 128;

/// How likely a continuation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// The sum of its tokens' log-likelihoods, in nats.
    pub sum: f64,
    /// Whether each of its tokens is the likeliest one.
    pub greedy: bool,
}

/// Scores `texts` in one pass behind what `session` has seen: their first `shared` tokens, which must leave at least the
/// last token of every context. The session stays as it is.
///
/// # Errors
/// When a text is too long, has an unknown token, or the device fails.
pub fn score<B: Kernels>(
    engine: &Engine<B>,
    session: &Session<B>,
    shared: usize,
    texts: &[&Encoded],
) -> Result<Vec<Likelihood>, InferError> {
    if session.renumbers() {
        return one_by_one(engine, session, shared, texts);
    }
    let forest = Forest::new(engine, session, shared, texts);
    let hidden = engine.forward_branches(session, &forest.continuations)?;
    let mut wanted = forest.wanted;
    wanted.sort_by_key(|wanted| wanted.slot);
    let mut found = vec![Likelihood { sum: 0.0, greedy: true }; texts.len()];
    let mut rest = wanted.as_slice();
    while !rest.is_empty() {
        // The first tokens that are scored by a block of positions.
        let mut slots: Vec<i32> = Vec::with_capacity(BLOCK);
        let mut pairs = Vec::new();
        let mut taken = 0;
        for wanted in rest {
            if slots.last() != Some(&(wanted.slot as i32)) {
                if slots.len() == BLOCK {
                    break;
                }
                slots.push(wanted.slot as i32);
            }
            pairs.push((slots.len() - 1, wanted.id));
            taken += 1;
        }
        let (block, later) = rest.split_at(taken);
        rest = later;
        let (likelihoods, best) = predicted(engine, hidden.clone(), slots, &pairs)?;
        for ((wanted, (row, id)), likelihood) in block.iter().zip(pairs).zip(likelihoods) {
            let found = &mut found[wanted.text];
            found.sum += f64::from(likelihood);
            found.greedy &= best[row] == i64::from(id);
        }
    }
    checked(found, session.seen() + forest.continuations.len())
}

/// Refuses likelihoods that are no numbers.
fn checked(found: Vec<Likelihood>, tokens: usize) -> Result<Vec<Likelihood>, InferError> {
    match found.iter().any(|found| found.sum.is_nan()) {
        true => Err(InferError::NotANumber { tokens }),
        false => Ok(found),
    }
}

/// The same for policies under which texts cannot lie side by side: each behind a copy of the session.
fn one_by_one<B: Kernels>(
    engine: &Engine<B>,
    session: &Session<B>,
    shared: usize,
    texts: &[&Encoded],
) -> Result<Vec<Likelihood>, InferError> {
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        let mut session = session.clone();
        let mut likelihood = Likelihood { sum: 0.0, greedy: true };
        let before = text.context - 1 - shared;
        if before > 0 {
            engine.prefill(&mut session, &text.ids[shared..shared + before])?;
        }
        engine.score::<InferError>(&mut session, &text.fed()[text.context - 1..], BLOCK, |start, scores| {
            let ids = &text.continuation()[start..start + scores.dims()[1]];
            let pairs: Vec<(usize, u32)> = ids.iter().copied().enumerate().collect();
            let (likelihoods, best) = read_off(scores, &pairs)?;
            likelihood.sum += likelihoods.iter().map(|value| f64::from(*value)).sum::<f64>();
            likelihood.greedy &= ids.iter().zip(best).all(|(id, best)| i64::from(*id) == best);
            Ok(())
        })?;
        found.push(likelihood);
    }
    checked(found, session.seen())
}

/// The log-likelihood of each pair of a row and an id, and the likeliest id of each row. Rows are the tokens `slots` of
/// `hidden`, `[1, T, C]`.
fn predicted<B: Kernels>(
    engine: &Engine<B>,
    hidden: Tensor<B, 3>,
    slots: Vec<i32>,
    pairs: &[(usize, u32)],
) -> Result<(Vec<f32>, Vec<i64>), InferError> {
    let rows = slots.len();
    let slots = Tensor::<B, 1, Int>::from_data(TensorData::new(slots, [rows]), &hidden.device());
    read_off(engine.decoder().logits(hidden.select(1, slots)), pairs)
}

/// The same from the rows' scores, `[1, N, V]`.
fn read_off<B: Kernels>(scores: Tensor<B, 3>, pairs: &[(usize, u32)]) -> Result<(Vec<f32>, Vec<i64>), InferError> {
    let device = scores.device();
    let failed = |e: &dyn std::fmt::Debug| InferError::Device(format!("{e:?}"));
    let scores = scores.cast(FloatDType::F32);
    let [_, rows, vocabulary] = scores.dims();
    let best = scores.clone().argmax(2).try_into_data().map_err(|e| failed(&e))?;
    let flat: Vec<i32> = pairs.iter().map(|(row, id)| (row * vocabulary + *id as usize) as i32).collect();
    let count = flat.len();
    let flat = Tensor::<B, 1, Int>::from_data(TensorData::new(flat, [count]), &device);
    let likelihoods = log_softmax(scores, 2).reshape([rows * vocabulary]).select(0, flat);
    let likelihoods = likelihoods.try_into_data().map_err(|e| failed(&e))?;
    Ok((likelihoods.iter::<f32>().collect(), best.iter::<i64>().collect()))
}
