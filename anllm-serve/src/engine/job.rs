//! What goes to the thread that has the model, and what comes back.

use std::sync::Arc;

use anllm_infer::{BatchError, Generation, Request, TokenLogprobs};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::wire::ApiError;

/// What the thread is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    /// Text.
    Generate(Box<Generate>),
    /// The end: nobody is left to ask for anything.
    End,
}

/// A prompt to continue.
#[derive(Debug)]
pub(crate) struct Generate {
    pub(crate) request: Request,
    /// How many continuations.
    pub(crate) choices: usize,
    /// The number of the first of them.
    pub(crate) first: usize,
    /// Whether pieces are told, or ends alone.
    pub(crate) pieces: Pieces,
    /// Takes what happens. Where nobody takes it any more, the continuations end.
    pub(crate) updates: mpsc::UnboundedSender<Update>,
    /// Told when one of them ended.
    pub(crate) ended: Arc<Notify>,
    /// Told whether the request was taken.
    pub(crate) taken: oneshot::Sender<Result<(), BatchError>>,
}

/// Whether somebody wants continuations piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// As they come.
    Wanted,
    /// Whole ones alone.
    Unwanted,
}

/// What happened to one continuation.
#[derive(Debug)]
pub(crate) struct Update {
    /// Its number.
    pub(crate) choice: usize,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    /// It has a new token, or text that was held back.
    Piece { text: String, token: Option<u32>, logprobs: Option<TokenLogprobs> },
    /// It is done: the last update.
    Finished(Box<Generation>),
    /// It failed: the last update.
    Failed(ApiError),
}
