//! A handler that panics is a defect of ours; its client gets an answer, and others do not notice.

use std::any::Any;

use axum::response::{IntoResponse, Response};

use crate::wire::ApiError;

/// What a client hears of a panic. The log has what it said.
#[expect(clippy::needless_pass_by_value, reason = "the form that tower-http calls")]
pub(crate) fn answer(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    ApiError::internal("the request hit a defect of the server").into_response()
}
