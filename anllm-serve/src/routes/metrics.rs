//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::app::App;
use crate::metrics::CONTENT_TYPE;
use crate::wire::ApiError;
use crate::wire::error::ErrorAnswer;

/// What the server counts, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    security((), ("key" = [])),
    responses(
        (status = 200, description = "Counters, gauges and histograms as OpenMetrics", body = String,
            content_type = "application/openmetrics-text"),
        (status = 401, description = "No key, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn read(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let text = app.metrics.text(&app.board.read()).map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}
