//! What the model writes while it is trained: training hands over its weights as they stand, the engine continues the
//! prompts. Nothing of the training's state is touched.

use std::ops::ControlFlow;

use anllm_core::{AnchorMatcher, AnchorPolicy, AnchorRule, FullPolicy, Policy};
use anllm_infer::{Engine, Request, Sampling};
use anllm_kernels::Kernels;
use anllm_model::{Decoder, Framing, ModelConfig, Tokenizer};
use anllm_train::Start;
use anllm_train::config::{LogSection, MaskMode, TrainConfig};
use serde::Serialize;

/// One continuation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    /// The text that was continued.
    pub(super) prompt: String,
    /// The continuation.
    pub(super) text: String,
}

/// Continues a run's prompts.
pub(super) struct Samples {
    prompts: Vec<(String, Vec<u32>)>,
    tokenizer: Tokenizer,
    matcher: AnchorMatcher,
    model: ModelConfig,
    policy: Policy,
    most: usize,
    sampling: Sampling,
}

impl Samples {
    /// Prompts as the model reads them, `<AC>` after their sentences where it was trained so; none where no samples are
    /// wanted.
    pub(super) fn new(start: &Start, config: &TrainConfig) -> anyhow::Result<Option<Self>> {
        /// Room that a continuation needs in the context.
        const ROOM: usize = 1;
        let log: &LogSection = &config.log;
        if log.sample_every == 0 {
            return Ok(None);
        }
        let inserter = match start.matcher.rule() {
            AnchorRule::Added => Some(super::super::setup::inserter(&config.data.splitter)?),
            _ => None,
        };
        let tokenizer = start.checkpoint.tokenizer()?;
        let model = start.checkpoint.config().clone();
        let mut prompts = Vec::new();
        for prompt in &log.sample_prompts {
            let text = inserter.as_ref().map_or_else(|| prompt.clone(), |inserter| inserter.insert(prompt));
            let ids = tokenizer.encode(&text, Framing::Framed)?;
            anyhow::ensure!(
                !ids.is_empty() && ids.len() + ROOM <= model.max_positions,
                "log.sample_prompts: {prompt:?} has {} tokens; expected 1 to {}\n  hint: give another prompt",
                ids.len(),
                model.max_positions.saturating_sub(ROOM),
            );
            prompts.push((prompt.clone(), ids));
        }
        let sampling = Sampling { temperature: log.sample_temperature, seed: config.seed, ..Sampling::default() };
        anllm_infer::Sampler::new(sampling.clone())
            .map_err(|e| anyhow::anyhow!("log.sample_temperature: {e}\n  hint: 0 always takes the best token"))?;
        let policy = match config.train.mask {
            MaskMode::Full => Policy::from(FullPolicy),
            MaskMode::Anchor | MaskMode::Anneal => AnchorPolicy.into(),
        };
        let matcher = start.matcher.clone();
        Ok(Some(Self { prompts, tokenizer, matcher, model, policy, most: log.sample_tokens, sampling }))
    }

    /// Continues every prompt, with the cache that the model is trained for.
    pub(super) fn write<B: Kernels>(&self, decoder: &Decoder<B>) -> anyhow::Result<Vec<Sample>> {
        const PREFILL_CHUNK: usize = 512;
        let engine = Engine::new(decoder.clone(), self.model.clone(), self.matcher.clone(), PREFILL_CHUNK);
        let one = |(prompt, ids): &(String, Vec<u32>)| {
            let request = Request {
                max_new_tokens: self.most,
                sampling: self.sampling.clone(),
                ..Request::new(ids.clone(), self.policy.clone())
            };
            let text = engine.generate(&self.tokenizer, request, |_| ControlFlow::Continue(()))?.text;
            Ok(Sample { prompt: prompt.clone(), text })
        };
        self.prompts.iter().map(one).collect()
    }
}
