//! Running anchor-based language models: `prompt → prefill → cache → logits → sampler → decode step → text`.
//!
//! An [`Engine`] is a loaded model and never changes; a [`Session`] is one sequence with its cache. Everything that a
//! request needs lives in its session, so that one engine serves any number of them.
//!
//! ```
//! use anllm_core::{AnchorMatcher, AnchorPolicy};
//! use anllm_infer::{Engine, EngineOptions};
//! use anllm_model::{Checkpoint, Framing};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/tiny/llama-gqa-tied");
//! let checkpoint = Checkpoint::open(model.as_ref())?;
//! let tokenizer = checkpoint.tokenizer()?;
//! let anchors = AnchorMatcher::resolve(&"endswith:.|!|?".parse()?, &tokenizer)?;
//! let engine = Engine::<burn_flex::Flex>::load(&checkpoint, anchors, &Default::default(), &EngineOptions::default())?;
//!
//! let mut session = engine.session(AnchorPolicy);
//! let scores = engine.prefill(&mut session, &tokenizer.encode("It rained. We stayed.", Framing::Framed)?)?;
//! assert_eq!(scores.len(), engine.config().vocab_size);
//! assert_eq!(session.stats().kept, 2, "two anchors are left of {} tokens", session.stats().seen);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod engine;
mod error;
mod generate;
mod sampler;
mod stop;
mod verify;

pub use engine::{Engine, EngineOptions, Session};
pub use error::InferError;
pub use generate::{Generation, Request, StopReason, Timing};
pub use sampler::{Sampler, Sampling, SamplingError};
pub use stop::{StopMatcher, Stopped};
pub use verify::{ChunkDifference, Comparison, Side, Verification};
