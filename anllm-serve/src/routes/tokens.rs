//! `POST /tokenize`, `POST /detokenize`.

use std::sync::Arc;

use anllm_model::Framing;
use axum::Json as Answer;
use axum::extract::State;

use super::prompts;
use crate::app::App;
use crate::http::Json;
use crate::wire::ApiError;
use crate::wire::error::ErrorAnswer;
use crate::wire::logprobs::spelled;
use crate::wire::tokens::{DetokenizeRequest, Detokenized, TokenizeRequest, Tokenized};

/// A text's tokens.
#[utoipa::path(
    post,
    path = "/tokenize",
    tag = "tokens",
    request_body = TokenizeRequest,
    security((), ("key" = [])),
    responses(
        (status = 200, description = "The tokens", body = Tokenized),
        (status = 400, description = "The request is wrong", body = ErrorAnswer),
        (status = 401, description = "No key, or a wrong one", body = ErrorAnswer),
        (status = 404, description = "There is no such model", body = ErrorAnswer),
        (status = 408, description = "The body did not arrive in time", body = ErrorAnswer),
        (status = 413, description = "The body is too long", body = ErrorAnswer),
        (status = 415, description = "The body is not JSON", body = ErrorAnswer),
        (status = 503, description = "The model is being loaded", body = ErrorAnswer),
    )
)]
pub(crate) async fn tokenize(
    State(app): State<Arc<App>>,
    Json(asked): Json<TokenizeRequest>,
) -> Result<Answer<Tokenized>, ApiError> {
    let model = Arc::clone(app.model(asked.model.as_deref())?);
    let (text, usual) = match (asked.prompt, asked.messages) {
        (Some(text), None) => (model.anchored(&text), Framing::Framed),
        (None, Some(messages)) => (prompts::conversation(&model, messages)?, model.format.framing()),
        _ => return Err(ApiError::invalid("give either prompt or messages").param("prompt")),
    };
    let framing = match asked.add_special_tokens {
        None => usual,
        Some(true) => Framing::Framed,
        Some(false) => Framing::Bare,
    };
    let named = asked.return_token_strs.unwrap_or(false);
    let work = move || {
        let tokens = model.encode(&text, framing).map_err(|e| ApiError::invalid(e.to_string()))?;
        let texts = || tokens.iter().map(|&id| spelled(&model.tokenizer, id)).collect();
        Ok(Tokenized {
            count: tokens.len(),
            max_model_len: model.config.max_positions,
            token_strs: named.then(texts),
            anchors: model.matcher.segments(&tokens).anchors().to_vec(),
            tokens,
        })
    };
    app.beside(work).await?.map(Answer)
}

/// The text of tokens.
#[utoipa::path(
    post,
    path = "/detokenize",
    tag = "tokens",
    request_body = DetokenizeRequest,
    security((), ("key" = [])),
    responses(
        (status = 200, description = "The text", body = Detokenized),
        (status = 400, description = "The request is wrong", body = ErrorAnswer),
        (status = 401, description = "No key, or a wrong one", body = ErrorAnswer),
        (status = 404, description = "There is no such model", body = ErrorAnswer),
        (status = 408, description = "The body did not arrive in time", body = ErrorAnswer),
        (status = 413, description = "The body is too long", body = ErrorAnswer),
        (status = 415, description = "The body is not JSON", body = ErrorAnswer),
        (status = 503, description = "The model is being loaded", body = ErrorAnswer),
    )
)]
pub(crate) async fn detokenize(
    State(app): State<Arc<App>>,
    Json(asked): Json<DetokenizeRequest>,
) -> Result<Answer<Detokenized>, ApiError> {
    let model = Arc::clone(app.model(asked.model.as_deref())?);
    prompts::check_ids(&model, &asked.tokens).map_err(|e| e.param("tokens"))?;
    let work = move || model.tokenizer.decode(&asked.tokens);
    let text = app.beside(work).await?.map_err(|e| ApiError::invalid(e.to_string()).param("tokens"))?;
    Ok(Answer(Detokenized { prompt: text }))
}
