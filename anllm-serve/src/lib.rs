//! An OpenAI-compatible server for anchor-based language models, with a page that shows what the cache keeps.
//!
//! ```text
//! connection ─► listen ─► http (key, body, log) ─► routes ─► engine::Running ─► Job ─► Scheduler::step   one thread
//! client     ◄─ events or one answer            ◄─ wire   ◄─ Update           ◄─────── Event
//! ```
//!
//! [`Server::bind`] listens at once and tells clients that the model is being loaded; [`Server::run`] serves an engine on
//! the calling thread until a [`Stopper`] stops it. One thread has the model and its
//! [`Scheduler`](anllm_infer::Scheduler); handlers talk with it through channels and know nothing of backends.
//!
//! ```no_run
//! use anllm_core::{AnchorMatcher, PolicyKind};
//! use anllm_infer::{ChatFormat, Engine, EngineOptions, Sampling};
//! use anllm_model::Checkpoint;
//! use anllm_serve::{Model, Options, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind(Options::default())?;
//! let checkpoint = Checkpoint::open("models/smollm2".as_ref())?;
//! let tokenizer = checkpoint.tokenizer()?;
//! let matcher = AnchorMatcher::resolve(&"endswith:.|!|?".parse()?, &tokenizer)?;
//! let options = EngineOptions::default();
//! let engine = Engine::<burn_flex::Flex>::load(&checkpoint, matcher.clone(), &Default::default(), &options)?;
//! let format = checkpoint.chat_template(&tokenizer, None)?.map_or(ChatFormat::Continuation, ChatFormat::Template);
//! let config = checkpoint.config().clone();
//! server.run(&engine, Model {
//!     name: "smollm2".to_owned(),
//!     bytes_per_entry: engine.bytes_per_entry(),
//!     policy: PolicyKind::Anchor,
//!     sampling: Sampling { temperature: 1.0, ..Sampling::default() },
//!     seed: None,
//!     inserter: None,
//!     prefix_tokens: 0,
//!     tokenizer, format, matcher, config,
//! })?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod app;
mod conversations;
mod engine;
mod http;
mod listen;
mod metrics;
mod model;
mod options;
mod routes;
mod server;
mod trace;
mod wire;

pub use model::Model;
pub use options::{ApiKeys, LogText, Options};
pub use server::{Ended, ServeError, Server, Stopper};
