//! What a request hears of itself.

use std::fmt;
use std::ops::ControlFlow;

use crate::error::InferError;
use crate::generate::{Generation, Piece};

/// A request's number in its scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}", self.0)
    }
}

/// What happened to one continuation of a request.
#[derive(Debug)]
pub enum Event<'a> {
    /// It has a new token, or text that was held back.
    Piece(Piece<'a>),
    /// It is done: the last event.
    Finished(Generation),
    /// It failed, and others go on: the last event.
    Failed(InferError),
}

/// Takes the events of a request, each with the number of the continuation it is about. Breaking off ends the request.
pub(super) type Callback<'a> = Box<dyn FnMut(usize, Event<'_>) -> ControlFlow<()> + 'a>;

/// Who listens to a request, and how many of its continuations are not done.
pub(super) struct Listener<'a> {
    pub(super) call: Callback<'a>,
    pub(super) open: usize,
}

impl fmt::Debug for Listener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("open", &self.open).finish_non_exhaustive()
    }
}
