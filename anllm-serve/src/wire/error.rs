//! Errors in OpenAI's form.

use anllm_infer::{BatchError, InferError};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What a client did wrong, or we did.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) body: ErrorBody,
    retry_after: Option<u64>,
}

/// An answer that is an error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ErrorAnswer {
    error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What, and what to do.
    pub(crate) message: String,
    /// `invalid_request_error`, `rate_limit_error`, `timeout_error` or `server_error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The parameter at fault.
    pub(crate) param: Option<String>,
    /// A word for programs.
    pub(crate) code: Option<&'static str>,
}

/// Messages are cut here: some quote what they found.
const LONGEST: usize = 400;

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > LONGEST {
            message.truncate(message.floor_char_boundary(LONGEST));
            message.push('…');
        }
        Self { status, body: ErrorBody { message, kind, param: None, code: None }, retry_after: None }
    }

    /// The request is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, message)
    }

    /// The request is wrong, in a way that has a status of its own.
    pub(crate) fn with_status(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    /// There is too much to do.
    pub(crate) fn busy(seconds: u64) -> Self {
        let message = "the queue is full\n  hint: try again after the seconds that Retry-After names";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message).code("rate_limit_exceeded");
        Self { retry_after: Some(seconds), ..error }
    }

    /// The server cannot answer now.
    pub(crate) fn unavailable(message: &str, code: &'static str) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message).code(code);
        Self { retry_after: Some(1), ..error }
    }

    /// Time was up.
    pub(crate) fn late() -> Self {
        let message = "time was up before the answer was complete\n  hint: ask for fewer tokens, or for a stream";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message).code("timeout")
    }

    /// The server failed.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message).code("internal_error")
    }

    /// Names the parameter at fault.
    #[must_use]
    pub(crate) fn param(mut self, name: impl Into<String>) -> Self {
        self.body.param = Some(name.into());
        self
    }

    /// Gives programs a word for it.
    #[must_use]
    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.body.code = Some(code);
        self
    }

    /// As an event of a stream that has begun.
    pub(crate) fn answer(&self) -> ErrorAnswer {
        ErrorAnswer { error: self.body.clone() }
    }
}

impl From<InferError> for ApiError {
    fn from(error: InferError) -> Self {
        let message = error.to_string();
        match error {
            InferError::EmptyPrompt => Self::invalid(message).param("prompt"),
            InferError::TooLong { .. } | InferError::TooManyEntries { .. } => {
                Self::invalid(message).param("prompt").code("context_length_exceeded")
            }
            InferError::SpanTooLong { .. } => Self::invalid(message).param("cache"),
            InferError::UnknownToken { .. } | InferError::Tokenizer(_) => Self::invalid(message).param("prompt"),
            // No request asks for maps of attention.
            InferError::Sampling(_) | InferError::NoMap { .. } | InferError::NoLayer { .. } => Self::invalid(message),
            InferError::Checkpoint(_) | InferError::Rule(_) | InferError::NotANumber { .. } | InferError::Device(_) => {
                Self::internal(message)
            }
        }
    }
}

impl From<BatchError> for ApiError {
    fn from(error: BatchError) -> Self {
        let message = error.to_string();
        match error {
            BatchError::Cache { .. } => Self::invalid(message).param("max_tokens").code("cache_budget_exceeded"),
            BatchError::Rows { .. } => Self::invalid(message).param("n"),
            BatchError::Policy { .. } => Self::invalid(message).param("cache"),
            BatchError::Request(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let answer = self.answer();
        let Self { status, body, retry_after } = self;
        let mut response = (status, Json(answer)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The log names the code and never the message, which may quote the request.
        response.extensions_mut().insert(Refused { code: body.code, param: body.param });
        response
    }
}

/// What the log says of a refusal.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<String>,
}
