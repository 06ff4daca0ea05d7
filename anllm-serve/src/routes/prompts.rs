//! From what a request says to the tokens that the model reads.

use std::sync::Arc;

use anllm_infer::InferError;
use anllm_model::{Framing, Message};

use crate::app::App;
use crate::model::Model;
use crate::wire::chat::ChatMessage;
use crate::wire::prompt::Prompt;
use crate::wire::{ApiError, Object};

/// A prompt's tokens.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) ids: Vec<u32>,
    /// The text, of prompts that came as one.
    pub(super) text: Option<String>,
}

/// Cuts prompts into tokens.
///
/// # Errors
/// When one is too long, or has unknown tokens.
pub(super) async fn encode(app: &App, model: &Arc<Model>, prompts: Vec<Prompt>) -> Result<Vec<Encoded>, ApiError> {
    let limit = limit(app, model);
    let model = Arc::clone(model);
    let work = move || {
        let one = |prompt: Prompt| match prompt {
            Prompt::Tokens(ids) => {
                check_count(ids.len(), limit)?;
                check_ids(&model, &ids)?;
                Ok(Encoded { ids, text: None })
            }
            Prompt::Text(text) => {
                check_bytes(text.len(), limit)?;
                let read = model.encode(&model.anchored(&text), Framing::Framed);
                let ids = read.map_err(|e| ApiError::invalid(e.to_string()).param("prompt"))?;
                check_count(ids.len(), limit)?;
                Ok(Encoded { ids, text: Some(text) })
            }
        };
        prompts.into_iter().map(one).collect()
    };
    app.beside(work).await?
}

/// Writes a conversation as the model reads it, and cuts it into tokens.
///
/// # Errors
/// When the template refuses it, or it is too long.
pub(super) async fn encode_chat(app: &Arc<App>, model: &Arc<Model>, text: String) -> Result<Encoded, ApiError> {
    let limit = limit(app, model);
    let (app_too, model) = (Arc::clone(app), Arc::clone(model));
    let work = move || {
        check_bytes(text.len(), limit)?;
        let whole = model.encode(&text, model.format.framing());
        let rest = |rest: &str| model.tokenizer.encode(rest, Framing::Bare);
        let read = whole.and_then(|whole| app_too.conversations.encode(&text, whole, rest));
        let ids = read.map_err(|e| ApiError::invalid(e.to_string()))?;
        check_count(ids.len(), limit)?;
        Ok(Encoded { ids, text: Some(text) })
    };
    let read: Result<Encoded, ApiError> = app.beside(work).await?;
    read.map_err(|e| e.param("messages"))
}

/// The text of a conversation.
///
/// # Errors
/// When the template refuses it.
pub(super) fn conversation(model: &Model, messages: Vec<Object<ChatMessage>>) -> Result<String, ApiError> {
    let messages = messages.into_iter().map(|Object(m)| Message::new(m.role, m.content.0)).collect::<Vec<_>>();
    if messages.is_empty() {
        return Err(ApiError::invalid("there are no messages").param("messages"));
    }
    let text = model.format.prompt(&model.messages(messages));
    text.map_err(|e| ApiError::invalid(e.to_string()).param("messages"))
}

/// The longest prompt, in tokens.
fn limit(app: &App, model: &Model) -> usize {
    app.options.prompt_tokens.unwrap_or(model.config.max_positions.saturating_sub(model.prefix_tokens))
}

/// More bytes than any prompt of so many tokens has are not cut into tokens at all.
fn check_bytes(bytes: usize, limit: usize) -> Result<(), ApiError> {
    /// Longer tokens are rare, runs of spaces mostly.
    const MOST_PER_TOKEN: usize = 64;
    match bytes > limit.saturating_mul(MOST_PER_TOKEN) {
        true => Err(too_long(format!("{bytes} bytes, far more"), limit)),
        false => Ok(()),
    }
}

fn check_count(tokens: usize, limit: usize) -> Result<(), ApiError> {
    if tokens > limit { Err(too_long(format!("{tokens} tokens, more"), limit)) } else { Ok(()) }
}

fn too_long(found: String, limit: usize) -> ApiError {
    let message = format!("the prompt has {found} than the {limit} tokens that a prompt may have\n  hint: shorten it");
    ApiError::invalid(message).param("prompt").code("context_length_exceeded")
}

/// Checks that every token has an embedding.
///
/// # Errors
/// Names the first that has none.
pub(super) fn check_ids(model: &Model, ids: &[u32]) -> Result<(), ApiError> {
    let vocab = model.config.vocab_size;
    match ids.iter().find(|id| **id as usize >= vocab) {
        Some(&id) => Err(InferError::UnknownToken { id, vocab }.into()),
        None => Ok(()),
    }
}
