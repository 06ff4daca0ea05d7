//! Plain causal attention: every entry of the document is kept.

use super::CachePolicy;
use crate::segments::Place;

/// Causal attention over everything seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FullPolicy;

impl CachePolicy for FullPolicy {
    fn name(&self) -> String {
        "full".to_owned()
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        key.index <= query.index && key.document == query.document
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        entry.document == newest.document
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.position == 0
    }
}
