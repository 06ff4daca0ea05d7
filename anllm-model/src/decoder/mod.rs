//! The Llama family as one decoder, read top to bottom in `model.rs`, `block.rs`, `attention.rs`, `mlp.rs`.
//!
//! Shape letters: `B` rows, `T` query tokens, `S` keys, `H` query heads, `K` key/value heads, `G = H/K`, `D` head
//! width, `C` model width, `V` vocabulary.

mod attention;
mod block;
mod linear;
mod mlp;
mod model;
mod norm;
mod rotary;

pub use attention::{Attention, attend};
pub use block::Block;
pub use linear::Linear;
pub use mlp::Mlp;
pub use model::Decoder;
pub use norm::RmsNorm;
pub use rotary::Rotary;
