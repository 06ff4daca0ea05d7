//! Translation of sentences, each behind the same demonstrations, scored against one reference.
//!
//! ```text
//! Template, Pair ─► prompt, and where the source stands in it ─► policy that keeps the source ─► text ─► BLEU, chrF
//! ```
//!
//! Under the anchor mask alone the model translates from the source's anchor. What the paper adds is the source's own
//! entries, which are never dropped: `anchor:keep=A..B`, a span of its own for each prompt.

mod bleu;
mod chrf;
mod pairs;
mod prompt;
mod run;
mod tokens;

pub use bleu::{BLEU_SIGNATURE, BleuCounts};
pub use chrf::{CHRF_SIGNATURE, ChrfCounts};
pub use pairs::{Pair, PairError, pairs};
pub use prompt::{Kept, Prompt, Template, TemplateError};
pub use run::{Translated, TranslationError, TranslationOptions, TranslationScore, translate};
