//! Puts the added token of AnLLM-AC into text: one `<AC>` after each sentence.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rule::AnchorRule;
use crate::sentences::SentenceSplitter;

/// Whether the last sentence of a text gets an anchor too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LastSentence {
    /// An anchor after every sentence: whole documents, demonstrations of a few-shot prompt.
    #[default]
    Marked,
    /// None after the last: a prompt whose last sentence the model is to continue, and what the paper's reference code
    /// does.
    Open,
    /// One after the last where it is finished, that is, where the splitter would begin another sentence behind it:
    /// prompts as people write them.
    Finished,
}

/// A text that cannot be a marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// The marker has no characters.
    #[error("the anchor's marker is empty (expected a text such as `{}`)", AnchorRule::ADDED_TOKEN)]
    Empty,
    /// The marker ends as it begins, so that two of them could overlap.
    #[error(
        "the anchor's marker {0:?} ends with the text it begins with, so that markers could not be told apart (expected a text such as `{token}`)",
        token = AnchorRule::ADDED_TOKEN
    )]
    Overlaps(String),
}

/// Inserts a marker after each sentence (AnLLM-AC, paper section 3.3).
///
/// The marker stands directly behind a sentence's last character, before the whitespace that follows:
/// `"One. Two."` becomes `"One.<AC> Two.<AC>"`. Nothing else changes, so that [`strip`](Self::strip) gives the text
/// back byte for byte. (The paper's reference code joins the sentences with `" <AC> "`, by which the whitespace between
/// them, line breaks included, is lost.)
///
/// Markers that a text has already are kept: sentences are looked for in the text without markers, and the result has
/// the old markers and the new. Where one stands behind a sentence or in the whitespace after it, that sentence gets no
/// second. Several at one place become one. Inserting twice is therefore the same as inserting once.
#[derive(Debug, Clone)]
pub struct AnchorInserter {
    splitter: Arc<dyn SentenceSplitter>,
    marker: String,
    last: LastSentence,
}

impl AnchorInserter {
    /// Inserts [`AnchorRule::ADDED_TOKEN`] after every sentence.
    pub fn new(splitter: Arc<dyn SentenceSplitter>) -> Self {
        Self { splitter, marker: AnchorRule::ADDED_TOKEN.to_owned(), last: LastSentence::default() }
    }

    /// With another marker.
    ///
    /// # Errors
    /// When the marker is empty, or ends with a text that it begins with.
    pub fn with_marker(self, marker: &str) -> Result<Self, MarkerError> {
        if marker.is_empty() {
            return Err(MarkerError::Empty);
        }
        // Markers that cannot overlap are found again wherever they are put, whatever stands around them.
        if marker.char_indices().skip(1).any(|(at, _)| marker.starts_with(&marker[at..])) {
            return Err(MarkerError::Overlaps(marker.to_owned()));
        }
        Ok(Self { marker: marker.to_owned(), ..self })
    }

    /// With or without a marker after a text's last sentence.
    pub fn with_last(self, last: LastSentence) -> Self {
        Self { last, ..self }
    }

    /// The marker.
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// The splitter.
    pub fn splitter(&self) -> &dyn SentenceSplitter {
        self.splitter.as_ref()
    }

    /// `text` with a marker after each sentence.
    pub fn insert(&self, text: &str) -> String {
        self.insert_with(text, self.last)
    }

    /// The same for a text whose last sentence is known to have ended.
    pub(super) fn insert_all(&self, text: &str) -> String {
        self.insert_with(text, LastSentence::Marked)
    }

    fn insert_with(&self, text: &str, last: LastSentence) -> String {
        let (plain, mut marks) = self.take_out(text);
        let sentences = self.splitter.sentences(&plain);
        for (i, sentence) in sentences.iter().enumerate() {
            let next = sentences.get(i + 1).map(|next| next.start);
            let marked = match last {
                LastSentence::Marked => true,
                LastSentence::Open => next.is_some(),
                LastSentence::Finished => next.is_some() || self.is_finished(&plain, sentence.end),
            };
            if !marked {
                break;
            }
            // The next sentence begins behind this one; the order is the splitter's promise, and is not relied on.
            let next = next.unwrap_or(plain.len()).max(sentence.end);
            if marks.range(sentence.end..=next).next().is_none() {
                marks.insert(sentence.end);
            }
        }
        self.put_in(&plain, &marks)
    }

