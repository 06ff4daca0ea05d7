//! Checkpoints in and out.

mod error;
mod mapped;
mod source;

pub mod gguf;

pub use error::CheckpointError;
pub use source::{TensorInfo, TensorSource};
