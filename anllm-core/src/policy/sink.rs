//! StreamingLLM (Xiao et al. 2024, arXiv 2309.17453): the first tokens, on which models rest attention that has nowhere
//! to go, and the last ones, numbered as if nothing stood between.

use std::num::NonZeroUsize;

use super::{CachePolicy, Positions, Span, among_last, next_sees};
use crate::reach::{Reach, Walk};
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// Attention over the document's first tokens and the last ones, positions renumbered. Anchors are tokens like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SinkPolicy {
    /// How many of the first tokens are always seen.
    pub sinks: usize,
    /// How many of the last tokens each token sees, itself included.
    pub window: NonZeroUsize,
}

impl CachePolicy for SinkPolicy {
    fn name(&self) -> String {
        format!("sink:{}+{}", self.sinks, self.window)
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.explain(query, key).allowed()
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        match apart(query, key) {
            Some(blocked) => blocked,
            None if among_last(query, key, self.window.get()) => Verdict::InWindow,
            None if key.position < self.sinks => Verdict::Sink,
            None => Verdict::BehindWindow,
        }
    }

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let walk = Walk {
            near: &|query, key| among_last(query, key, self.window.get()),
            listed: &|key| key.position < self.sinks,
            forgotten: &|_, _| false,
            alone: &|_| false,
            positions: Positions::Renumbered,
        };
        Reach::by_walking(queries.len(), keys, &walk)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        let stays = entry.position < self.sinks || next_sees(entry, newest, self.window.get());
        entry.document == newest.document && stays
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.position == 0 || newest.position + 1 >= self.sinks.saturating_add(self.window.get())
    }

    fn positions(&self) -> Positions {
        Positions::Renumbered
    }

    fn span(&self) -> Span {
        Span::Tokens(self.sinks.saturating_add(self.window.get()))
    }
}
