//! Tasks: questions with choices, as data. A task is a small TOML file with the templates that make a prompt of a record;
//! [`Task::builtin`] knows eight, laid out as EleutherAI's lm-evaluation-harness lays them out.
//!
//! ```text
//! task.toml ─► Task ─┐
//! data.jsonl ─► Record ─► Question: a context and a continuation for each choice, and which choice is right
//! ```

mod builtin;
mod error;
mod file;
mod question;
mod random;
mod record;
mod shots;
mod template;

pub use builtin::builtin_tasks;
pub use error::{QuestionError, RecordError, TaskError};
pub use file::{Metric, Task};
pub use question::{Question, Scored};
pub use random::PythonRandom;
pub use record::{Origin, Record, records};
pub use shots::{Pool, Sampler, Shots};
