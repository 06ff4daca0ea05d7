//! Training of anchor-based language models: rows of text with their segments in, a checkpoint out.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod engine;
