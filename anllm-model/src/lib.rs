//! The Llama family on [Burn](https://burn.dev), for anchor-based language models: real checkpoints in and out, one
//! decoder for all of them, and the key/value cache whose entries a policy keeps or drops.
//!
//! ```text
//! Checkpoint::open(path) ─┬─► ModelConfig        settings, checked
//!                         ├─► Tokenizer          text ⇄ ids, and the vocabulary that anchor rules name
//!                         └─► Decoder<B>         weights on any Burn backend
//!                               ├─ forward         whole rows under a mask
//!                               ├─ forward_cached  the next tokens of a sequence, with its KvCache
//!                               └─ forward_ragged  the same for several sequences in one pass
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cache;
mod chat;
mod config;
mod pieces;
mod tokenizer;

pub mod checkpoint;
pub mod decoder;

pub use cache::{Chunk, KvCache, LayerCache};
pub use chat::{ChatTemplate, Message, TemplateError};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use config::{Architecture, ModelConfig, RopeChoice, RopeConfig, RopeScaling, ScalingChoice, ScalingError};
pub use decoder::Decoder;
pub use pieces::PieceEncoder;
pub use tokenizer::{Framing, TextStream, Tokenizer, TokenizerError};
