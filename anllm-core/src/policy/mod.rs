//! Cache policies: what a token may see, and which entries a cache keeps. One file each, behind one trait.
//!
//! | file | keeps | positions | anchors see |
//! |---|---|---|---|
//! | `full.rs` | everything | original | everything before them |
//! | `anchor.rs` | anchors and the open segment: the paper's | original | their own segment |
//! | `extended.rs` | the same with recent segments, a span, or renumbered | either | their own segment |
//! | `apart.rs` | what another policy keeps, of texts side by side | original | their own text |
//! | `window.rs` | the last tokens | original | what every token sees |
//! | `sink.rs` | the first and the last tokens (StreamingLLM) | renumbered | what every token sees |
//! | `sepllm.rs` | the first tokens, separators and the last tokens (SepLLM) | either | what every token sees |
//! | `random.rs` | tokens drawn at random, and the open segment: the control | original | what every token sees |

mod anchor;
mod apart;
mod extended;
mod full;
mod kind;
mod random;
mod sepllm;
mod sink;
mod window;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use anchor::AnchorPolicy;
pub use apart::{ApartPolicy, Part, Shift};
pub use extended::{ExtendedAnchorPolicy, KeptSpan};
pub use full::FullPolicy;
pub use kind::{PolicyError, PolicyKind};
pub use random::RandomPolicy;
pub use sepllm::SepLlmPolicy;
pub use sink::SinkPolicy;
pub use window::WindowPolicy;

use crate::reach::Reach;
use crate::segments::Place;
use crate::visibility::{Verdict, apart};

/// What a token may see, and which cache entries later tokens may still need.
///
/// The two methods belong together: an entry that [`keeps`](Self::keeps) gives up must be invisible to every later
/// token. Then decoding with the reduced cache equals the masked full forward, exactly.
pub trait CachePolicy: fmt::Debug + Send + Sync {
    /// The name by which the command line knows the policy.
    fn name(&self) -> String;

    /// Whether `query` sees `key`.
    fn visible(&self, query: &Place, key: &Place) -> bool;

    /// The reason why `query` sees `key`, or not. It must agree with [`visible`](Self::visible).
    fn explain(&self, query: &Place, key: &Place) -> Verdict {
        let otherwise = if self.visible(query, key) { Verdict::InWindow } else { Verdict::BehindWindow };
        apart(query, key).unwrap_or(otherwise)
    }

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

    /// At which positions tokens see each other.
    fn positions(&self) -> Positions {
        Positions::Original
    }

    /// How far a token looks back, for the question whether a text fits a model's context.
    fn span(&self) -> Span {
        match self.positions() {
            Positions::Original => Span::Text,
            Positions::Renumbered => Span::Entries,
        }
    }
}

/// At which positions a query sees its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Positions {
    /// Those of the document: distances are as they were when the model was trained, and grow with the text.
    #[default]
    Original,
    /// Counted over what the query sees, as if nothing else had ever been there: far keys by their rank in the far
    /// list, then the near run. Within the near run distances are as ever. Not what the training mask says.
    ///
    /// The policy's [`reach`](CachePolicy::reach) then decides what is far and what is near, and must be found by
    /// walking: within a document near runs only move forward, everything kept behind them is far, and a far key keeps
    /// its rank.
    Renumbered,
}

/// How far apart a query and the keys it sees can be, in positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// As far as the text is long.
    Text,
    /// So many positions, its own included, however long the text.
    Tokens(usize),
    /// As many as there are entries held.
    Entries,
}

/// A policy that any number of sequences share. Every [`CachePolicy`] turns into one.
#[derive(Debug, Clone)]
pub struct Policy(Arc<dyn CachePolicy>);

impl<P: CachePolicy + 'static> From<P> for Policy {
    fn from(policy: P) -> Self {
        Self(Arc::new(policy))
    }
}

impl From<PolicyKind> for Policy {
    fn from(kind: PolicyKind) -> Self {
        kind.policy()
    }
}

impl Deref for Policy {
    type Target = dyn CachePolicy;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Whether `key`, which is not later than `query`, is one of the last `tokens` before it, itself included.
fn among_last(query: &Place, key: &Place, tokens: usize) -> bool {
    query.index.saturating_sub(key.index) < tokens
}

/// Whether the token after `newest` has `entry` among its last `tokens`.
fn next_sees(entry: &Place, newest: &Place, tokens: usize) -> bool {
    newest.index + 1 - entry.index < tokens
}
