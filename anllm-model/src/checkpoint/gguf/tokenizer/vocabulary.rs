//! The vocabulary: token texts, their kinds, and the special ones.

use std::collections::HashMap;

use super::Token;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::gguf::config::token_id;
use crate::checkpoint::gguf::cursor::DAMAGED;
use crate::checkpoint::gguf::metadata::Metadata;

const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";

/// What a token is for, `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    /// Stands for what the vocabulary cannot spell.
    Unknown,
    /// Found in text before anything else; not shown to readers.
    Control,
    /// Found in text before anything else; ordinary text.
    UserDefined,
    /// Fills a gap in the ids.
    Unused,
    /// One byte of UTF-8.
    Byte,
}

impl Kind {
    fn parse(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

/// Tokens by id and by text.
pub(super) struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: Vec<Kind>,
    ids: HashMap<&'a str, u64>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(metadata: &'a Metadata) -> Result<Self, CheckpointError> {
        let malformed = |what: String| CheckpointError::malformed(metadata.path(), what, DAMAGED);
        let tokens = metadata.texts(TOKENS)?.ok_or_else(|| metadata.missing(TOKENS))?;
        let kinds = match metadata.integers(KINDS)? {
            None => vec![Kind::Normal; tokens.len()],
            Some(numbers) if numbers.len() != tokens.len() => {
                return Err(malformed(format!(
                    "metadata `{KINDS}` has {} entries for {} tokens",
                    numbers.len(),
                    tokens.len()
                )));
            }
            Some(numbers) => numbers
                .iter()
                .enumerate()
                .map(|(id, number)| {
                    Kind::parse(*number)
                        .ok_or_else(|| malformed(format!("metadata `{KINDS}` of token {id} is {number}, not 1 to 6")))
                })
                .collect::<Result<_, _>>()?,
        };
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, text) in tokens.iter().enumerate() {
            if let Some(first) = ids.insert(text.as_str(), id as u64) {
                return Err(malformed(format!("tokens {first} and {id} are both {text:?}")));
            }
        }
        Ok(Self { tokens, kinds, ids })
    }

    /// Every token in order of ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Token<'a>, Kind)> + '_ {
        let tokens = self.tokens.iter().enumerate().map(|(id, text)| Token { id: id as u64, text });
        tokens.zip(self.kinds.iter().copied())
    }

    pub(super) fn id(&self, text: &str) -> Option<u64> {
        self.ids.get(text).copied()
    }

    /// The token that the file names as its bos, eos, unknown or padding.
    pub(super) fn special(&self, metadata: &Metadata, name: &str) -> Result<Option<Token<'a>>, CheckpointError> {
        let id = token_id(metadata, name)?;
        Ok(id.and_then(|id| Some(Token { id, text: self.tokens.get(usize::try_from(id).ok()?)? })))
    }

    /// The token for what cannot be spelled: the one of that kind, or the one that the file names.
    pub(super) fn unknown(&self, metadata: &Metadata) -> Result<Option<Token<'a>>, CheckpointError> {
        match self.iter().find(|(_, kind)| *kind == Kind::Unknown) {
            Some((token, _)) => Ok(Some(token)),
            None => self.special(metadata, "unknown"),
        }
    }
}
