//! Bodies: JSON objects, of bounded size, that arrive in bounded time.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::wire::{ApiError, Object};

/// So much of a body that is too long is read and forgotten: a client that is still writing would miss the answer.
const FORGOTTEN: usize = 128 << 20;

/// A body that was read as `T`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        check_type(request.headers())?;
        let (limit, time) = (app.options.body_bytes, app.options.body_time);
        let expects = request.headers().get(header::EXPECT).is_some();
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if expects && length.is_some_and(|length| length > limit) {
            // It has not begun to send.
            return Err(too_long(limit));
        }
        let read = tokio::time::timeout(time, read(request.into_body(), limit)).await;
        let bytes = read.map_err(|_| {
            let message = format!("the body did not arrive within {} seconds", time.as_secs());
            ApiError::with_status(StatusCode::REQUEST_TIMEOUT, message).code("body_timeout")
        })??;
        parse(&bytes).map(Self)
    }
}

/// A page on another site may send forms and plain text without asking the browser; JSON it may not.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = found.split(';').next().unwrap_or_default().trim();
    match kind.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => {
            let message = "the body must be JSON\n  hint: send the header `Content-Type: application/json`";
            Err(ApiError::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).code("unsupported_media_type"))
        }
    }
}

fn too_long(limit: usize) -> ApiError {
    let message =
        format!("the body is longer than {limit} bytes\n  hint: send less, or start the server with --max-body");
    ApiError::with_status(StatusCode::PAYLOAD_TOO_LARGE, message).code("body_too_large")
}

async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| ApiError::invalid("the body ended before it was complete").code("body_broken"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= limit {
            bytes.extend_from_slice(&data);
        } else if seen > FORGOTTEN {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if seen > limit { Err(too_long(limit)) } else { Ok(bytes) }
}

/// Reads an object. What is wrong is told with the parameter's path.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut json);
    let Object(value) = read.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data if path != "." => {
                ApiError::invalid(format!("{path}: {inner}")).param(path).code("invalid_type")
            }
            serde_json::error::Category::Data => ApiError::invalid(inner.to_string()),
            _ => ApiError::invalid(format!("the body is not JSON: {inner}")).code("invalid_json"),
        }
    })?;
    json.end().map_err(|e| ApiError::invalid(format!("the body is not JSON: {e}")).code("invalid_json"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::completion::CompletionRequest;

    #[test]
    fn errors_name_the_parameter() {
        for (json, param, message) in [
            (r#"{"prompt": "a", "temperature": "warm"}"#, Some("temperature"), "expected f32"),
            (r#"{"prompt": "a", "max_tokens": -1}"#, Some("max_tokens"), "expected u32"),
            (r#"{"prompt": "a", "stop": ["a", 7]}"#, Some("stop[1]"), "expected a string"),
            (r#"{"prompt": {}}"#, Some("prompt"), "a text, a list of texts"),
            (r#"{"prompt": "a", "stream_options": [true]}"#, Some("stream_options"), "expected an object"),
            ("{}", None, "missing field `prompt`"),
            ("[]", None, "expected an object"),
            (r#"{"prompt": "a"} x"#, None, "not JSON"),
            (r#"{"prompt": "a", "temperature": NaN}"#, None, "not JSON"),
            (r#"{"prompt": "a""#, None, "not JSON"),
            ("", None, "not JSON"),
        ] {
            let error = parse::<CompletionRequest>(json.as_bytes()).unwrap_err().body;
            assert_eq!(error.param.as_deref(), param, "{json}: {error:?}");
            assert!(error.message.contains(message), "{json}: {error:?}");
        }
        assert!(parse::<CompletionRequest>(b"{\"prompt\": \"\xff\"}").unwrap_err().body.message.contains("not JSON"));
    }

    #[test]
    fn depth_and_unknown_fields_are_no_trouble() {
        let nested = format!("{{\"prompt\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse::<CompletionRequest>(nested.as_bytes()).is_err());
        let unknown = format!("{{\"prompt\": \"a\", \"more\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let read = parse::<CompletionRequest>(unknown.as_bytes());
        assert!(read.is_ok() || read.is_err_and(|e| e.status == StatusCode::BAD_REQUEST));
        let read = parse::<CompletionRequest>(br#"{"prompt": "a", "user": "b", "temperature": null}"#).unwrap();
        assert_eq!(read.temperature, None);
    }
}
