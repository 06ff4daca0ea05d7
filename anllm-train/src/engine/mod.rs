//! One optimiser step, exactly: rows in, loss and gradients out, weights updated.
//!
//! ```text
//! TrainingRow… ─► Prepared (padded batch) ─► forward, block by block ─► loss in chunks ─► backward, block by block
//!                                                                                         └─► Gradients ─► Optimizer
//! ```
//!
//! Burn's autodiff differentiates one block at a time. Between blocks we carry the gradient of the residual stream
//! ourselves, so that a block's graph may be dropped after the forward pass and made again when its turn comes
//! (gradient checkpointing), and so that the logits of a batch never exist whole.

mod gradients;
mod loss;
mod optimizer;
mod pass;
mod rows;

pub use gradients::Gradients;
pub use loss::{Distillation, LossOptions, Losses};
pub use optimizer::{DecayOn, Moments, Optimizer, OptimizerConfig};
pub(crate) use pass::evaluate;
pub use pass::{Pass, PassOptions, Recompute};
pub use rows::{Prepared, TrainingRow};
