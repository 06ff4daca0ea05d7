//! Cache policies: what a token may see, and which entries a cache keeps. One file each, behind one trait.

mod anchor;
mod full;

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

pub use anchor::AnchorPolicy;
pub use full::FullPolicy;

use crate::reach::Reach;
use crate::segments::Place;

/// What a token may see, and which cache entries later tokens may still need.
///
/// The two methods belong together: an entry that [`keeps`](Self::keeps) gives up must be invisible to every later
/// token. Then decoding with the reduced cache equals the masked full forward, exactly.
pub trait CachePolicy: fmt::Debug + Send + Sync {
    /// The name by which the command line knows the policy.
    fn name(&self) -> String;

    /// Whether `query` sees `key`.
    fn visible(&self, query: &Place, key: &Place) -> bool;

    /// What each of `queries` sees of `keys`. The queries are the last of the keys, and the keys are in order of their
    /// index: a whole row, or what a cache holds followed by the next tokens.
    ///
    /// It must say what [`visible`](Self::visible) says. Asking that about every pair is the default; a policy that
    /// knows its structure answers in one walk.
    fn reach(&self, queries: &[Place], keys: &[Place]) -> Reach {
        Reach::by_asking(queries, keys, |query, key| self.visible(query, key))
    }

    /// Whether `entry` must stay once `newest` has been processed. `newest` itself is an entry too.
    fn keeps(&self, entry: &Place, newest: &Place) -> bool;

    /// Whether [`keeps`](Self::keeps) can say no after `newest`, if it was asked after every token before. Most steps
    /// drop nothing, and need not look at every entry.
    fn may_drop(&self, newest: &Place) -> bool {
        let _ = newest;
        true
    }
}

/// A policy that any number of sequences share. Every [`CachePolicy`] turns into one.
#[derive(Debug, Clone)]
pub struct Policy(Arc<dyn CachePolicy>);

impl<P: CachePolicy + 'static> From<P> for Policy {
    fn from(policy: P) -> Self {
        Self(Arc::new(policy))
    }
}

impl Deref for Policy {
    type Target = dyn CachePolicy;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// A policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PolicyKind {
    /// `full`: causal attention, everything kept.
    #[default]
    Full,
    /// `anchor`: the anchor mask; anchors and the open segment kept.
    Anchor,
}

/// Text that is not a cache policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cache policy (expected `full` or `anchor`)")]
pub struct PolicyError(String);

impl PolicyKind {
    /// The policy itself.
    pub fn policy(self) -> Policy {
        match self {
            Self::Full => FullPolicy.into(),
            Self::Anchor => AnchorPolicy.into(),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Anchor => "anchor",
        })
    }
}

impl FromStr for PolicyKind {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "full" => Ok(Self::Full),
            "anchor" => Ok(Self::Anchor),
            _ => Err(PolicyError(text.to_owned())),
        }
    }
}
