//! The Llama family on Burn.

pub mod checkpoint;
