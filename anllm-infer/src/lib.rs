//! Running anchor-based language models: `prompt → prefill → cache → logits → sampler → decode step → text`.
//!
//! An [`Engine`] is a loaded model and never changes; a [`Session`] is one sequence with its cache. Everything that a
//! request needs lives in its session, so that one engine serves any number of them: one after another
//! ([`Engine::generate`]), or side by side ([`Scheduler`]).
//!
//! [`Engine::generate_in`] goes on in a session, [`Chat`] keeps a conversation in one, [`Engine::prefill`] and
//! [`Engine::score`] give scores, [`Engine::verify`] proves that a cache policy shows what its mask does. The folder
//! `examples` has programs to start from.
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

mod batch;
mod chat;
mod engine;
mod error;
mod generate;
pub mod prefix;
mod sampler;
mod stop;
mod verify;

pub use batch::{BatchError, Event, Limits, RequestId, Scheduler, Status};
pub use chat::{Chat, ChatError, ChatFormat, Reading, SavedChat, Turn, TurnOptions};
pub use engine::{AttentionMap, Continuations, Engine, EngineOptions, Feed, Scores, Session, Wanted};
pub use error::InferError;
pub use generate::{Generation, Piece, Request, StopReason, Timing};
pub use sampler::{Logprob, Sampler, Sampling, SamplingError, TokenLogprobs};
pub use stop::{StopMatcher, Stopped};
pub use verify::{ChunkDifference, Comparison, Side, Verification};
