//! Sentences through the model, several side by side.

use std::cell::RefCell;
use std::ops::ControlFlow;

use anllm_core::PolicyKind;
use anllm_infer::{BatchError, Engine, Event, Generation, InferError, Limits, Request, Scheduler, StopReason};
use anllm_kernels::Kernels;
use anllm_model::{Tokenizer, TokenizerError};
use serde::Serialize;

use super::bleu::{BLEU_SIGNATURE, BleuCounts};
use super::chrf::{CHRF_SIGNATURE, ChrfCounts};
use super::pairs::Pair;
use super::prompt::{Kept, Template};

/// How to translate.
#[derive(Debug, Clone)]
pub struct TranslationOptions {
    /// The prompt.
    pub template: Template,
    /// Demonstrations before each sentence.
    pub shots: Vec<Pair>,
    /// Mask and cache.
    pub policy: PolicyKind,
    /// What is never dropped.
    pub kept: Kept,
    /// The most tokens of a translation.
    pub max_new_tokens: usize,
    /// Sentences side by side.
    pub rows: usize,
}

/// A sentence that was translated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Translated {
    /// Which, counted from 0.
    pub sentence: usize,
    /// What was translated.
    pub source: String,
    /// What it should become.
    pub reference: String,
    /// What the model wrote: the best token each time, up to a line's end.
    pub translation: String,
    /// The policy, with its span.
    pub policy: String,
    /// Tokens read and written.
    pub seen: usize,
    /// Entries held at the end.
    pub entries: usize,
    /// The most entries held at a time.
    pub peak: usize,
    /// Bytes of the entries at the end.
    pub bytes: usize,
    /// Bytes of a full cache.
    pub full_bytes: usize,
    /// Whether the model ended it itself, before the limit.
    pub ended: bool,
}

/// What translations come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TranslationScore {
    /// Sentences translated.
    pub n: usize,
    /// From 0 to 100.
    pub bleu: f64,
    /// From 0 to 100.
    pub chrf: f64,
    /// How BLEU was computed.
    pub bleu_signature: &'static str,
    /// How chrF was computed.
    pub chrf_signature: &'static str,
    /// The paper's C⇓ at the end of a translation: the share of a full cache's entries that is not kept.
    pub kv_reduction: f64,
    /// Mean entries at the end.
    pub entries: f64,
    /// Mean bytes of them.
    pub bytes: f64,
    /// Mean bytes of the most entries at a time.
    pub peak_bytes: f64,
    /// Mean bytes of a full cache.
    pub full_bytes: f64,
    /// Share of translations that the model ended before the limit.
    pub ended: f64,
}

impl TranslationScore {
    /// Of translations, at least one.
    pub fn of(translated: &[Translated]) -> Self {
        let (mut bleu, mut chrf) = (BleuCounts::default(), ChrfCounts::default());
        for sentence in translated {
            bleu.add(&BleuCounts::of(&sentence.translation, &sentence.reference));
            chrf.add(&ChrfCounts::of(&sentence.translation, &sentence.reference));
        }
        let n = translated.len().max(1) as f64;
        let mean = |value: fn(&Translated) -> f64| translated.iter().map(value).sum::<f64>() / n;
        let (entries, seen) = (mean(|sentence| sentence.entries as f64), mean(|sentence| sentence.seen as f64));
        Self {
            n: translated.len(),
            bleu: bleu.score(),
            chrf: chrf.score(),
            bleu_signature: BLEU_SIGNATURE,
            chrf_signature: CHRF_SIGNATURE,
            kv_reduction: if seen > 0.0 { 1.0 - entries / seen } else { 0.0 },
            entries,
            bytes: mean(|sentence| sentence.bytes as f64),
            peak_bytes: mean(|sentence| sentence.bytes as f64 / sentence.entries.max(1) as f64 * sentence.peak as f64),
            full_bytes: mean(|sentence| sentence.full_bytes as f64),
            ended: mean(|sentence| f64::from(u8::from(sentence.ended))),
        }
    }
}

