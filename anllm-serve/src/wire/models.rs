//! `/v1/models`.

use serde::Serialize;
use utoipa::ToSchema;

/// The models there are: one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Models {
    /// `list`.
    pub(crate) object: &'static str,
    /// Each model.
    pub(crate) data: Vec<ModelCard>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelCard {
    /// The name that requests give.
    pub(crate) id: String,
    /// `model`.
    pub(crate) object: &'static str,
    /// When the server loaded it, in seconds since 1970.
    pub(crate) created: u64,
    /// `anllm`.
    pub(crate) owned_by: &'static str,
    /// The longest text, in tokens.
    pub(crate) max_model_len: usize,
    /// Which tokens are anchors.
    pub(crate) anchors: String,
    /// The cache policy of requests that name none.
    pub(crate) cache: String,
    /// Bytes that each entry of the cache takes.
    pub(crate) bytes_per_entry: usize,
    /// Whether the model has a chat template; without one it goes on with the conversation's text.
    pub(crate) chat_template: bool,
}
