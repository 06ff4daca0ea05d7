//! A tokenizer trained on the run's own text: byte-level BPE, digits one by one.

use serde_json::Value;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, TokenizerImpl};

use crate::config::TrainConfig;
use crate::data::source::{SourceContext, Sources};
use crate::error::TrainError;

/// Begins a text.
pub(crate) const BEGIN: &str = "<s>";
/// Ends a text.
pub(crate) const END: &str = "</s>";

type Trained = TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Trains a vocabulary of `size` tokens on the run's training text; returns a `tokenizer.json`.
///
/// # Errors
/// When the text cannot be read, or has too little in it.
pub(crate) fn train(config: &TrainConfig, size: usize) -> Result<Value, TrainError> {
    let problem = |e: tokenizers::Error| {
        TrainError::settings(format!("a tokenizer of {size} tokens could not be trained: {e}"), "name a tokenizer.json")
    };
    let sources = Sources::open(&config.data.sources, SourceContext::default())?;
    let mut texts = Vec::new();
    for source in &sources {
        for document in source.documents() {
            texts.extend(document?.pieces.into_iter().map(|piece| piece.text));
        }
    }
    let special = |text: &str| AddedToken::from(text, true);
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(size)
        .show_progress(false)
        .special_tokens(vec![special(BEGIN), special(END)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let byte_level = ByteLevel::new(false, true, true);
    let split = vec![PreTokenizerWrapper::Digits(Digits::new(true)), PreTokenizerWrapper::ByteLevel(byte_level)];
    let mut tokenizer: Trained = TokenizerImpl::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(Sequence::new(split))));
    tokenizer.with_decoder(Some(DecoderWrapper::ByteLevel(byte_level)));
    tokenizer.train(&mut trainer, texts.iter()).map_err(problem)?;
    let template = tokenizers::processors::template::TemplateProcessing::builder()
        .try_single(format!("{BEGIN} $A"))
        .map_err(|e| problem(e.into()))?
        .special_tokens(vec![(BEGIN, tokenizer.token_to_id(BEGIN).unwrap_or(0))])
        .build()
        .map_err(|e| problem(e.to_string().into()))?;
    tokenizer.with_post_processor(Some(PostProcessorWrapper::Template(template)));
    let text = tokenizer.to_string(false).map_err(problem)?;
    serde_json::from_str(&text).map_err(|e| problem(e.into()))
}