/// What stops translation.
#[derive(Debug, thiserror::Error)]
pub enum TranslationError {
    /// The policy cannot keep a span.
    #[error(
        "`{policy}` cannot keep the source sentence\n  hint: that takes `anchor`, with options of its own but `last`, \
         such as --cache anchor"
    )]
    CannotKeep {
        /// The policy.
        policy: String,
    },
    /// The tokenizer refused.
    #[error("sentence {sentence}: {source}")]
    Tokenizer {
        /// Which, counted from 1.
        sentence: usize,
        /// Why.
        source: TokenizerError,
    },
    /// The request was refused.
    #[error("sentence {sentence}: {source}")]
    Batch {
        /// Which, counted from 1.
        sentence: usize,
        /// Why.
        source: BatchError,
    },
    /// The model failed.
    #[error(transparent)]
    Infer(#[from] InferError),
}

/// Which sentence, its policy, and what came of it.
type Finished = (usize, String, Result<Generation, InferError>);

/// Translates the sentences that `wanted` says, in any order. `each` hears of every translation, and may break off; what
/// runs is then given up.
///
/// # Errors
/// When a prompt does not fit, the policy cannot keep the source, or the model or `each` fails.
pub fn translate<B: Kernels, E: From<TranslationError>>(
    engine: &Engine<B>,
    tokenizer: &Tokenizer,
    pairs: &[Pair],
    options: &TranslationOptions,
    wanted: impl Fn(usize) -> bool,
    mut each: impl FnMut(Translated) -> Result<ControlFlow<()>, E>,
) -> Result<ControlFlow<()>, E> {
    let finished: RefCell<Vec<Finished>> = RefCell::default();
    // Demonstrations are the same before every sentence: they are read once, and kept beside what runs.
    let limits = Limits { rows: options.rows, ..Limits::default() };
    let mut scheduler = Scheduler::new(engine, tokenizer, limits);
    let mut left = 0;
    for (number, pair) in pairs.iter().enumerate().filter(|(number, _)| wanted(*number)) {
        let sentence = number + 1;
        let prompt = options.template.prompt(tokenizer, &options.shots, &pair.source);
        let prompt = prompt.map_err(|source| TranslationError::Tokenizer { sentence, source })?;
        let kind = prompt.policy(options.policy, options.kept);
        let kind = kind.ok_or_else(|| TranslationError::CannotKeep { policy: options.policy.to_string() })?;
        let request = Request {
            max_new_tokens: options.max_new_tokens,
            stop: vec!["\n".to_owned()],
            ..Request::new(prompt.ids, kind.policy())
        };
        let (finished, policy) = (&finished, kind.to_string());
        let listen = move |event: Event<'_>| {
            let outcome = match event {
                Event::Piece(_) => return ControlFlow::Continue(()),
                Event::Finished(generation) => Ok(generation),
                Event::Failed(error) => Err(error),
            };
            finished.borrow_mut().push((number, policy.clone(), outcome));
            ControlFlow::Continue(())
        };
        let submitted = scheduler.submit(request, listen);
        submitted.map_err(|source| TranslationError::Batch { sentence, source })?;
        left += 1;
    }
    while left > 0 {
        scheduler.step().map_err(TranslationError::from)?;
        for (number, policy, outcome) in finished.borrow_mut().drain(..) {
            left -= 1;
            let generation = outcome.map_err(TranslationError::from)?;
            let kv = &generation.kv;
            let translated = Translated {
                sentence: number,
                source: pairs[number].source.clone(),
                reference: pairs[number].target.clone(),
                translation: generation.text.trim().to_owned(),
                policy,
                seen: kv.seen,
                entries: kv.kept,
                peak: kv.peak,
                bytes: kv.bytes,
                full_bytes: kv.full_bytes,
                ended: generation.stop_reason != StopReason::Length,
            };
            if each(translated)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}
