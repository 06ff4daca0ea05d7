//! An answer as the next turn's text will have it.

use anllm_core::AnchorMatcher;
use anllm_model::{Tokenizer, TokenizerError};

use crate::generate::{Generation, StopReason};

/// What the model said, as text and as tokens.
pub(super) struct Answer {
    /// The text. Added anchors, which people do not see, are spelled out: the model goes on behind them.
    pub(super) content: String,
    /// The tokens, without the one that ended the turn.
    pub(super) tokens: Vec<u32>,
    /// Whether `content` is the text of all the tokens.
    pub(super) complete: bool,
}

impl Answer {
    /// `before` are the tokens that the answer follows.
    pub(super) fn new(
        generation: &Generation,
        tokenizer: &Tokenizer,
        matcher: &AnchorMatcher,
        before: &[u32],
    ) -> Result<Self, TokenizerError> {
        let mut tokens = generation.tokens.clone();
        if generation.stop_reason == StopReason::Eos {
            tokens.pop();
        }
        if !tokens.iter().any(|id| tokenizer.is_special(*id)) {
            // A stop text is among the tokens and not in the text.
            let complete = generation.stop_reason != StopReason::Stop;
            return Ok(Self { content: generation.text.clone(), tokens, complete });
        }
        let anchors = matcher.ids().unwrap_or_default();
        let mut stream = tokenizer.stream(before)?;
        let (mut content, mut complete) = (String::new(), generation.stop_reason != StopReason::Stop);
        for &id in &tokens {
            content.push_str(&stream.push(id)?);
            match tokenizer.token(id).filter(|_| tokenizer.is_special(id)) {
                Some(token) if anchors.contains(&id) => content.push_str(&token),
                // Any other special token, such as the start of a turn, stays out of the conversation.
                Some(_) => complete = false,
                None => {}
            }
        }
        content.push_str(&stream.finish()?);
        Ok(Self { content, tokens, complete })
    }
}
