//! Where sentences begin and end, behind one trait. AnLLM-AC puts an anchor after each of them
//! ([`AnchorInserter`](crate::AnchorInserter)).
//!
//! | splitter | how it decides | good for |
//! |---|---|---|
//! | [`Sentencex`] | hand-written rules and word lists for about 30 languages | the default |
//! | [`Unicode`] | the rules of Unicode Standard Annex 29, no word lists | a language without rules of its own |
//! | [`Punkt`] | learned parameters, read from JSON | repeating the paper, which used NLTK's Punkt |
//! | [`Demonstrations`] | a blank line, or another separator, ends one | few-shot prompts: one anchor for each demonstration |

mod demonstrations;
mod kind;
mod punkt;
mod sentencex;
mod unicode;

use std::fmt::Debug;
use std::ops::Range;

pub use demonstrations::Demonstrations;
pub use kind::{SplitterError, SplitterKind};
pub use punkt::{Punkt, PunktError};
pub use sentencex::Sentencex;
pub use unicode::Unicode;

/// Finds the sentences of a text.
///
/// The contract, for any text:
/// - ranges are in bytes, on character boundaries, in order, and do not overlap;
/// - no range is empty, and none begins or ends with whitespace;
/// - what lies outside the ranges is whitespace ([`char::is_whitespace`]), so that no text is lost;
/// - the same text gives the same ranges.
pub trait SentenceSplitter: Debug + Send + Sync {
    /// The sentences of `text`, without the whitespace between and around them.
    fn sentences(&self, text: &str) -> Vec<Range<usize>>;

    /// What to call this splitter in reports and records: `sentencex:en`, `unicode`, `punkt`.
    fn name(&self) -> String;
}

/// `range` without the whitespace at its ends; `None` when nothing else is in it.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let whole = text.get(range.clone())?;
    let kept = whole.trim_start();
    let start = range.end - kept.len();
    Some(start..start + kept.trim_end().len()).filter(|kept| !kept.is_empty())
}

/// The pieces between `cuts`, trimmed. Whatever the cuts are, the contract of [`SentenceSplitter`] holds: cuts inside
/// a character are skipped, and the order does not matter.
fn between(text: &str, cuts: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = cuts.filter(|&cut| text.is_char_boundary(cut)).chain([0, text.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).filter_map(|pair| trimmed(text, pair[0]..pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cuts_give_a_tiling() {
        let text = " Ä b. \n c";
        assert_eq!(between(text, [2, 99, 7, 7, 1].into_iter()), [1..6, 9..10]);
        assert!(between("", [0].into_iter()).is_empty());
        assert!(between(" \n ", [1].into_iter()).is_empty());
    }
}
