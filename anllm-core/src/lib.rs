//! The method, free of files, tokenizers, models and devices: where sentences end, which tokens are anchors, which
//! segment a token belongs to, what it may see, and what a cache must keep.
//!
//! ```text
//! text ─► SentenceSplitter ─► AnchorInserter ─► text with `<AC>`   (AnLLM-AC alone)
//!
//! token ids ─► AnchorMatcher ─► Segments ─┬─► visible(query, key) ─► DenseMask      (masked attention, pictures)
//!              (an AnchorRule,            │
//!               resolved)                 └─► Ledger(CachePolicy) ─► ChunkPlan       (reduced cache, accounting)
//! ```
//!
//! Source of every rule: Pang et al., "Anchor-based Large Language Models", Findings of ACL 2024, arXiv 2402.07616.
//!
//! # Example
//! The paper's Figure 2: eight tokens, of which the fourth and the seventh are anchors.
//! ```
//! use anllm_core::{DenseMask, Segments};
//!
//! let segments = Segments::from_anchors(8, &[3, 6]);
//! assert!(segments.visible(7, 3), "later text sees an earlier anchor");
//! assert!(!segments.visible(7, 2), "but not what the anchor stands for");
//! assert!(!segments.visible(6, 3), "an anchor sees its own segment alone");
//! println!("{}", DenseMask::of(&segments));
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accounting;
mod anchor;
mod branches;
mod ledger;
mod mask;
mod policy;
mod reach;
mod renumber;
mod segments;
mod sentences;
mod timeline;
mod visibility;

pub use accounting::{CacheStats, simulate, visible_pairs};
pub use anchor::{
    AnchorInserter, AnchorMatcher, AnchorRule, LastSentence, MarkerError, PieceInserter, ResolveError, RuleChoice,
    RuleError, Vocabulary,
};
pub use branches::Branches;
pub use ledger::{ChunkPlan, Ledger, Survivors};
pub use mask::DenseMask;
pub use policy::{
    AnchorPolicy, ApartPolicy, CachePolicy, ExtendedAnchorPolicy, FullPolicy, KeptSpan, Part, Policy, PolicyError,
    PolicyKind, Positions, RandomPolicy, SepLlmPolicy, Shift, SinkPolicy, Span, WindowPolicy,
};
pub use reach::{Look, Reach};
pub use renumber::{Renumber, Renumbering, Settled};
pub use segments::{Place, SegmentTracker, Segments};
pub use sentences::{
    Demonstrations, Punkt, PunktError, SentenceSplitter, Sentencex, SplitterError, SplitterKind, Unicode,
};
pub use timeline::{Step, Timeline};
pub use visibility::{Verdict, explain, visible};
