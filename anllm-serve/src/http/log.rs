//! A name for each request, and one line of log. Neither prompts nor answers are in it, nor messages that quote them.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::metrics::Answered;
use crate::wire::error::Refused;

/// A request's name, for the log and the client: `x-request-id`.
#[derive(Debug, Clone)]
pub(crate) struct RequestName(pub(crate) Arc<str>);

impl RequestName {
    fn new() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()).into())
    }
}

/// Names the request, counts it, and logs how it was answered. Of a stream that is its beginning.
pub(crate) async fn log(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let name = RequestName::new();
    request.extensions_mut().insert(name.clone());
    let method = request.method().clone();
    // Of paths that exist; others are whatever a client writes.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let millis = started.elapsed().as_secs_f64() * 1e3;
    let refused = response.extensions().get::<Refused>();
    let code = refused.and_then(|refused| refused.code);
    let param = refused.and_then(|refused| refused.param.as_deref());
    tracing::info!(request = &*name.0, %method, route, status, millis, code, param, "answered");
    app.metrics.requests.get_or_create(&Answered { route, status }).inc();
    if let Ok(value) = HeaderValue::from_str(&name.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}
