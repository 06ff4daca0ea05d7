//! How tokens are written for people. A character's bytes may span several tokens: in running text the token that
//! begins it shows it, alone each token shows its own bytes.

use anllm_model::Tokenizer;

/// One token, in running text and alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The characters that begin in this token; joined, the tokens give the text. Special tokens show their name.
    pub(super) text: String,
    /// The token on one line, without control characters; bytes that are no text of their own as `\xE2`.
    pub(super) spelled: String,
    /// Whether this is a token without text, shown by its name.
    pub(super) special: bool,
}

/// What a vocabulary says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    /// Bytes of the text.
    Bytes(Vec<u8>),
    /// No text, but a name.
    Name(String),
}

impl Token {
    /// The token alone, with its spaces made visible.
    pub(super) fn label(&self) -> String {
        self.spelled.replace(' ', "␣")
    }

    /// [`Self::label`], cut to `width` columns.
    pub(super) fn short_label(&self, width: usize) -> String {
        let label = self.label();
        if columns(&label) <= width {
            return label;
        }
        let mut used = 1;
        let fits = |c: &char| {
            used += column(*c);
            used <= width
        };
        label.chars().take_while(fits).chain(['…']).collect()
    }
}

/// How each of `ids` is written.
pub(super) fn tokens(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<Token> {
    let raw = |&id: &u32| match tokenizer.bytes(id) {
        Some(bytes) => Raw::Bytes(bytes),
        None => Raw::Name(tokenizer.token(id).unwrap_or_else(|| format!("<id {id}>"))),
    };
    join(ids.iter().map(raw).collect())
}

/// Decodes runs of bytes together.
pub(super) fn join(raw: Vec<Raw>) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(raw.len());
    let same_kind = |a: &Raw, b: &Raw| matches!((a, b), (Raw::Bytes(_), Raw::Bytes(_)));
    for run in raw.chunk_by(same_kind) {
        let mut bytes = Vec::new();
        // Where each token of the run ends.
        let mut ends = Vec::new();
        for raw in run {
            match raw {
                Raw::Name(name) => {
                    tokens.push(Token { text: name.clone(), spelled: escape(name), special: true });
                }
                Raw::Bytes(own) => {
                    bytes.extend_from_slice(own);
                    ends.push(bytes.len());
                    tokens.push(Token { text: String::new(), spelled: spell(own), special: false });
                }
            }
        }
        let first = tokens.len() - run.len();
        let mut owner = 0;
        for (at, c) in characters(&bytes) {
            while ends[owner] <= at {
                owner += 1;
            }
            tokens[first + owner].text.push(c);
        }
    }
    tokens
}

/// The characters of `bytes` with the index of their first byte; what is not UTF-8 as U+FFFD.
fn characters(bytes: &[u8]) -> Vec<(usize, char)> {
    let mut found = Vec::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        found.extend(chunk.valid().char_indices().map(|(i, c)| (at + i, c)));
        at += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            found.push((at, char::REPLACEMENT_CHARACTER));
            at += chunk.invalid().len();
        }
    }
    found
}

/// One token's bytes on one line.
fn spell(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&escape(chunk.valid()));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' => escaped.push(c),
            _ => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

/// A character of running text, fit for a terminal and for markup: line breaks and tabs stay, other control
/// characters are written out.
pub(super) fn push_visible(text: &mut String, c: char) {
    match c {
        '\n' | '\t' => text.push(c),
        c if c.is_control() => text.extend(c.escape_default()),
        c => text.push(c),
    }
}

/// How many columns a terminal gives a text, near enough to align with.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

fn column(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD);
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: &[u8]) -> Raw {
        Raw::Bytes(bytes.to_vec())
    }

    #[test]
    fn a_character_belongs_to_the_token_that_begins_it() {
        // "a€b": the euro sign is E2 82 AC.
        let tokens = join(vec![bytes(b"a\xE2"), bytes(b"\x82"), bytes(b"\xACb")]);
        let texts: Vec<_> = tokens.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(texts, ["a€", "", "b"]);
        let spelled: Vec<_> = tokens.iter().map(|t| t.spelled.as_str()).collect();
        assert_eq!(spelled, [r"a\xE2", r"\x82", r"\xACb"]);
    }

    #[test]
    fn special_tokens_show_their_name_and_end_a_run() {
        let tokens = join(vec![bytes(b"\xE2\x82"), Raw::Name("<s>".to_owned()), bytes(b"\xACx")]);
        let texts: Vec<_> = tokens.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(texts, ["\u{FFFD}", "<s>", "\u{FFFD}x"]);
        assert!(tokens[1].special && !tokens[0].special);
    }

    #[test]
    fn labels_are_one_line_of_bounded_width() {
        let tokens = join(vec![bytes(b" a\n"), bytes(b"\x1b[31m"), bytes("日本語日本語".as_bytes())]);
        assert_eq!(tokens[0].label(), "␣a\\n");
        assert_eq!(tokens[1].label(), "\\u{1b}[31m");
        assert_eq!(tokens[2].short_label(6), "日本…");
        assert_eq!(tokens[2].short_label(12), "日本語日本語");
    }

    #[test]
    fn running_text_cannot_steer_a_terminal() {
        let mut text = String::new();
        "a\n\t\x1b[2Jb".chars().for_each(|c| push_visible(&mut text, c));
        assert_eq!(text, "a\n\t\\u{1b}[2Jb");
    }
}
