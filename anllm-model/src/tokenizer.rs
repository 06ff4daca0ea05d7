//! Text to token ids and back, by the `tokenizers` library, and what anchor rules need to know of a vocabulary.

use std::path::{Path, PathBuf};

use anllm_core::Vocabulary;

use crate::checkpoint::CheckpointError;

/// A tokenizer, with the file it came from for messages.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    spelling: Spelling,
    size: usize,
    hash: String,
}

/// Whether the tokens that frame a text (begin-of-sequence, …) are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As the tokenizer's post-processor says: for the start of a text.
    Framed,
    /// None added: for text that continues another.
    Bare,
}

/// How a vocabulary writes bytes and spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// GPT-2's: each byte is one printable character.
    ByteLevel,
    /// SentencePiece's: "▁" is a space, `<0x0A>` a byte.
    SentencePiece,
}

/// Text that the tokenizer refuses.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the tokenizer cannot {action}: {reason}")]
pub struct TokenizerError {
    path: PathBuf,
    action: &'static str,
    reason: String,
}

impl Tokenizer {
    /// Reads the text of a `tokenizer.json`. `path` is for messages.
    ///
    /// # Errors
    /// When the text is not a tokenizer.
    pub fn from_json(path: &Path, text: &str) -> Result<Self, CheckpointError> {
        let bad = |e: tokenizers::Error| {
            let what = format!("not a tokenizer that the `tokenizers` library reads: {e}");
            CheckpointError::malformed(path, what, "use the tokenizer.json that came with the model")
        };
        let hash = blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
        let mut inner = tokenizers::Tokenizer::from_bytes(text).map_err(bad)?;
        // Texts are never cut or padded silently, whatever the file asks for.
        inner.with_truncation(None).map_err(bad)?;
        inner.with_padding(None);
        let vocab = inner.get_vocab(true);
        let size = vocab.values().max().map_or(0, |last| *last as usize + 1);
        let decoder = serde_json::to_string(&inner.get_decoder()).unwrap_or_default();
        let spelling = match decoder.contains("ByteLevel") {
            true => Spelling::ByteLevel,
            false => Spelling::SentencePiece,
        };
        Ok(Self { path: path.to_owned(), inner, spelling, size, hash })
    }

    /// What tells this tokenizer from another: a hash of its `tokenizer.json`.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The ids of `text`.
    ///
    /// # Errors
    /// When the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str, framing: Framing) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, framing == Framing::Framed);
        Ok(encoding.map_err(|e| self.error("encode this text", &e))?.get_ids().to_vec())
    }

    /// The text of `ids`, without special tokens.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(ids, true).map_err(|e| self.error("decode these tokens", &e))
    }

    /// A token as the vocabulary file writes it: "Ġthe", "▁the", "<|im_end|>".
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether the token is a special one, which decoding leaves out.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// Starts decoding the tokens that follow `context`, which matters for spaces: some tokenizers drop the one at the
    /// start of a text, and only there.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn stream(&self, context: &[u32]) -> Result<TextStream<'_>, TokenizerError> {
        /// Enough tokens to hold whole characters before the first new one.
        const CONTEXT: usize = 8;
        let ids = context[context.len().saturating_sub(CONTEXT)..].to_vec();
        let emitted = self.decode(&ids)?.len();
        Ok(TextStream { tokenizer: self, all: ids.clone(), ids, prefix: String::new(), prefix_index: 0, emitted })
    }

    /// The bytes a token stands for inside a text; `None` for special tokens and gaps.
    pub fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        if self.is_special(id) {
            return None;
        }
        let token = self.inner.id_to_token(id)?;
        // Added tokens stand for themselves, whatever the spelling.
        if self.inner.get_added_tokens_decoder().contains_key(&id) {
            return Some(token.into_bytes());
        }
        match self.spelling {
            Spelling::ByteLevel => token.chars().map(byte_of).collect(),
            Spelling::SentencePiece => {
                let byte = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
                match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => Some(vec![byte]),
                    None => Some(token.replace('▁', " ").into_bytes()),
                }
            }
        }
    }

    fn error(&self, action: &'static str, reason: &dyn std::fmt::Display) -> TokenizerError {
        TokenizerError { path: self.path.clone(), action, reason: reason.to_string() }
    }
}

impl Vocabulary for Tokenizer {
    fn size(&self) -> usize {
        self.size
    }

    fn text(&self, id: u32) -> Option<String> {
        self.bytes(id).and_then(|bytes| String::from_utf8(bytes).ok())
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

/// The byte that GPT-2's alphabet writes as `c`: printable Latin-1 characters stand for themselves, the other 68
/// bytes, in order, for the characters from U+0100 on.
fn byte_of(c: char) -> Option<u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(c) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(|b| printable(*b)),
        code => (0..=u8::MAX).filter(|b| !printable(*b)).nth(usize::try_from(code - 0x100).ok()?),
    }
}

/// Turns tokens into text as they come. Bytes of an unfinished character are held back until they are whole.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The window of tokens the library still needs, kept by [`tokenizers::tokenizer::step_decode_stream`].
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
    /// The context and every token since.
    all: Vec<u32>,
    /// Bytes of the text of `all` that came before or were given out.
    emitted: usize,
}

impl TextStream<'_> {
    /// The text that `id` completes; empty while a character is unfinished.
    ///
    /// # Errors
    /// When the id is beyond the vocabulary.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.all.push(id);
        let step = tokenizers::tokenizer::step_decode_stream(
            &self.tokenizer.inner,
            vec![id],
            true,
            &mut self.ids,
            &mut self.prefix,
            &mut self.prefix_index,
        );
        let text = step.map_err(|e| self.tokenizer.error("decode these tokens", &e))?.unwrap_or_default();
        self.emitted += text.len();
        Ok(text)
    }

    /// What is still held back: a character that never became whole, as U+FFFD.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary.
    pub fn finish(self) -> Result<String, TokenizerError> {
        let whole = self.tokenizer.decode(&self.all)?;
        Ok(whole.get(self.emitted..).unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt2_spelling_covers_every_byte_once() {
        let chars = (0u32..0x144).filter_map(char::from_u32).filter_map(byte_of);
        let mut bytes: Vec<u8> = chars.collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte_of('Ġ'), byte_of('Ċ'), byte_of('.')), (Some(b' '), Some(b'\n'), Some(b'.')));
        assert_eq!(byte_of('▁'), None);
    }
}
