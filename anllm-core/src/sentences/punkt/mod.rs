//! Punkt: sentence boundaries from what a language's abbreviations, collocations and capital letters were learned to be.
//!
//! Source: Tibor Kiss and Jan Strunk, "Unsupervised Multilingual Sentence Boundary Detection", Computational
//! Linguistics 32(4), 2006. This is the deciding half; learning is not here. Details that the paper leaves open (how
//! text is cut into words, closing quotes) follow NLTK's `PunktSentenceTokenizer` with its default settings, the
//! splitter that the AnLLM paper used, as it was then (NLTK 3.8): quotes are `"` and `'`. Later versions of NLTK take
//! typographic quotes for quotes too.
//!
//! ```text
//! text ─► candidates (".", "?", "!" and what follows) ─► words ─► verdict ─► slices ─► closing quotes moved back
//! ```

mod candidates;
mod parameters;
mod token;
mod verdict;
mod words;

use std::fmt;
use std::ops::Range;

use super::{SentenceSplitter, trimmed};
use candidates::candidates;
use parameters::Parameters;
pub use parameters::PunktError;

/// The Punkt sentence splitter with the parameters of one language.
///
/// The parameters are data that is not part of this project: NLTK's pretrained ones exist as JSON in other projects.
pub struct Punkt {
    parameters: Parameters,
}

impl Punkt {
    /// Reads parameters from JSON: an object with abbreviations, collocations, sentence starters and orthographic
    /// contexts, in either of the two shapes in use.
    ///
    /// | | keys | lists | collocations |
    /// |---|---|---|---|
    /// | neurosnap/sentences | `AbbrevTypes`, `Collocations`, `SentStarters`, `OrthoContext` | `{"dr": 1}` | `{"j,bach": 1}` |
    /// | rust-punkt | `abbrev_types`, `collocations`, `sentence_starters`, `ortho_context` | `["dr"]` | `[["j", "bach"]]` |
    ///
    /// Words are in lower case, abbreviations without their last period, every number is `##number##`. Orthographic
    /// contexts are `{"word": FLAGS}`, the sum of how a word was seen: 2, 4, 8 capitalised at a sentence's beginning,
    /// inside one, unknown where; 16, 32, 64 the same in lower case.
    ///
    /// # Errors
    /// When the text is not JSON, or one of the four parts is missing or not what it should be.
    pub fn from_json(json: &str) -> Result<Self, PunktError> {
        Parameters::from_json(json).map(|parameters| Self { parameters })
    }

    /// The text cut after each mark that ends a sentence; whitespace after the mark belongs to no slice.
    fn slices(&self, text: &str) -> Vec<Range<usize>> {
        let mut slices = Vec::new();
        let mut start = 0;
        for candidate in candidates(text) {
            if verdict::ends_sentence(&text[candidate.context], &self.parameters) {
                slices.push(start..candidate.end);
                start = candidate.next;
            }
        }
        slices.push(start..text.trim_end().len().max(start));
        slices
    }
}

/// Gives quotes and brackets that close a sentence, but come after its mark, back to it: `("Yes." ` is one sentence.
fn realign(text: &str, slices: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut realigned = Vec::with_capacity(slices.len());
    let mut taken = 0;
    for (i, slice) in slices.iter().enumerate() {
        let start = slice.start + taken;
        let next = slices.get(i + 1);
        match next.and_then(|next| Some((next, closing(&text[next.clone()])?))) {
            Some((next, (closers, with_space))) => {
                realigned.push(start..next.start + closers);
                taken = with_space;
            }
            None => {
                realigned.push(start..slice.end);
                taken = 0;
            }
        }
    }
    realigned
}

/// The length of the quotes and brackets that `text` begins with, alone and together with the whitespace after them;
/// `None` unless whitespace, a dash or the end follows.
fn closing(text: &str) -> Option<(usize, usize)> {
    let rest = text.trim_start_matches(['"', '\'', ')', ']', '}']);
    let after = rest.trim_start();
    let closers = text.len() - rest.len();
    let ends = rest.is_empty() || after.len() < rest.len() || rest.starts_with("--");
    (closers > 0 && ends).then_some((closers, text.len() - after.len()))
}

impl SentenceSplitter for Punkt {
    fn sentences(&self, text: &str) -> Vec<Range<usize>> {
        realign(text, &self.slices(text)).into_iter().filter_map(|range| trimmed(text, range)).collect()
    }

    fn name(&self) -> String {
        "punkt".to_owned()
    }
}

impl fmt::Debug for Punkt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Punkt")
            .field("abbreviations", &self.parameters.abbreviations.len())
            .field("collocations", &self.parameters.collocations.len())
            .field("starters", &self.parameters.starters.len())
            .field("contexts", &self.parameters.contexts.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
