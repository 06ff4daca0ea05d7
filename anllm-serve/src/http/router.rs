//! Which path goes where.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{auth, log, page_headers, panics};
use crate::app::App;
use crate::routes::{chat, completions, health, metrics, models, openapi, page, tokens};
use crate::server::ServeError;
use crate::wire::ApiError;

/// Everything that the description has, with the description.
fn api(app: &Arc<App>) -> (Router<Arc<App>>, Description) {
    let guarded = OpenApiRouter::new()
        .routes(routes!(completions::create))
        .routes(routes!(chat::create))
        .routes(routes!(models::list))
        .routes(routes!(models::retrieve))
        .routes(routes!(tokens::tokenize))
        .routes(routes!(tokens::detokenize))
        .routes(routes!(metrics::read))
        .layer(from_fn_with_state(Arc::clone(app), auth::check));
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(guarded)
        .routes(routes!(health::check))
        .split_for_parts()
}

/// The whole of it.
///
/// # Errors
/// When an origin is none.
pub(crate) fn router(app: &Arc<App>) -> Result<Router, ServeError> {
    let (api, description) = api(app);
    let router = api
        .merge(page::routes())
        .merge(openapi::routes(&description))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panics::answer))
        .layer(from_fn(page_headers::add));
    let router = match cors(&app.options.cors)? {
        Some(cors) => router.layer(cors),
        None => router,
    };
    Ok(router.layer(from_fn_with_state(Arc::clone(app), log::log)).with_state(Arc::clone(app)))
}

async fn unknown() -> ApiError {
    let message = "there is nothing at this path\n  hint: /openapi.json says what there is";
    ApiError::with_status(StatusCode::NOT_FOUND, message).code("not_found")
}

async fn wrong_method() -> ApiError {
    let message = "this path does not take this method\n  hint: /openapi.json says which it takes";
    ApiError::with_status(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed")
}

fn cors(origins: &[String]) -> Result<Option<CorsLayer>, ServeError> {
    if origins.is_empty() {
        return Ok(None);
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origin = |origin: &String| {
            let wrong = || ServeError::Origin { origin: origin.clone() };
            let known = origin.starts_with("http://") || origin.starts_with("https://");
            known.then(|| HeaderValue::from_str(origin).ok()).flatten().ok_or_else(wrong)
        };
        AllowOrigin::list(origins.iter().map(origin).collect::<Result<Vec<_>, _>>()?)
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([HeaderName::from_static("x-request-id"), header::RETRY_AFTER]);
    Ok(Some(layer))
}
