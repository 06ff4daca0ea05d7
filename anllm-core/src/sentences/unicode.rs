//! Sentence boundaries of Unicode Standard Annex 29, by the library `unicode-segmentation`.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{SentenceSplitter, between};

/// [Unicode Standard Annex 29](https://www.unicode.org/reports/tr29/#Sentence_Boundaries): the default boundaries of
/// any language, from the properties of characters alone. It knows no abbreviations (`Mr. Smith` is split), and every
/// line break ends a sentence, so that hard-wrapped text is cut into lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unicode;

impl SentenceSplitter for Unicode {
    fn sentences(&self, text: &str) -> Vec<Range<usize>> {
        between(text, text.split_sentence_bound_indices().map(|(start, _)| start))
    }

    fn name(&self) -> String {
        "unicode".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_by_characters_alone() {
        let text = "One (1.5). 二つ。三つ？ Mr. Four\nfive";
        let sentences: Vec<_> = Unicode.sentences(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(sentences, ["One (1.5).", "二つ。", "三つ？", "Mr.", "Four", "five"]);
    }
}
