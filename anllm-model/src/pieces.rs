//! Tokens of a text that comes piece by piece and is never held whole.

use crate::tokenizer::{Framing, Tokenizer, TokenizerError};

/// Encodes a text as it comes: the tokens in order are those of the whole text at once.
///
/// Texts are cut between a letter and the space behind it. Every tokenizer of the supported families decides about
/// words on either side of such a place alone. A text that has none for a long while, a megabyte of base 64, is cut
/// anywhere: two words there become tokens apart.
#[derive(Debug)]
pub struct PieceEncoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Text that no token was made of yet.
    open: String,
    /// What the tokenizer puts behind a text, once the first piece has shown it.
    closing: Option<Vec<u32>>,
    /// How many tokens the tokenizer put before the text.
    lead: usize,
}

impl<'a> PieceEncoder<'a> {
    /// How much text is encoded at a time, in bytes.
    const PIECE: usize = 1 << 14;
    /// How much is held for lack of a place to cut.
    const MOST: usize = 1 << 20;
    /// What stands before each piece but the first while it is encoded, so that the tokenizer does not take the piece
    /// for the start of a text, where some put a space.
    const BEFORE: &'static str = "a";

    /// For a text that begins here, with the tokens that frame one.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, open: String::new(), closing: None, lead: 0 }
    }

    /// For a text that goes on here, behind another.
    pub fn behind(tokenizer: &'a Tokenizer) -> Self {
        Self { closing: Some(Vec::new()), ..Self::new(tokenizer) }
    }

    /// How many tokens the tokenizer put before the text, begin-of-sequence, once there are any tokens.
    pub fn lead(&self) -> usize {
        self.lead
    }

    /// Takes the next piece, however long, and returns the tokens that are sure.
    ///
    /// # Errors
    /// When the tokenizer has no token for a part of the text.
    pub fn push(&mut self, piece: &str) -> Result<Vec<u32>, TokenizerError> {
        self.open.push_str(piece);
        let mut ids = Vec::new();
        while self.open.len() >= 2 * Self::PIECE {
            let cut = match cut(&self.open, Self::PIECE) {
                Some(cut) => cut,
                None if self.open.len() < Self::MOST => break,
                None => self.open.floor_char_boundary(Self::MOST / 2),
            };
            let rest = self.open.split_off(cut);
            let sure = std::mem::replace(&mut self.open, rest);
            ids.extend(self.encode(&sure)?);
        }
        Ok(ids)
    }

    /// The tokens of the rest: the text ends here.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self) -> Result<Vec<u32>, TokenizerError> {
        let rest = std::mem::take(&mut self.open);
        let mut ids = if rest.is_empty() && self.closing.is_some() { Vec::new() } else { self.encode(&rest)? };
        ids.extend(self.closing.take().into_iter().flatten());
        Ok(ids)
    }

    fn encode(&mut self, piece: &str) -> Result<Vec<u32>, TokenizerError> {
        if self.closing.is_none() {
            // The first piece: what frames it stands before and behind its own tokens.
            let framed = self.tokenizer.encode(piece, Framing::Framed)?;
            let own = self.tokenizer.encode(piece, Framing::Bare)?.len();
            let frame = self.tokenizer.encode("", Framing::Framed)?;
            let behind = framed.len() - own;
            let before = frame.iter().zip(&framed).take_while(|(a, b)| a == b).count().min(behind);
            let (opening, closing) = framed.split_at(before + own);
            self.closing = Some(closing.to_vec());
            self.lead = before;
            return Ok(opening.to_vec());
        }
        let before = self.tokenizer.encode(Self::BEFORE, Framing::Bare)?;
        let mut ids = self.tokenizer.encode(&format!("{}{piece}", Self::BEFORE), Framing::Bare)?;
        match ids.starts_with(&before) {
            true => ids.drain(..before.len()).for_each(drop),
            false => ids = self.tokenizer.encode(piece, Framing::Bare)?,
        }
        Ok(ids)
    }
}

/// The first place from byte `from` on where a letter meets a space that a letter follows.
fn cut(text: &str, from: usize) -> Option<usize> {
    let start = text.ceil_char_boundary(from);
    let mut chars = text[start..].char_indices();
    let mut before = chars.next()?.1;
    let mut chars = chars.peekable();
    while let Some((at, c)) = chars.next() {
        let behind = chars.peek().is_some_and(|(_, c)| c.is_alphabetic());
        if before.is_alphabetic() && c == ' ' && behind {
            return Some(start + at);
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checkpoint;
    use std::path::Path;

    #[test]
    fn pieces_give_the_tokens_of_the_whole() {
        let text =
            include_str!("../../testdata/stories.jsonl").replace(". ", ".  \n\n ¿Qué?  ").repeat(60) + " the end";
        let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
        for model in ["tiny/llama-gqa-tied", "tiny/mistral", "tiny/qwen3", "gguf/llama-tiny.gguf"] {
            let tokenizer = Checkpoint::open(&testdata.join(model)).unwrap().tokenizer().unwrap();
            let whole = tokenizer.encode(&text, Framing::Framed).unwrap();
            for size in [1000, 70_000, usize::MAX] {
                let mut encoder = PieceEncoder::new(&tokenizer);
                let mut ids = Vec::new();
                let mut rest = &text[..];
                while !rest.is_empty() {
                    let (piece, later) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
                    ids.extend(encoder.push(piece).unwrap());
                    rest = later;
                }
                ids.extend(encoder.finish().unwrap());
                assert!(ids == whole, "{model} in pieces of {size}: {} tokens, {} expected", ids.len(), whole.len());
            }
            // What follows a text has the tokens that it has in the whole, and no frame.
            let (first, second) = text.split_at(text.find(" was").unwrap());
            let mut encoder = PieceEncoder::new(&tokenizer);
            let mut ids = encoder.push(first).unwrap();
            ids.extend(encoder.finish().unwrap());
            let lead = encoder.lead();
            let bare = tokenizer.encode(first, Framing::Bare).unwrap();
            assert_eq!(ids[lead..lead + bare.len()], bare, "{model}");
            ids.truncate(lead + bare.len());
            let mut encoder = PieceEncoder::behind(&tokenizer);
            ids.extend(encoder.push(second).unwrap());
            ids.extend(encoder.finish().unwrap());
            assert!(whole.starts_with(&ids), "{model}: in two texts");
            assert_eq!(PieceEncoder::new(&tokenizer).finish().unwrap(), tokenizer.encode("", Framing::Framed).unwrap());
        }
    }

    #[test]
    fn texts_are_cut_before_spaces_between_letters() {
        assert_eq!(cut("one two", 0), Some(3));
        assert_eq!(cut("one  two. three\n four 5 six é e", 1), Some(27));
        assert_eq!(cut("one", 0), None);
        assert_eq!(cut("", 0), None);
    }
}
