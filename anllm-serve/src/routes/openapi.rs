//! `GET /openapi.json`: what there is, made from the handlers themselves.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::app::App;

/// The frame of the description; paths and types come from the handlers.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "anllm",
        description = "Anchor-based language models behind OpenAI's interface. Requests are told in `usage.kv` what the \
                       cache kept of them, and may choose a policy with `cache`. Unknown fields are ignored.",
    ),
    modifiers(&Key)
)]
pub(crate) struct Document;

/// The API key.
struct Key;

impl Modify for Key {
    fn modify(&self, description: &mut Description) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// The description, ready to be sent.
pub(crate) fn routes(description: &Description) -> Router<Arc<App>> {
    let text: Arc<str> = description.to_json().unwrap_or_default().into();
    Router::new().route(
        "/openapi.json",
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()).into_response() }),
    )
}
