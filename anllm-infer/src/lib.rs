//! Running anchor-based language models: `prompt → prefill → cache → logits → sampler → decode step → text`.
//!
//! An [`Engine`] is a loaded model and never changes; a [`Session`] is one sequence with its cache. Everything that a
//! request needs lives in its session, so that one engine serves any number of them.

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
