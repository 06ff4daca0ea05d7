//! The anchor policy with more or less than the paper's cache: recent segments as they are, a span that is never dropped,
//! the last anchors alone, or positions that are counted anew.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;

use super::{CachePolicy, Positions};
use crate::reach::{Reach, Walk};
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// Positions of a document, from the first to the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeptSpan {
    /// The first position kept.
    pub start: usize,
    /// The first behind it that is not.
    pub end: usize,
}

impl KeptSpan {
    fn holds(self, place: &Place) -> bool {
        (self.start..self.end).contains(&place.position)
    }
}

/// The anchor mask and more. With every option at its default it is [`AnchorPolicy`](super::AnchorPolicy).
///
/// Anchors see their own segment and nothing else, as they were trained to: only what other tokens see grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ExtendedAnchorPolicy {
    /// How many closed segments before the open one other tokens see as they are, anchors and all.
    pub recent: usize,
    /// Tokens that are never dropped, and that later tokens see as they see anchors: a sentence to translate, an
    /// instruction. Not together with `last`: what is forgotten must be what came first.
    pub kept: Option<KeptSpan>,
    /// How many closed segments back anchors are kept; all of them where none is given.
    pub last: Option<NonZeroUsize>,
    /// Original, as the training mask has them, or renumbered, for texts beyond the context.
    pub positions: Positions,
}

impl ExtendedAnchorPolicy {
    /// The anchor policy that never drops the tokens at these positions: the paper's inference for translation, which
    /// keeps the source sentence.
    pub fn keeping(positions: Range<usize>) -> Self {
        Self { kept: Some(KeptSpan { start: positions.start, end: positions.end }), ..Self::default() }
    }

    fn recent(&self, query_segment: usize, key: &Place) -> bool {
        query_segment.saturating_sub(key.segment) <= self.recent
    }

    fn listed(&self, key: &Place) -> bool {
        key.anchor || self.kept.is_some_and(|span| span.holds(key))
    }

    /// Whether the anchor is too far back for a token of the segment.
    fn forgotten(&self, query_segment: usize, key: &Place) -> bool {
        self.last.is_some_and(|last| query_segment.saturating_sub(key.segment) > last.get())
    }

    fn stays(&self, query_segment: usize, key: &Place) -> bool {
        self.listed(key) && !self.forgotten(query_segment, key)
    }
}

/// As the command line writes it.
impl fmt::Display for ExtendedAnchorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recent = (self.recent > 0).then(|| format!("recent={}", self.recent));
        let kept = self.kept.map(|span| format!("keep={}..{}", span.start, span.end));
        let renumber = (self.positions == Positions::Renumbered).then(|| "renumber".to_owned());
        f.write_str("anchor")?;
        let last = self.last.map(|last| format!("last={last}"));
        for (number, option) in [recent, kept, last, renumber].into_iter().flatten().enumerate() {
            write!(f, "{}{option}", if number == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl CachePolicy for ExtendedAnchorPolicy {
    fn name(&self) -> String {
        self.to_string()
    }

    fn visible(&self, query: &Place, key: &Place) -> bool {
        self.explain(query, key).allowed()
    }

    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        match apart(query, key) {
            Some(blocked) => blocked,
            None if key.segment == query.segment => Verdict::SameSegment,
            None if query.anchor => Verdict::AnchorLooksBack,
            None if self.recent(query.segment, key) => Verdict::RecentSegment,
            None if self.stays(query.segment, key) && key.anchor => Verdict::EarlierAnchor,
            None if self.stays(query.segment, key) => Verdict::KeptSpan,
            None if key.anchor => Verdict::ForgottenAnchor,
            None => Verdict::BehindAnchor,
        }
    }

    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        let walk = Walk {
            near: &|query, key| self.recent(query.segment, key),
            listed: &|key| self.listed(key),
            forgotten: &|query, key| self.forgotten(query.segment, key),
            alone: &|query| query.anchor,
            positions: self.positions,
        };
        Reach::by_walking(queries.len(), keys, &walk)
    }

    fn keeps(&self, entry: &Place, newest: &Place) -> bool {
        let next_segment = newest.segment + usize::from(newest.anchor);
        entry.document == newest.document && (self.stays(next_segment, entry) || self.recent(next_segment, entry))
    }

    fn may_drop(&self, newest: &Place) -> bool {
        newest.anchor || newest.position == 0
    }

    fn positions(&self) -> Positions {
        self.positions
    }
}
