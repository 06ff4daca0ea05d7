//! Training of anchor-based language models: text in, a checkpoint out.
//!
//! ```text
//! data::source ─► tokens ─► rows ─► engine (loss, gradients, AdamW) ─► saved (checkpoints to go on from)
//!                             └── trainer draws them in an order that depends on seed and step alone
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod estimate;
mod length;
mod lora;
mod report;
mod saved;
mod schedule;
mod start;
mod tally;
mod teacher;
mod trainer;
mod vocabulary;

pub mod config;
pub mod data;
pub mod engine;
pub mod logs;

pub use error::TrainError;
pub use estimate::MemoryEstimate;
pub use length::resolved;
pub use lora::adapter_parameters;
pub use report::{Observer, Outcome, StepReport};
pub use saved::Saved;
pub use schedule::{Decay, ScheduleConfig};
pub use start::Start;
pub use trainer::Trainer;
