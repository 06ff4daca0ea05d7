//! What a run measures, written for people and programs to read while it runs.

mod error;
mod jsonl;
mod tensorboard;

pub use error::LogError;
pub use jsonl::JsonLines;
pub use tensorboard::EventWriter;
