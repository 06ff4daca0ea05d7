//! Retrieval of a passkey: a number stands somewhere in a long text that says nothing, and is asked for at the end
//! (Mohtashami and Jaggi, "Landmark Attention", 2023). What a cache has dropped cannot be found again.

use anllm_core::{CacheStats, Policy};
use anllm_infer::Engine;
use anllm_kernels::Kernels;
use serde::Serialize;

use crate::likelihood::{EncodeError, Encoded, Encoder, score};
use crate::perplexity::EvalError;
use crate::task::{PythonRandom, Scored};

/// Before everything else.
const TASK: &str = "There is an important info hidden inside a lot of irrelevant text. Find it and memorize it. I will \
                    quiz you about the important information there.\n";
/// Says nothing, any number of times.
const FILLER: &str = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n";
/// At the end; the key is what comes next.
const QUESTION: &str = "What is the pass key? The pass key is";

/// Where a passkey is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Haystack {
    /// Tokens of the whole prompt, at most.
    pub length: usize,
    /// Where in the filler the key stands, from 0, the beginning, to 1.
    pub depth: f64,
}

/// How to look.
#[derive(Debug, Clone)]
pub struct PasskeyOptions {
    /// Mask and cache.
    pub policy: Policy,
    /// Keys tried at each place.
    pub trials: usize,
    /// Seed of the keys.
    pub seed: u64,
}

/// What was found at one length and depth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// Tokens of the whole prompt, at most.
    pub length: usize,
    /// Where in the filler the key stood, 0 to 1.
    pub depth: f64,
    /// Keys tried.
    pub n: usize,
    /// Share of keys that greedy decoding would have written in whole.
    pub accuracy: f64,
    /// Mean negative log-likelihood of a key, in nats. Guessing one of 90,000 costs 11.4.
    pub nll: f64,
    /// Mean tokens of a prompt.
    pub tokens: f64,
    /// Mean entries held when the key is asked for.
    pub entries: f64,
    /// Mean bytes of these entries.
    pub bytes: f64,
    /// Mean share of a full cache's entries that is not kept.
    pub kv_reduction: f64,
}

/// What stops retrieval.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The prompt does not fit.
    #[error("a passkey prompt has at least {least} tokens, {length} were asked for\n  hint: ask for a longer one")]
    TooShort {
        /// Tokens asked for.
        length: usize,
        /// Tokens of task, key and question.
        least: usize,
    },
    /// The prompt cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The model refused.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// Looks for keys at one length and depth. `mark` may put anchors into the prompt.
///
/// # Errors
/// When the length leaves no room for the key and the question, or the model refuses.
pub fn passkey<B: Kernels>(
    engine: &Engine<B>,
    encoder: &Encoder<'_>,
    haystack: Haystack,
    options: &PasskeyOptions,
    mark: impl Fn(&str) -> String,
) -> Result<Retrieval, PasskeyError> {
    let mut random = PythonRandom::new(options.seed);
    let (mut found, mut nll) = (0, 0.0);
    let mut sums = [0.0; 3];
    let mut reduction = 0.0;
    for _ in 0..options.trials {
        let key = 10_000 + random.below(90_000);
        let encoded = prompt(encoder, haystack, key, &mark)?;
        let mut session = engine.session(options.policy.clone());
        // The last token of the context predicts the first of the key: it is processed with the key.
        let before = encoded.context - 1;
        engine.prefill(&mut session, &encoded.ids[..before]).map_err(EvalError::from)?;
        let stats: CacheStats = session.stats();
        let likelihood = score(engine, &session, before, &[&encoded]).map_err(EvalError::from)?;
        found += usize::from(likelihood[0].greedy);
        nll -= likelihood[0].sum;
        for (sum, value) in sums.iter_mut().zip([encoded.context, stats.kept, stats.bytes]) {
            *sum += value as f64;
        }
        reduction += stats.reduction();
    }
    let n = options.trials.max(1) as f64;
    let [tokens, entries, bytes] = sums.map(|sum| sum / n);
    Ok(Retrieval {
        length: haystack.length,
        depth: haystack.depth,
        n: options.trials,
        accuracy: found as f64 / n,
        nll: nll / n,
        tokens,
        entries,
        bytes,
        kv_reduction: reduction / n,
    })
}

/// The prompt with as much filler as the length has room for.
fn prompt(
    encoder: &Encoder<'_>,
    haystack: Haystack,
    key: usize,
    mark: &impl Fn(&str) -> String,
) -> Result<Encoded, PasskeyError> {
    let needle = format!("The pass key is {key}. Remember it. {key} is the pass key.\n");
    let encode = |before: usize, behind: usize| {
        let text = format!("{TASK}{}{needle}{}", FILLER.repeat(before), FILLER.repeat(behind));
        let context = format!("{}{QUESTION}", mark(&text));
        encoder.encode(&Scored { context, continuation: format!(" {key}") })
    };
    let (none, one) = (encode(0, 0)?.ids.len(), encode(1, 0)?.ids.len());
    if none > haystack.length {
        return Err(PasskeyError::TooShort { length: haystack.length, least: none });
    }
    let mut fillers = (haystack.length - none) / (one - none).max(1);
    loop {
        let before = (haystack.depth.clamp(0.0, 1.0) * fillers as f64).round() as usize;
        let encoded = encode(before, fillers - before)?;
        // Tokens of a text need not add up to those of its parts.
        if encoded.cut == 0 && encoded.ids.len() <= haystack.length || fillers == 0 {
            return Ok(encoded);
        }
        fillers -= 1;
    }
}
