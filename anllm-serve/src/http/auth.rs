//! Who may ask.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::wire::ApiError;

/// Lets a request through that shows one of the keys, or any where there are none.
///
/// # Errors
/// Without a key, and with a wrong one.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let keys = &app.options.keys;
    if !keys.is_empty() {
        let refused = |message: &str| ApiError::with_status(StatusCode::UNAUTHORIZED, message).code("invalid_api_key");
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' '));
        let key = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
        match key {
            None => {
                return Err(refused("this server wants an API key\n  hint: send it as `Authorization: Bearer KEY`"));
            }
            Some(key) if !keys.has(key) => return Err(refused("this is not one of the server's API keys")),
            Some(_) => {}
        }
    }
    Ok(next.run(request).await)
}
