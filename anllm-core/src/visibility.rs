//! Who may see whom: the anchor-based self-attention mask (paper, Eq. 4). Everything else in the project, dense masks,
//! kernels, caches, is tested against this file.

use std::fmt;

use crate::segments::Place;

/// Why a query may or may not see a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Allowed: both are in the same segment, and the key is not later.
    SameSegment,
    /// Allowed: the key is an anchor of an earlier segment, and the query is not an anchor.
    EarlierAnchor,
    /// Blocked: the key comes after the query.
    Later,
    /// Blocked: the two are in different documents of one row.
    OtherDocument,
    /// Blocked: the key is an ordinary token of an earlier segment, which its anchor stands for.
    BehindAnchor,
    /// Blocked: the query is an anchor, and anchors see their own segment only.
    AnchorLooksBack,
}

impl Verdict {
    /// Whether the query sees the key.
    pub fn allowed(self) -> bool {
        matches!(self, Self::SameSegment | Self::EarlierAnchor)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameSegment => "visible: same segment, and the key is not later than the query",
            Self::EarlierAnchor => "visible: the key is the anchor of an earlier segment, and the query is no anchor",
            Self::Later => "blocked: the key comes after the query",
            Self::OtherDocument => "blocked: query and key are in different documents",
            Self::BehindAnchor => {
                "blocked: the key is an ordinary token of an earlier segment; its anchor stands for it"
            }
            Self::AnchorLooksBack => "blocked: the query is an anchor, and an anchor sees its own segment only",
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
    if query.document != key.document {
        Verdict::OtherDocument
    } else if key.index > query.index {
        Verdict::Later
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
