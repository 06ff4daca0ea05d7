//! `GET /health`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::wire::ApiError;
use crate::wire::error::ErrorAnswer;

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the server takes requests.
#[utoipa::path(
    get,
    path = "/health",
    tag = "server",
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "The model is being loaded, or the server is shutting down", body = ErrorAnswer),
    )
)]
pub(crate) async fn check(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    app.loaded()?;
    if app.stop.is_cancelled() {
        return Err(ApiError::unavailable("the server is shutting down", "shutting_down"));
    }
    Ok(Json(Health { status: "ok" }))
}
