//! A sliding window: the last tokens, and nothing else.

use std::num::NonZeroUsize;

use super::{CachePolicy, Positions, Span, among_last, next_sees};
use crate::reach::{Reach, Walk};
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// Attention over the last tokens, the query included. Anchors are tokens like others.
///
/// Positions are the original ones; since only distances count, the context of the model limits the window and not the
/// text. A layer sees the window of the one below, so that information travels further than the window is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowPolicy {
    /// How many tokens each token sees, itself included.
    pub window: NonZeroUsize,
}

impl CachePolicy for WindowPolicy {
    fn name(&self) -> String {
        format!("window:{}", self.window)
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.explain(query, key).allowed()
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        let verdict = if among_last(query, key, self.window.get()) { Verdict::InWindow } else { Verdict::BehindWindow };
        apart(query, key).unwrap_or(verdict)
    }

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let near = |query: &Place, key: &Place| among_last(query, key, self.window.get());
        Reach::by_walking(
            queries.len(),
            keys,
            &Walk {
                near: &near,
                listed: &|_| false,
                forgotten: &|_, _| false,
                alone: &|_| false,
                positions: Positions::Original,
            },
        )
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        entry.document == newest.document && next_sees(entry, newest, self.window.get())
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.position == 0 || newest.position + 1 >= self.window.get()
    }

    fn span(&self) -> Span {
        Span::Tokens(self.window.get())
    }
}
