//! The loop of the thread that has the model: take what was asked for, look who went away, go one step.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anllm_infer::{BatchError, Event, InferError, Piece, RequestId, Scheduler};
use anllm_kernels::Kernels;
use tokio::sync::mpsc::WeakUnboundedSender;

use super::{Board, Generate, Job, Pieces, Update, What};
use crate::wire::ApiError;

/// How often the account is posted while there is work.
const POST: Duration = Duration::from_millis(50);

/// Works until [`Job::End`] comes, or nobody is left to send one. `scheduler` makes one to work with, and another where
/// one is lost.
pub(crate) fn work<'a, B: Kernels>(scheduler: impl Fn() -> Scheduler<'a, B>, jobs: &Receiver<Job>, board: &Board) {
    let mut desk = Desk { scheduler: scheduler(), listeners: Vec::new() };
    let mut posted = Instant::now();
    loop {
        let idle = desk.scheduler.is_idle();
        if idle || posted.elapsed() > POST {
            board.post(desk.scheduler.status());
            posted = Instant::now();
        }
        // Idle, it sleeps until there is something to do; else it takes what is there.
        let mut next = if idle { jobs.recv().map_err(|_| TryRecvError::Disconnected) } else { jobs.try_recv() };
        loop {
            match next {
                Ok(Job::Generate(asked)) => desk.take(*asked),
                Ok(Job::End) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => break,
            }
            next = jobs.try_recv();
        }
        desk.let_go();
        if let Err(failure) = desk.step() {
            tracing::error!(failure, "a step failed");
            desk = Desk { scheduler: scheduler(), listeners: Vec::new() };
        }
    }
}

/// What is being worked on.
struct Desk<'a, B: Kernels> {
    scheduler: Scheduler<'a, B>,
    /// Who listens to what, as long as the request is not done.
    listeners: Vec<(RequestId, WeakUnboundedSender<Update>)>,
}

impl<B: Kernels> Desk<'_, B> {
    fn take(&mut self, asked: Generate) {
        let Generate { request, choices, first, pieces, updates, ended, taken } = asked;
        let listener = updates.downgrade();
        let tell = move |choice: usize, event: Event<'_>| {
            let what = match event {
                Event::Piece(_) if pieces == Pieces::Unwanted => {
                    return if updates.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                }
                Event::Piece(Piece { text, token, logprobs }) => {
                    What::Piece { text: text.to_owned(), token, logprobs: logprobs.cloned() }
                }
                Event::Finished(generation) => What::Finished(Box::new(generation)),
                Event::Failed(error) => What::Failed(error.into()),
            };
            let is_piece = matches!(what, What::Piece { .. });
            let sent = updates.send(Update { choice: first + choice, what });
            if !is_piece {
                ended.notify_one();
            }
            if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let scheduler = &mut self.scheduler;
        let submitted = catch_unwind(AssertUnwindSafe(|| scheduler.submit_choices(request, choices, tell)));
        let answer = match submitted {
            Ok(Ok(id)) => {
                self.listeners.push((id, listener));
                Ok(())
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(panic) => Err(BatchError::Request(InferError::Device(told(&*panic)))),
        };
        // Whoever asked may have gone away.
        let _ = taken.send(answer);
    }

    /// Ends the requests that nobody listens to any more.
    fn let_go(&mut self) {
        let scheduler = &mut self.scheduler;
        self.listeners.retain(|(id, listener)| match listener.upgrade() {
            None => false,
            Some(listener) if listener.is_closed() => {
                scheduler.cancel(*id);
                false
            }
            Some(_) => true,
        });
    }

    /// One step.
    ///
    /// # Errors
    /// When the step panicked: then nothing can be said of the scheduler's state, and all its requests are lost.
    fn step(&mut self) -> Result<(), String> {
        let scheduler = &mut self.scheduler;
        match catch_unwind(AssertUnwindSafe(|| scheduler.step())) {
            Ok(Ok(())) => Ok(()),
            // Its requests have heard of it.
            Ok(Err(error)) => {
                tracing::error!(%error, "the device failed");
                Ok(())
            }
            Err(panic) => Err(told(&*panic)),
        }
    }
}

/// What a panic says.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".to_owned())
}

impl From<tokio::sync::oneshot::error::RecvError> for ApiError {
    fn from(_: tokio::sync::oneshot::error::RecvError) -> Self {
        Self::unavailable("the server is shutting down", "shutting_down")
    }
}
