//! Many requests at once over one engine: continuous batching.
//!
//! Each step is one pass over the weights. It gives every sequence that is writing its next token, and reads prompts
//! with what is left of the step's tokens. Requests come in and go out between steps: nobody waits for the longest.
//! What each request gets is what it would get alone.
//!
//! ```text
//! submit ─► waiting ─► admitted: a row, and room for its cache ─► reading ─► writing ─► Event::Finished
//!                      (Limits)                                    in parts   1 token a step
//! ```

mod ending;
mod event;
mod limits;
mod prefixes;
mod row;
mod scheduler;
mod status;

pub use event::{Event, RequestId};
pub use limits::{BatchError, Limits};
pub use scheduler::Scheduler;
pub use status::Status;
