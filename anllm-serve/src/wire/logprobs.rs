//! How likely tokens were, in the two forms that OpenAI has.

use anllm_infer::{Logprob, TokenLogprobs};
use anllm_model::Tokenizer;
use serde::Serialize;
use utoipa::ToSchema;

use super::Entries;

/// Of a completion: lists side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct CompletionLogprobs {
    /// Each token's text; `bytes:\x..` where it is a part of a character.
    pub(crate) tokens: Vec<String>,
    /// Logarithm of each token's probability; nothing is known of a prompt's first.
    pub(crate) token_logprobs: Vec<Option<f32>>,
    /// The likeliest tokens at each place, best first, and the token that stands there.
    #[schema(value_type = Vec<Option<std::collections::BTreeMap<String, f32>>>)]
    pub(crate) top_logprobs: Vec<Option<Entries>>,
    /// Where each token's text begins in the text, in characters.
    pub(crate) text_offset: Vec<usize>,
}

impl CompletionLogprobs {
    /// Adds a token whose text begins at `offset`.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32, known: Option<&TokenLogprobs>, offset: usize) {
        self.tokens.push(spelled(tokenizer, id));
        self.token_logprobs.push(known.map(|known| finite(known.token.logprob)));
        self.top_logprobs.push(known.map(|known| likeliest(tokenizer, known)));
        self.text_offset.push(offset);
    }
}

impl CompletionLogprobs {
    /// Adds what comes next.
    pub(crate) fn join(&mut self, next: Self) {
        self.tokens.extend(next.tokens);
        self.token_logprobs.extend(next.token_logprobs);
        self.top_logprobs.extend(next.top_logprobs);
        self.text_offset.extend(next.text_offset);
    }
}

fn likeliest(tokenizer: &Tokenizer, known: &TokenLogprobs) -> Entries {
    let absent = known.top.iter().all(|top| top.id != known.token.id);
    let taken = absent.then_some(&known.token);
    let entry = |Logprob { id, logprob }: &Logprob| (spelled(tokenizer, *id), finite(*logprob));
    Entries(known.top.iter().chain(taken).map(entry).collect())
}

/// Of a chat: an object for each token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatLogprobs {
    /// Each token of the answer.
    pub(crate) content: Vec<ChatLogprob>,
}

/// A token of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatLogprob {
    #[serde(flatten)]
    pub(crate) token: ChatToken,
    /// The likeliest tokens at its place, best first.
    pub(crate) top_logprobs: Vec<ChatToken>,
}

/// A token and how likely it was.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ChatToken {
    /// Its text.
    pub(crate) token: String,
    /// Logarithm of its probability.
    pub(crate) logprob: f32,
    /// The bytes of its text; none for special tokens.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl ChatLogprobs {
    /// Of one token.
    pub(crate) fn of(tokenizer: &Tokenizer, known: &TokenLogprobs) -> ChatLogprob {
        let told = |Logprob { id, logprob }: &Logprob| ChatToken {
            token: spelled(tokenizer, *id),
            logprob: finite(*logprob),
            bytes: tokenizer.bytes(*id),
        };
        ChatLogprob { token: told(&known.token), top_logprobs: known.top.iter().map(told).collect() }
    }
}

/// A token's text inside a text; a special one as the vocabulary writes it.
pub(crate) fn spelled(tokenizer: &Tokenizer, id: u32) -> String {
    match tokenizer.bytes(id) {
        None => tokenizer.token(id).unwrap_or_default(),
        Some(bytes) => String::from_utf8(bytes).unwrap_or_else(|e| {
            let bytes = e.into_bytes();
            bytes.iter().fold("bytes:".to_owned(), |text, byte| format!("{text}\\x{byte:02x}"))
        }),
    }
}

/// JSON has no infinity; OpenAI's least is this.
fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}
