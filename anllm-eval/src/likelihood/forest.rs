//! Token sequences as a forest: what several of them begin with becomes one run.

use anllm_infer::{Continuations, Engine, Session};
use anllm_kernels::Kernels;

use super::encode::Encoded;

/// A token whose likelihood is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which token of the row predicts it.
    pub(super) slot: usize,
    /// The token.
    pub(super) id: u32,
    /// Which text it is of.
    pub(super) text: usize,
}

/// Runs of several texts behind a session, and the tokens that are scored.
pub(super) struct Forest {
    pub(super) continuations: Continuations,
    pub(super) wanted: Vec<Wanted>,
}

impl Forest {
    /// Of `texts`, whose first `shared` tokens are what `session` has seen.
    pub(super) fn new<B: Kernels>(engine: &Engine<B>, session: &Session<B>, shared: usize, texts: &[&Encoded]) -> Self {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| texts[text].fed());
        let mut forest = Self { continuations: engine.continuations(session), wanted: Vec::new() };
        // Ranges of `order` whose texts agree up to a depth, with the run that ends there; the first ones come last.
        let mut ahead = by_next_token(texts, &order, shared).map(|range| (range, shared, None)).collect::<Vec<_>>();
        ahead.reverse();
        while let Some((range, depth, parent)) = ahead.pop() {
            let members = &order[range.clone()];
            let (first, last) = (texts[members[0]].fed(), texts[members[members.len() - 1]].fed());
            // In sorted order the first and the last agree on what all agree on.
            let end = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            let (run, start) = engine.branch(&mut forest.continuations, parent, &first[depth..end]);
            for &text in members {
                let Encoded { ids, context, .. } = texts[text];
                let scored = (context - 1).max(depth)..end;
                let wanted = scored.map(|at| Wanted { slot: start + at - depth, id: ids[at + 1], text });
                forest.wanted.extend(wanted);
            }
            let inner = by_next_token(texts, members, end);
            let mut inner: Vec<_> =
                inner.map(|part| (range.start + part.start..range.start + part.end, end, Some(run))).collect();
            inner.reverse();
            ahead.append(&mut inner);
        }
        forest
    }
}

/// Parts of `members`, sorted texts that agree up to `depth`, that go on with the same token. Texts that end there are
/// done.
fn by_next_token<'a>(
    texts: &'a [&'a Encoded],
    members: &'a [usize],
    depth: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    let next = move |text: &usize| texts[*text].fed().get(depth);
    let mut start = 0;
    members.chunk_by(move |a, b| next(a) == next(b)).filter_map(move |part| {
        let range = start..start + part.len();
        start = range.end;
        next(&part[0]).map(|_| range)
    })
}
