//! Which tokens are anchors: the rule as data, the rule resolved against one vocabulary, and the added token put into
//! text.

mod insert;
mod matcher;
mod pieces;
mod rule;

pub use insert::{AnchorInserter, LastSentence, MarkerError};
pub use matcher::{AnchorMatcher, ResolveError, Vocabulary};
pub use pieces::PieceInserter;
pub use rule::{AnchorRule, RuleChoice, RuleError};
