//! What a model is trained on: documents, their tokens, rows of them, and the order in which rows come.

mod cut;
mod order;
mod tokenize;
mod tokens;
mod training;

pub mod source;

pub use cut::{Filling, Rows};
pub use order::{Draw, Order, Share};
pub use tokenize::Reading;
pub use tokens::{TokenDocument, TokenFile};
pub(crate) use training::Part;
pub use training::TrainingData;
