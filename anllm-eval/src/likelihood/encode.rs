//! From texts to tokens, by the rule of lm-evaluation-harness: context and continuation are encoded as one text, and cut
//! where the context alone would end.

use anllm_model::{Framing, ModelConfig, Tokenizer, TokenizerError};

use crate::task::Scored;

/// A context and its continuation as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// All tokens.
    pub ids: Vec<u32>,
    /// How many of them are the context: at least 1.
    pub context: usize,
    /// Tokens that were cut off at the beginning, because the text is longer than the model's context.
    pub cut: usize,
}

impl Encoded {
    /// The tokens that the model reads: the last one is only predicted.
    pub fn fed(&self) -> &[u32] {
        &self.ids[..self.ids.len() - 1]
    }

    /// The tokens that are scored.
    pub fn continuation(&self) -> &[u32] {
        &self.ids[self.context..]
    }
}

/// Texts that cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The tokenizer refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// There is nothing to score.
    #[error("the continuation {continuation:?} adds no token to its context\n  hint: a choice must not be empty")]
    Empty {
        /// The text.
        continuation: String,
    },
    /// Nothing to predict from.
    #[error("the context is empty, and the model has neither a begin- nor an end-of-sequence token to stand for it")]
    NoStart,
    /// The continuation alone is too long.
    #[error("the continuation has {tokens} tokens, but this model's context ends at {limit}")]
    TooLong {
        /// Its tokens.
        tokens: usize,
        /// The model's positions.
        limit: usize,
    },
}

/// What turns texts into tokens for a model.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    /// What stands for an empty context.
    start: Option<u32>,
    limit: usize,
}

impl<'a> Encoder<'a> {
    /// For the model with these settings.
    pub fn new(tokenizer: &'a Tokenizer, config: &ModelConfig) -> Self {
        let start = config.bos.or_else(|| config.eos.first().copied());
        Self { tokenizer, start, limit: config.max_positions }
    }

    /// The same without an end to the context: for policies that look back less far than a text is long.
    pub fn unlimited(tokenizer: &'a Tokenizer, config: &ModelConfig) -> Self {
        Self { limit: usize::MAX - 1, ..Self::new(tokenizer, config) }
    }

    /// The tokens of a context and its continuation. Spaces at the end of the context belong to the continuation, as
    /// tokenizers join them to the next word. What is too long loses its beginning.
    ///
    /// # Errors
    /// When the tokenizer refuses, or there is nothing to score.
    pub fn encode(&self, scored: &Scored) -> Result<Encoded, EncodeError> {
        let whole = format!("{}{}", scored.context, scored.continuation);
        let context = scored.context.trim_end_matches(is_python_space);
        let (ids, context) = match context.is_empty() {
            true => self.behind_nothing(&whole)?,
            false => (self.framed(&whole)?, self.framed(context)?.len()),
        };
        if ids.len() <= context {
            return Err(EncodeError::Empty { continuation: scored.continuation.clone() });
        }
        let continuation = ids.len() - context;
        // One more than the context fits: the last token is never fed.
        let cut = ids.len().saturating_sub(self.limit + 1);
        if cut >= context.max(1) && cut > 0 {
            return Err(EncodeError::TooLong { tokens: continuation, limit: self.limit });
        }
        Ok(Encoded { ids: ids[cut..].to_vec(), context: context - cut, cut })
    }

    /// A text that begins a document. A begin-of-sequence token that it spells out itself is not added again.
    fn framed(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let begun = self.start.and_then(|id| self.tokenizer.token(id)).is_some_and(|start| text.starts_with(&start));
        self.tokenizer.encode(text, if begun { Framing::Bare } else { Framing::Framed })
    }

    /// A continuation that the model's own first token is the context of.
    fn behind_nothing(&self, continuation: &str) -> Result<(Vec<u32>, usize), EncodeError> {
        let start = self.start.ok_or(EncodeError::NoStart)?;
        let mut ids = self.tokenizer.encode(continuation, Framing::Bare)?;
        if ids.first() != Some(&start) {
            ids.insert(0, start);
        }
        Ok((ids, 1))
    }

    /// The tokens of what stands before several questions.
    ///
    /// # Errors
    /// When the tokenizer refuses.
    pub fn beginning(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        if text.is_empty() { Ok(Vec::new()) } else { self.framed(text) }
    }
}

/// What `str.rstrip` takes away.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
