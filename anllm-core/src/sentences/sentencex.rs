//! Rules and word lists: the library `sentencex` behind the trait.

use std::ops::Range;

use ::sentencex::{get_sentence_boundaries, languages::get_fallbacks};

use super::{SentenceSplitter, SplitterError, between};

/// The languages with rules of their own; others are sent to one of them by the library's table of close languages.
const OWN_RULES: [&str; 31] = [
    "am", "ar", "bg", "bn", "ca", "da", "de", "el", "en", "es", "fi", "fr", "gu", "hi", "hy", "it", "ja", "kk", "kn",
    "ml", "mr", "my", "nl", "pa", "pl", "pt", "ru", "sk", "ta", "te", "uk",
];

/// Languages that the library splits well by the marks of all languages (`。`, `۔`), without rules of their own.
const MARKS_ONLY: [&str; 2] = ["ur", "zh"];

/// The splitter of the library [`sentencex`](https://docs.rs/sentencex): terminators, abbreviations, quotes and lists by
/// hand-written rules. In doubt it does not split. An empty line, or one of blanks alone, always ends a sentence.
///
/// The time it takes can grow with the square of the longest paragraph, so that a book without empty lines is slow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sentencex {
    language: String,
}

impl Sentencex {
    /// The rules of a language, by its code as Wikipedia writes it (`en`, `de`, `pt-br`). Languages without rules of
    /// their own get those of a close one.
    ///
    /// # Errors
    /// When the library knows nothing of the language. (It would use the English rules without a word.)
    pub fn new(language: &str) -> Result<Self, SplitterError> {
        let listed = OWN_RULES.contains(&language) || MARKS_ONLY.contains(&language);
        match listed || get_fallbacks(language).is_some() {
            true => Ok(Self { language: language.to_owned() }),
            false => Err(SplitterError::Language { language: language.to_owned(), known: OWN_RULES.join(", ") }),
        }
    }
}

impl Default for Sentencex {
    /// English.
    fn default() -> Self {
        Self { language: "en".to_owned() }
    }
}

impl SentenceSplitter for Sentencex {
    fn sentences(&self, text: &str) -> Vec<Range<usize>> {
        let starts = paragraphs(text).flat_map(|paragraph| {
            let sentences = get_sentence_boundaries(&self.language, &text[paragraph.clone()]);
            let inside = sentences.into_iter().map(move |sentence| paragraph.start + sentence.start_byte);
            // A paragraph begins a sentence whatever the library makes of it.
            std::iter::once(paragraph.start).chain(inside)
        });
        // Its sentences carry the whitespace after them.
        between(text, starts)
    }

    fn name(&self) -> String {
        format!("sentencex:{}", self.language)
    }
}

/// The stretches of text up to and with a line of whitespace alone. The library's time grows with the square of a
/// paragraph's length, and it ends paragraphs at empty lines only, not at lines of blanks.
fn paragraphs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut lines = text.split_inclusive('\n');
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end;
        for line in lines.by_ref() {
            end += line.len();
            if line.trim_start().is_empty() {
                break;
            }
        }
        (end > start).then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_whitespace_and_keeps_abbreviations_together() {
        let text = " Mr. Smith paid $3.50.  He left\nearly. \n\nWhy? \n No title \n \t\r\n";
        let sentences: Vec<_> = Sentencex::default().sentences(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(sentences, ["Mr. Smith paid $3.50.", "He left\nearly.", "Why?", "No title"]);
    }

    #[test]
    fn every_listed_language_splits() {
        for language in OWN_RULES.iter().chain(&MARKS_ONLY).chain(&["pt-br", "zh-hans"]) {
            assert_eq!(Sentencex::new(language).unwrap().sentences("One! Two!"), [0..4, 5..9], "{language}");
        }
    }
}
