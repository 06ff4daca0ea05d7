//! The paper's policy: anchors stay, the open segment stays until its anchor has been processed, the rest goes.

use super::{CachePolicy, Positions};
use crate::reach::{Reach, Walk};
use crate::segments::Place;
use crate::visibility::Verdict;

/// The anchor mask with its reduced cache (paper, section 3.2 and Algorithm 1).
///
/// Entries are dropped when the anchor is the *input* of the forward pass. The paper's printed loop drops them when
/// the anchor is predicted, one step early, before the anchor has read its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnchorPolicy;

impl CachePolicy for AnchorPolicy {
    fn name(&self) -> String {
        "anchor".to_owned()
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        crate::visible(query, key)
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        crate::explain(query, key)
    }

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let walk = Walk {
            near: &|query, key| query.segment == key.segment,
            listed: &|key| key.anchor,
            forgotten: &|_, _| false,
            alone: &|query| query.anchor,
            positions: Positions::Original,
        };
        Reach::by_walking(queries.len(), keys, &walk)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        let open = !newest.anchor && entry.segment == newest.segment;
        entry.document == newest.document && (entry.anchor || open)
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.anchor || newest.position == 0
    }
}
