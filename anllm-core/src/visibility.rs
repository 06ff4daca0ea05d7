//! Who may see whom: the anchor-based self-attention mask (paper, Eq. 4). Everything else in the project, dense masks,
//! kernels, caches, is tested against this file. Other policies have rules of their own, and give their reasons in the
//! same words.

use std::fmt;

use crate::segments::Place;

/// Why a query may or may not see a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Allowed: both are in the same segment, and the key is not later.
    SameSegment,
    /// Allowed: the key is an anchor of an earlier segment, and the query is not an anchor.
    EarlierAnchor,
    /// Allowed: full attention sees all that came before.
    Earlier,
    /// Allowed: the key is among the last tokens.
    InWindow,
    /// Allowed: the key is one of the document's first tokens, which are always seen.
    Sink,
    /// Allowed: the key is a separator, which all later tokens see.
    Separator,
    /// Allowed: the key is in one of the last closed segments, which are kept as they are.
    RecentSegment,
    /// Allowed: the key is in the span that is never dropped.
    KeptSpan,
    /// Allowed: the key was drawn.
    Drawn,
    /// Blocked: the key comes after the query.
    Later,
    /// Blocked: the two are in different documents of one row.
    OtherDocument,
    /// Blocked: the key is an ordinary token of an earlier segment, which its anchor stands for.
    BehindAnchor,
    /// Blocked: the query is an anchor, and anchors see their own segment only.
    AnchorLooksBack,
    /// Blocked: so many anchors came since that this one was dropped.
    ForgottenAnchor,
    /// Blocked: the key has left the window, and nothing else keeps it.
    BehindWindow,
    /// Blocked: the key was not drawn, or others took its place.
    NotDrawn,
}

impl Verdict {
    /// Whether the query sees the key.
    pub fn allowed(self) -> bool {
        self.near() || self.far()
    }

    /// Whether it is seen as one of the tokens just before the query.
    pub fn near(self) -> bool {
        matches!(self, Self::SameSegment | Self::Earlier | Self::InWindow | Self::RecentSegment)
    }

    /// Whether it is seen from afar, as one of those that stay.
    pub fn far(self) -> bool {
        matches!(self, Self::EarlierAnchor | Self::Sink | Self::Separator | Self::KeptSpan | Self::Drawn)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameSegment => "visible: same segment, and the key is not later than the query",
            Self::EarlierAnchor => "visible: the key is the anchor of an earlier segment, and the query is no anchor",
            Self::Earlier => "visible: full attention sees everything that came before",
            Self::InWindow => "visible: the key is among the last tokens",
            Self::Sink => "visible: the key is one of the first tokens, which are always seen",
            Self::Separator => "visible: the key is a separator, which all later tokens see",
            Self::RecentSegment => "visible: the key is in one of the last closed segments, which are kept whole",
            Self::KeptSpan => "visible: the key is in the span that is never dropped, and the query is no anchor",
            Self::Drawn => "visible: the key is one of those drawn at random",
            Self::Later => "blocked: the key comes after the query",
            Self::OtherDocument => "blocked: query and key are in different documents",
            Self::BehindAnchor => {
                "blocked: the key is an ordinary token of an earlier segment; its anchor stands for it"
            }
            Self::AnchorLooksBack => "blocked: the query is an anchor, and an anchor sees its own segment only",
            Self::ForgottenAnchor => "blocked: the key is an anchor of too long ago",
            Self::BehindWindow => "blocked: the key has left the window, and nothing else keeps it",
            Self::NotDrawn => "blocked: the key is not one of those drawn at random",
        })
    }
}

/// Whether `query` sees `key`: same document, not later, and either the same segment or an anchor seen by a token that
/// is not one.
pub fn visible(query: &Place, key: &Place) -> bool {
    explain(query, key).allowed()
}

/// The rule that allows or blocks a pair.
pub fn explain(query: &Place, key: &Place) -> Verdict {
    if let Some(blocked) = apart(query, key) {
        blocked
    } else if key.segment == query.segment {
        Verdict::SameSegment
    } else if !key.anchor {
        Verdict::BehindAnchor
    } else if query.anchor {
        Verdict::AnchorLooksBack
    } else {
        Verdict::EarlierAnchor
    }
}

/// What no policy allows: looking into another document, or ahead.
pub(crate) fn apart(query: &Place, key: &Place) -> Option<Verdict> {
    if query.document != key.document {
        Some(Verdict::OtherDocument)
    } else if key.index > query.index {
        Some(Verdict::Later)
    } else {
        None
    }
}
