//! Answers that come piece by piece, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;

use crate::wire::ApiError;
use crate::wire::chat::ChunkChoice;
use crate::wire::completion::CompletionChoice;
use crate::wire::logprobs::CompletionLogprobs;

/// How often a stream shows that it lives while it has nothing to tell.
const ALIVE: Duration = Duration::from_secs(10);

/// A part of an answer that can be told together with the next part.
pub(super) trait Part {
    /// Of which answer.
    fn index(&self) -> usize;

    /// Adds what comes next.
    fn join(&mut self, next: Self);
}

/// Adds a part to those that are told together.
pub(super) fn add<P: Part>(told: &mut Vec<P>, new: Option<P>) {
    let Some(new) = new else { return };
    match told.iter_mut().find(|part| part.index() == new.index()) {
        Some(part) => part.join(new),
        None => told.push(new),
    }
}

/// One list behind another, where there are any.
fn both<T>(list: &mut Option<T>, next: Option<T>, add: impl FnOnce(&mut T, T)) {
    match (list.as_mut(), next) {
        (Some(list), Some(next)) => add(list, next),
        (None, next) => *list = next,
        (Some(_), None) => {}
    }
}

impl Part for CompletionChoice {
    fn index(&self) -> usize {
        self.index
    }

    fn join(&mut self, next: Self) {
        self.text.push_str(&next.text);
        both(&mut self.logprobs, next.logprobs, CompletionLogprobs::join);
        both(&mut self.trace, next.trace, Vec::extend);
        self.finish_reason = next.finish_reason;
    }
}

impl Part for ChunkChoice {
    fn index(&self) -> usize {
        self.index
    }

    fn join(&mut self, next: Self) {
        both(&mut self.delta.content, next.delta.content, |text, next| text.push_str(&next));
        both(&mut self.logprobs, next.logprobs, |list, next| list.content.extend(next.content));
        both(&mut self.trace, next.trace, Vec::extend);
        self.finish_reason = next.finish_reason;
    }
}

/// The event that carries `value`.
pub(super) fn event(value: &impl Serialize) -> Result<Event, Infallible> {
    // Chunks are numbers and texts, which JSON can always write.
    Ok(Event::default().json_data(value).unwrap_or_default())
}

/// The event of a stream that failed.
pub(super) fn failure(error: &ApiError) -> Result<Event, Infallible> {
    event(&error.answer())
}

/// The event that ends a stream.
pub(super) fn done() -> Result<Event, Infallible> {
    Ok(Event::default().data("[DONE]"))
}

/// The answer that is this stream.
pub(super) fn response(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response();
    // Proxies hold streams back otherwise.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
