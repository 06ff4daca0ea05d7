//! The Llama family as one decoder, read top to bottom in `model.rs`, `block.rs`, `attention.rs`, `mlp.rs`.
//!
//! Shape letters: `B` rows, `T` query tokens, `S` keys, `H` query heads, `K` key/value heads, `G = H/K`, `D` head
//! width, `C` model width, `V` vocabulary.

mod adapter;
mod attention;
mod batch;
mod block;
mod branches;
mod linear;
mod mask;
mod mlp;
mod model;
mod names;
mod norm;
mod ragged;
mod renumbered;
mod rotary;
mod shares;
mod weight;

pub use adapter::Adapter;
pub use attention::Attention;
pub(crate) use attention::Projected;
pub use batch::{Batch, Row, Sight};
pub use block::Block;
pub use linear::Linear;
pub use mask::AttentionMask;
pub use mlp::Mlp;
pub use model::Decoder;
pub use names::ParameterPath;
pub use norm::RmsNorm;
pub use ragged::RaggedRow;
pub use renumbered::Renumbered;
pub use rotary::{Rotary, angle};
pub use weight::Weight;
