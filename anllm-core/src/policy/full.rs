//! Plain causal attention: every entry of the document is kept.

use super::{CachePolicy, Positions};
use crate::reach::{Reach, Walk};
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// Causal attention over everything seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FullPolicy;

impl CachePolicy for FullPolicy {
    fn name(&self) -> String {
        "full".to_owned()
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.explain(query, key).allowed()
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        apart(query, key).unwrap_or(Verdict::Earlier)
    }

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let walk = Walk {
            near: &|_, _| true,
            listed: &|_| false,
            forgotten: &|_, _| false,
            alone: &|_| false,
            positions: Positions::Original,
        };
        Reach::by_walking(queries.len(), keys, &walk)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        entry.document == newest.document
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.position == 0
    }
}
