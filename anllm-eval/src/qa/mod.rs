//! Questions with choices: each choice is scored by the likelihood of its text, and the likeliest is the model's answer.
//!
//! ```text
//! Task, records ─► Prepared: tokens of every choice ─► answer ─► Answer of each question ─► Accuracy
//!                                                   └► measure ─► Saving: what the demonstrations' cache costs and saves
//! ```

mod accuracy;
mod answer;
mod error;
mod prepared;
mod results;
mod saving;
mod timing;

pub use accuracy::{Accuracy, Rate};
pub use answer::{Agreement, Answer, AnswerOptions, Sharing, agreement, answer};
pub use error::QaError;
pub use prepared::{Prepared, Settings};
pub use results::{ResultFile, TaskResult, sample};
pub use saving::Saving;
pub use timing::{Timing, measure};
