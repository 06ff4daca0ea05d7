//! How likely a continuation is behind a context.
//!
//! ```text
//! text ─► Encoder ─► Encoded ─► Forest: what several share is one run ─► one pass ─► Likelihood of each
//! ```
//!
//! The choices of a question share its context, and often so do questions their demonstrations: each is processed once.

mod encode;
mod forest;
mod score;

pub use encode::{EncodeError, Encoded, Encoder};
pub use score::{Likelihood, score};