    /// `text` without markers. Each marker of the text is taken out once: what its neighbours form together stays.
    pub fn strip(&self, text: &str) -> String {
        text.replace(&self.marker, "")
    }

    /// Where in `text` the last sentence begins that another stands before and `room` bytes follow; markers before it
    /// belong to what stands before.
    pub(super) fn settled(&self, text: &str, room: usize) -> Option<usize> {
        // Where each part between markers begins: in the text without markers, and in the text.
        let mut parts = vec![(0, 0)];
        let mut plain = String::with_capacity(text.len());
        for (number, part) in text.split(&self.marker).enumerate() {
            if number > 0 {
                parts.push((plain.len(), plain.len() + number * self.marker.len()));
            }
            plain.push_str(part);
        }
        let sentences = self.splitter.sentences(&plain);
        let last = sentences.iter().skip(1).rev().find(|sentence| plain.len() - sentence.start >= room)?;
        let (from, at) = parts.iter().rev().find(|(from, _)| *from <= last.start)?;
        Some(at + last.start - from)
    }

    /// Whether another sentence behind `text` would leave the one that ends at `end` as it is.
    fn is_finished(&self, text: &str, end: usize) -> bool {
        self.splitter.sentences(&format!("{text} The")).iter().any(|sentence| sentence.end == end)
    }

    /// The text without markers, and where in it they stood.
    fn take_out(&self, text: &str) -> (String, BTreeSet<usize>) {
        let mut plain = String::with_capacity(text.len());
        let mut marks = BTreeSet::new();
        let mut parts = text.split(&self.marker);
        plain.push_str(parts.next().unwrap_or_default());
        for part in parts {
            marks.insert(plain.len());
            plain.push_str(part);
        }
        (plain, marks)
    }

    fn put_in(&self, plain: &str, marks: &BTreeSet<usize>) -> String {
        let mut text = String::with_capacity(plain.len() + marks.len() * self.marker.len());
        let mut from = 0;
        for &mark in marks {
            text.push_str(plain.get(from..mark).unwrap_or_default());
            text.push_str(&self.marker);
            from = mark;
        }
        text.push_str(plain.get(from..).unwrap_or_default());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentences::Sentencex;

    fn inserter() -> AnchorInserter {
        AnchorInserter::new(Arc::new(Sentencex::default()))
    }

    #[test]
    fn stands_behind_the_sentence_and_keeps_the_whitespace() {
        assert_eq!(inserter().insert(" One.  Two?\n\nThree \n"), " One.<AC>  Two?<AC>\n\nThree<AC> \n");
        assert_eq!(inserter().insert(" \n"), " \n");
        let open = inserter().with_last(LastSentence::Open);
        assert_eq!(open.insert("One. Two."), "One.<AC> Two.");
        assert_eq!(open.insert("One. Two.<AC>"), "One.<AC> Two.<AC>");
    }

    #[test]
    fn a_prompt_is_open_where_its_last_sentence_goes_on() {
        let inserter = inserter().with_last(LastSentence::Finished);
        for (text, expected) in [
            ("One. Two is", "One.<AC> Two is"),
            ("One. Two.", "One.<AC> Two.<AC>"),
            ("One. Two?\n", "One.<AC> Two?<AC>\n"),
            ("One. Two,\n", "One.<AC> Two,\n"),
            ("Two.<AC>", "Two.<AC>"),
            ("", ""),
        ] {
            assert_eq!(inserter.insert(text), expected);
            assert_eq!(inserter.insert(expected), expected);
        }
    }

    #[test]
    fn keeps_the_markers_that_are_there() {
        let marked = "One, <AC>not two. <AC> Three.<AC>";
        assert_eq!(inserter().insert(marked), marked);
        assert_eq!(inserter().insert("One.<AC><AC> Two."), "One.<AC> Two.<AC>");
        assert_eq!(inserter().insert("<AC>One. Two."), "<AC>One.<AC> Two.<AC>");
        assert_eq!(inserter().strip(marked), "One, not two.  Three.");
    }

    #[test]
    fn refuses_markers_that_could_overlap() {
        assert_eq!(inserter().with_marker("").unwrap_err(), MarkerError::Empty);
        for marker in ["aa", "|x|", " <AC> ", "éxé"] {
            assert_eq!(inserter().with_marker(marker).unwrap_err(), MarkerError::Overlaps(marker.to_owned()));
        }
        assert_eq!(inserter().with_marker("|").unwrap().insert("One. Two."), "One.| Two.|");
    }
}
