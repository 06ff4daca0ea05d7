//! What recent answers were made of. A client sends a conversation's text again with each turn; the model may have cut
//! its own words otherwise than the tokenizer would, and only the same tokens find what was kept of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anllm_model::{Framing, TokenizerError};

use crate::model::Model;

/// Texts with their tokens, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct Conversations {
    /// The most bytes of all texts and tokens.
    budget: usize,
    known: Mutex<VecDeque<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    text: Arc<str>,
    tokens: Arc<[u32]>,
}

impl Known {
    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.tokens)
    }
}

impl Conversations {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, known: Mutex::default() }
    }

    /// Remembers that `tokens` are `text`.
    pub(crate) fn remember(&self, text: String, tokens: Vec<u32>) {
        let new = Known { text: text.into(), tokens: tokens.into() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.text != new.text);
        let mut bytes: usize = known.iter().map(Known::bytes).sum::<usize>() + new.bytes();
        known.push_back(new);
        while bytes > self.budget {
            let Some(oldest) = known.pop_front() else { break };
            bytes -= oldest.bytes();
        }
    }

    /// The tokens of a conversation's `text`, the first of which are those of an earlier turn if there was one.
    pub(crate) fn encode(&self, text: &str, model: &Model) -> Result<Vec<u32>, TokenizerError> {
        let whole = model.encode(text, model.format.framing())?;
        let earlier = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = known.iter().filter(|known| text.len() > known.text.len() && text.starts_with(&*known.text));
            begins.max_by_key(|known| known.text.len()).cloned()
        };
        match earlier {
            Some(Known { text: earlier, tokens }) if !whole.starts_with(&tokens) => {
                let more = model.tokenizer.encode(&text[earlier.len()..], Framing::Bare)?;
                Ok([&tokens[..], &more[..]].concat())
            }
            _ => Ok(whole),
        }
    }
}
