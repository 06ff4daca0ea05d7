//! How large a sequence's cache can become.

use anllm_core::Span;
use anllm_kernels::Kernels;

use super::{Engine, Session};

impl<B: Kernels> Engine<B> {
    /// The most entries that `session` holds at a time, if `ids` come next and then `more` tokens that nobody knows yet:
    /// exact for `ids`, the worst case for the others.
    pub fn most_entries(&self, session: &Session<B>, ids: &[u32], more: usize) -> usize {
        let policy = session.cache().policy();
        let mut ledger = session.cache().ledger().clone();
        let mut tracker = session.tracker();
        for place in session.places_of(ids) {
            ledger.enter(policy, place);
            tracker.push(place.anchor);
        }
        let limit = self.config().max_positions;
        let (more, limit) = match policy.span() {
            Span::Text => (more.min(limit.saturating_sub(ledger.seen())), limit),
            // After twice as many tokens as it looks back over, nothing changes any more.
            Span::Tokens(span) => (more.min(span.saturating_mul(2)), usize::MAX),
            Span::Entries => (more, limit),
        };
        // Each token adds one entry at most.
        let all = ledger.peak().max(ledger.entries().len().saturating_add(more)).min(limit.max(ledger.peak()));
        let after = |anchors: bool| {
            let (mut ledger, mut tracker) = (ledger.clone(), tracker);
            for _ in 0..more {
                ledger.enter(policy, tracker.push(anchors));
                if ledger.peak() >= all {
                    break;
                }
            }
            ledger.peak().min(all)
        };
        // Policies that drop nothing before an anchor comes hold most without any, those that keep anchors hold most
        // when all are.
        let without = after(false);
        if without >= all { all } else { without.max(after(true)) }
    }
}
