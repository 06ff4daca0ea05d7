//! The demonstrations of a few-shot prompt, as if each were a sentence.

use std::ops::Range;

use super::{SentenceSplitter, between};

/// Parts of a text that end with a separator, by default a blank line. A separator that is not whitespace belongs to the
/// part that it ends.
///
/// With this splitter [`AnchorInserter`](crate::AnchorInserter) puts one `<AC>` at the end of each demonstration, as
/// the paper does for few-shot prompts (section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Demonstrations {
    separator: String,
}

impl Default for Demonstrations {
    fn default() -> Self {
        Self { separator: "\n\n".to_owned() }
    }
}

impl Demonstrations {
    /// With another separator; `None` where it is empty.
    pub fn separated_by(separator: &str) -> Option<Self> {
        (!separator.is_empty()).then(|| Self { separator: separator.to_owned() })
    }

    /// What stands between two demonstrations.
    pub fn separator(&self) -> &str {
        &self.separator
    }
}

impl SentenceSplitter for Demonstrations {
    fn sentences(&self, text: &str) -> Vec<Range<usize>> {
        between(text, text.match_indices(&self.separator).map(|(at, separator)| at + separator.len()))
    }

    fn name(&self) -> String {
        let separator = self.separator.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t");
        format!("demonstrations:{separator}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{AnchorInserter, LastSentence};

    fn parts<'a>(splitter: &Demonstrations, text: &'a str) -> Vec<&'a str> {
        splitter.sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_demonstration_ends_at_the_separator() {
        let text = "Q: a?\nA: b.\n\n\n Q: c?\nA: d.\n\n";
        assert_eq!(parts(&Demonstrations::default(), text), ["Q: a?\nA: b.", "Q: c?\nA: d."]);
        assert_eq!(parts(&Demonstrations::separated_by("##").unwrap(), "one. two ##\né##"), ["one. two ##", "é##"]);
        assert_eq!(parts(&Demonstrations::default(), "\n\n\n\n"), [""; 0]);
        assert!(Demonstrations::separated_by("").is_none());
    }

    #[test]
    fn the_question_at_the_end_stays_open() {
        let inserter = AnchorInserter::new(Arc::new(Demonstrations::default())).with_last(LastSentence::Finished);
        let prompt = "Q: a. b?\nA: c\n\nQ: d?\nA: e\n\nQ: f?\nA:";
        assert_eq!(inserter.insert(prompt), "Q: a. b?\nA: c<AC>\n\nQ: d?\nA: e<AC>\n\nQ: f?\nA:");
        assert_eq!(inserter.insert("Q\n\nA\n\n"), "Q<AC>\n\nA<AC>\n\n", "a separator ends the last one too");
    }
}
