//! `GET /v1/models`, `GET /v1/models/{model}`.

use std::sync::Arc;

use anllm_infer::ChatFormat;
use axum::Json;
use axum::extract::{Path, State};

use crate::app::App;
use crate::wire::ApiError;
use crate::wire::error::ErrorAnswer;
use crate::wire::models::{ModelCard, Models};

fn card(app: &App) -> Result<ModelCard, ApiError> {
    let (model, created) = app.loaded()?;
    Ok(ModelCard {
        id: model.name.clone(),
        object: "model",
        created,
        owned_by: "anllm",
        max_model_len: model.config.max_positions,
        anchors: model.matcher.rule().to_string(),
        cache: model.policy.to_string(),
        bytes_per_entry: model.bytes_per_entry,
        chat_template: matches!(model.format, ChatFormat::Template(_)),
    })
}

/// The models there are.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    security((), ("key" = [])),
    responses(
        (status = 200, description = "One", body = Models),
        (status = 401, description = "No key, or a wrong one", body = ErrorAnswer),
        (status = 503, description = "The model is being loaded", body = ErrorAnswer),
    )
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Models>, ApiError> {
    Ok(Json(Models { object: "list", data: vec![card(&app)?] }))
}

/// A model.
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    tag = "models",
    params(("model" = String, Path, description = "Its name")),
    security((), ("key" = [])),
    responses(
        (status = 200, description = "It", body = ModelCard),
        (status = 400, description = "The name is not UTF-8", body = ErrorAnswer),
        (status = 401, description = "No key, or a wrong one", body = ErrorAnswer),
        (status = 404, description = "There is none of this name", body = ErrorAnswer),
        (status = 503, description = "The model is being loaded", body = ErrorAnswer),
    )
)]
pub(crate) async fn retrieve(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Json<ModelCard>, ApiError> {
    let Path(name) = name.map_err(|e| ApiError::invalid(e.to_string()).param("model"))?;
    app.model(Some(&name))?;
    Ok(Json(card(&app)?))
}
