//! Answers that come piece by piece, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;

use crate::wire::ApiError;

/// How often a stream shows that it lives while it has nothing to tell.
const ALIVE: Duration = Duration::from_secs(10);

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
