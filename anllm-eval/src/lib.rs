//! How good a model is under a mask, with what it saves reported beside it.
//!
//! ```text
//! text ─► windows ─► perplexity
//! task.toml, data.jsonl ─► questions ─► likelihoods of their choices ─► accuracy
//! sentences ─► prompts ─► translations ─► BLEU, chrF
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod compare;
mod divergence;
mod frontier;
mod groups;
mod passkey;
mod perplexity;
mod stream;
mod totals;
mod windows;

pub mod likelihood;
pub mod qa;
pub mod task;
pub mod translation;

pub use compare::{Comparison, Run, paired_bootstrap};
pub use divergence::{Divergence, DivergenceOptions, Gap, divergence};
pub use frontier::{FrontierOptions, FrontierPoint, compared_policies, frontier};
pub use groups::Stretch;
pub use passkey::{Haystack, PasskeyError, PasskeyOptions, Retrieval, passkey};
pub use perplexity::{EvalError, Perplexity, PerplexityOptions, WindowScore, perplexity, perplexity_behind};
pub use stream::{Bucket, StreamOptions, StreamPerplexity, stream_perplexity};
pub use totals::{Loss, Quality};
pub use windows::{Window, WindowError, windows};
