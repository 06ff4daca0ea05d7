//! What all handlers share.

use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::conversations::Conversations;
use crate::engine::{Board, Job};
use crate::metrics::Metrics;
use crate::model::Model;
use crate::options::Options;
use crate::wire::ApiError;

/// The bytes of conversations that are remembered.
const CONVERSATIONS: usize = 16 << 20;
/// Texts that are cut into tokens at a time.
const TOKENIZERS: usize = 2;

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) options: Options,
    /// The model, once it is loaded, and since when.
    model: OnceLock<(Arc<Model>, u64)>,
    /// To the thread that has the model.
    pub(crate) jobs: Sender<Job>,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: Metrics,
    /// Room for continuations, running and waiting.
    pub(crate) places: Arc<Semaphore>,
    /// Room for texts that are cut into tokens.
    pub(crate) tokenizers: Semaphore,
    pub(crate) conversations: Conversations,
    /// Nothing new is taken.
    pub(crate) stop: CancellationToken,
    /// What still runs is cut off.
    pub(crate) cut: CancellationToken,
}

impl App {
    pub(crate) fn new(options: Options, jobs: Sender<Job>) -> Self {
        let places = options.batch.rows.saturating_add(options.queue).min(Semaphore::MAX_PERMITS);
        let remembered = if options.batch.prefix_bytes > 0 { CONVERSATIONS } else { 0 };
        Self {
            model: OnceLock::new(),
            jobs,
            board: Arc::default(),
            metrics: Metrics::new(),
            places: Arc::new(Semaphore::new(places)),
            tokenizers: Semaphore::new(TOKENIZERS),
            conversations: Conversations::new(remembered),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            options,
        }
    }

    /// From now on there is a model.
    pub(crate) fn ready(&self, model: Arc<Model>) {
        // It is loaded once.
        let _ = self.model.set((model, crate::model::now()));
    }

    /// The model, and since when it is loaded.
    ///
    /// # Errors
    /// While it is not.
    pub(crate) fn loaded(&self) -> Result<(&Arc<Model>, u64), ApiError> {
        let loading = || ApiError::unavailable("the model is still being loaded", "loading");
        self.model.get().map(|(model, since)| (model, *since)).ok_or_else(loading)
    }

    /// The model, if that is what `name` names.
    ///
    /// # Errors
    /// While it is not loaded, and where it has another name.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<&Arc<Model>, ApiError> {
        let (model, _) = self.loaded()?;
        match name {
            Some(name) if name != model.name => {
                let message = format!("there is no model `{name}`\n  hint: this server has `{}`", model.name);
                let error = ApiError::with_status(axum::http::StatusCode::NOT_FOUND, message);
                Err(error.param("model").code("model_not_found"))
            }
            _ => Ok(model),
        }
    }

    /// Runs `work` where it holds up no other request; few at a time.
    pub(crate) async fn beside<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        let _place = self.tokenizers.acquire().await;
        tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal("the text could not be read"))
    }
}
