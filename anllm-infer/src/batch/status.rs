//! What a scheduler is doing.

use serde::Serialize;

use crate::prefix::StoreStats;

/// A scheduler's account at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Status {
    /// Requests that wait for room.
    pub waiting: usize,
    /// Sequences whose prompts are being read.
    pub reading: usize,
    /// Sequences that are writing.
    pub writing: usize,
    /// Bytes that the caches' buffers occupy.
    pub cache_bytes: usize,
    /// The most that they can come to occupy.
    pub reserved_bytes: usize,
    /// What is kept of sequences that ended.
    pub prefixes: StoreStats,
}
