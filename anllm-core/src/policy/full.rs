//! Plain causal attention: every entry of the document is kept.

use super::CachePolicy;
use crate::reach::{Reach, Walk};
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

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let walk = Walk { cut: &|_, _| false, listed: &|_| false, looks_far: &|_| false };
        Reach::by_walking(queries.len(), keys, &walk)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        entry.document == newest.document
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.position == 0
    }
}
