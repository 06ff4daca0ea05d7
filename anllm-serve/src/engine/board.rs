//! What the thread that has the model is doing, for everybody to read.

use std::sync::{Mutex, PoisonError};

use anllm_infer::Status;

/// The latest account.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Status>);

impl Board {
    pub(crate) fn post(&self, status: Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    pub(crate) fn read(&self) -> Status {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
