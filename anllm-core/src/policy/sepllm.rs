//! SepLLM (Chen et al. 2024, arXiv 2412.12094): the first tokens, every separator, and the last tokens.

use std::num::NonZeroUsize;

use super::{CachePolicy, Positions, among_last, next_sees};
use crate::reach::{Reach, Walk};
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// Attention over the document's first tokens, all separators, which are the anchors of the rule, and the last tokens.
///
/// Separators see what every token sees; this is the difference to the anchor policy, along with the window, which ends
/// anywhere in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SepLlmPolicy {
    /// How many of the first tokens are always seen.
    pub sinks: usize,
    /// How many of the last tokens each token sees, itself included.
    pub window: NonZeroUsize,
    /// Original, as in the paper's training, or renumbered, as where its authors stream.
    pub positions: Positions,
}

impl SepLlmPolicy {
    fn stays(&self, key: &Place) -> bool {
        key.anchor || key.position < self.sinks
    }
}

impl CachePolicy for SepLlmPolicy {
    fn name(&self) -> String {
        let renumber = if self.positions == Positions::Renumbered { ",renumber" } else { "" };
        format!("sepllm:{}+{}{renumber}", self.sinks, self.window)
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.explain(query, key).allowed()
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        match apart(query, key) {
            Some(blocked) => blocked,
            None if among_last(query, key, self.window.get()) => Verdict::InWindow,
            None if key.position < self.sinks => Verdict::Sink,
            None if key.anchor => Verdict::Separator,
            None => Verdict::BehindWindow,
        }
    }

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let walk = Walk {
            near: &|query, key| among_last(query, key, self.window.get()),
            listed: &|key| self.stays(key),
            forgotten: &|_, _| false,
            alone: &|_| false,
            positions: self.positions,
        };
        Reach::by_walking(queries.len(), keys, &walk)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        entry.document == newest.document && (self.stays(entry) || next_sees(entry, newest, self.window.get()))
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.position == 0 || newest.position + 1 >= self.sinks.saturating_add(self.window.get())
    }

    fn positions(&self) -> Positions {
        self.positions
    }
}
