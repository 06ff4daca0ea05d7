//! Which tokens are anchors: the rule as data, and the rule resolved against one vocabulary.

mod matcher;
mod rule;

pub use matcher::{AnchorMatcher, ResolveError, Vocabulary};
pub use rule::{AnchorRule, RuleChoice, RuleError};
