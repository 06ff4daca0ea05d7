//! How good a model is under a mask, with what it saves reported beside it.
//!
//! ```text
//! text ─► windows ─► perplexity
//! task.toml, data.jsonl ─► questions ─► likelihoods of their choices ─► accuracy
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod perplexity;
mod stream;
mod windows;

pub mod likelihood;
pub mod qa;
pub mod task;

pub use perplexity::{EvalError, Perplexity, PerplexityOptions, perplexity, perplexity_behind};
pub use stream::{Bucket, StreamOptions, StreamPerplexity, stream_perplexity};
pub use windows::{Window, WindowError, windows};
