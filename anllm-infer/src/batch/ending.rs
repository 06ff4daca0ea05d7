//! How continuations go on with what was drawn for them, and how they end.

use anllm_core::CacheStats;
use anllm_kernels::Kernels;

use super::event::{Event, RequestId};
use super::row::{Row, Waiting};
use super::scheduler::{Drawn, Scheduler};
use crate::error::InferError;
use crate::generate::{Continuation, Piece, StopReason};

impl<B: Kernels> Scheduler<'_, B> {
    /// Hands what was drawn to the rows of these numbers, and lets those go that it ends.
    pub(super) fn accept(&mut self, mut drawn: Vec<(usize, Drawn)>) {
        drawn.sort_unstable_by_key(|(number, _)| *number);
        let mut ended = Vec::new();
        for (number, drawn) in drawn {
            let row = &mut self.rows[number];
            let Some(listener) = self.listeners.get_mut(&row.id) else { continue };
            let full = self.engine.is_full(&row.session);
            let choice = row.choice;
            let show = |piece: &Piece<'_>| (listener.call)(choice, Event::Piece(*piece));
            match drawn.map(|chosen| row.continuation.accept(chosen, full, show)) {
                Ok(None) => {}
                Ok(Some(reason)) => ended.push((number, Ok(reason))),
                Err(error) => ended.push((number, Err(error))),
            }
        }
        let mut broken_off = Vec::new();
        for (gone, (number, end)) in ended.into_iter().enumerate() {
            let row = self.rows.remove(number - gone);
            if matches!(end, Ok(StopReason::Interrupted)) {
                broken_off.push(row.id);
            }
            self.let_go(row, end);
        }
        for id in broken_off {
            self.cancel(id);
        }
    }

    /// Ends every request, waiting or running, that there is a reason for.
    pub(super) fn end(&mut self, reason: impl Fn(RequestId, &Continuation<'_>) -> Option<StopReason>) {
        let mut ended = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            match reason(waiting.id, &waiting.continuation) {
                Some(reason) => ended.push((waiting, reason)),
                None => self.waiting.push_back(waiting),
            }
        }
        for (Waiting { id, choices, continuation, .. }, reason) in ended {
            let kv = self.session(&continuation.request().policy).stats();
            self.finish(id, 0..choices, continuation, kv, Ok(reason));
        }
        let mut ended = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            match reason(row.id, &row.continuation) {
                Some(reason) => ended.push((row, reason)),
                None => self.rows.push(row),
            }
        }
        for (row, reason) in ended {
            self.let_go(row, Ok(reason));
        }
    }

    /// Finishes a row that is no longer among the others.
    pub(super) fn let_go(&mut self, row: Row<'_, B>, end: Result<StopReason, InferError>) {
        let Row { id, choice, branches, session, continuation, .. } = row;
        let kv = session.stats();
        if end.is_ok() {
            self.prefixes.keep(&continuation, session);
        }
        self.finish(id, choice..choice + 1 + branches, continuation, kv, end);
    }

    /// Tells the listener how these choices of a request ended, all alike.
    fn finish(
        &mut self,
        id: RequestId,
        choices: std::ops::Range<usize>,
        continuation: Continuation<'_>,
        kv: CacheStats,
        end: Result<StopReason, InferError>,
    ) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        let call = &mut listener.call;
        let outcome = end.and_then(|reason| {
            continuation.finish(reason, kv, |piece| {
                // Nothing is left to break off from.
                let _ = call(choices.start, Event::Piece(*piece));
            })
        });
        for choice in choices.clone().skip(1) {
            let event = match &outcome {
                Ok(generation) => Event::Finished(generation.clone()),
                // Choices that have not parted fail with the device.
                Err(error) => Event::Failed(InferError::Device(error.to_string())),
            };
            let _ = call(choice, event);
        }
        let event = match outcome {
            Ok(generation) => Event::Finished(generation),
            Err(error) => Event::Failed(error),
        };
        let _ = call(choices.start, event);
        listener.open = listener.open.saturating_sub(choices.len());
        if listener.open == 0 {
            self.listeners.remove(&id);
        }
    }
}
