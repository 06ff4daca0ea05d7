//! A request that the engine works on, as its handler sees it.

use std::sync::Arc;
use std::time::Duration;

use anllm_infer::{Generation, Request, TokenLogprobs};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Generate, Job, Pieces, Update, What};
use crate::app::App;
use crate::wire::ApiError;

/// The shortest time between two pieces of a stream. Nobody sees it, and it is two hundred pieces a second.
const PACE: Duration = Duration::from_millis(5);

/// Prompts being continued. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Running {
    updates: mpsc::UnboundedReceiver<Update>,
    /// Continuations that are not done.
    open: usize,
    /// Says that nobody waits for the end any more.
    cut: CancellationToken,
    /// Told when a continuation ended.
    ended: Arc<Notify>,
    /// When the last batch was handed out.
    told: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

/// What a continuation says of itself.
#[derive(Debug)]
pub(crate) enum News {
    /// More of it.
    Piece { choice: usize, text: String, token: Option<u32>, logprobs: Option<TokenLogprobs> },
    /// All of it.
    Generation { choice: usize, generation: Box<Generation> },
    /// That there is no more.
    Failure(ApiError),
}

impl Running {
    /// Hands `requests` to the engine, `choices` continuations of each; they are numbered one request after another.
    ///
    /// # Errors
    /// When there is no room in the queue, or the engine refuses one.
    pub(crate) async fn start(
        app: &App,
        requests: Vec<Request>,
        choices: usize,
        pieces: Pieces,
    ) -> Result<Self, ApiError> {
        if app.stop.is_cancelled() {
            return Err(ApiError::unavailable("the server is shutting down", "shutting_down"));
        }
        let open = requests.len().saturating_mul(choices);
        let place = place(&app.places, open, app)?;
        let (sender, updates) = mpsc::unbounded_channel();
        let ended = Arc::<Notify>::default();
        let mut answers = Vec::with_capacity(requests.len());
        for (number, request) in requests.into_iter().enumerate() {
            let (taken, answer) = oneshot::channel();
            let first = number * choices;
            let asked =
                Generate { request, choices, first, pieces, updates: sender.clone(), ended: Arc::clone(&ended), taken };
            // A closed channel shows in the answer.
            let _ = app.jobs.send(Job::Generate(Box::new(asked)));
            answers.push(answer);
        }
        let running = Self { updates, open, ended, cut: app.cut.clone(), told: None, _place: place };
        for answer in answers {
            answer.await??;
        }
        Ok(running)
    }

    /// What happens next; `None` at the end.
    ///
    /// # Errors
    /// When the engine lost the request, or the server does not wait for it any longer.
    pub(crate) async fn next(&mut self) -> Result<Option<News>, ApiError> {
        if self.open == 0 {
            return Ok(None);
        }
        let update = tokio::select! {
            update = self.updates.recv() => update,
            () = self.cut.cancelled() => {
                return Err(ApiError::unavailable("the server is shutting down", "shutting_down"));
            }
        };
        // All senders are gone before the end where the engine lost the request.
        let update = update.ok_or_else(|| ApiError::internal("the engine failed; other requests go on"))?;
        Ok(Some(self.news(update)))
    }

    /// What happened since the last time, at least one thing; empty at the end. A model that is faster than anybody reads
    /// is told in pieces of several tokens, since each piece takes a journey through two kernels.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) async fn batch(&mut self) -> Result<Vec<News>, ApiError> {
        let Some(first) = self.next().await? else { return Ok(Vec::new()) };
        let mut batch = vec![first];
        // The beginning is told at once.
        let Some(told) = self.told.replace(Instant::now()) else { return Ok(batch) };
        // And so is the end. Tokens between them wake nobody up.
        tokio::select! {
            () = tokio::time::sleep_until(told + PACE) => {}
            () = self.ended.notified() => {}
        }
        while let Ok(update) = self.updates.try_recv() {
            batch.push(self.news(update));
        }
        self.told = Some(Instant::now());
        Ok(batch)
    }

    fn news(&mut self, Update { choice, what }: Update) -> News {
        match what {
            What::Piece { text, token, logprobs } => News::Piece { choice, text, token, logprobs },
            What::Finished(generation) => {
                self.open -= 1;
                News::Generation { choice, generation }
            }
            What::Failed(error) => {
                self.open -= 1;
                News::Failure(error)
            }
        }
    }
}

/// Room for `count` continuations, running or waiting.
fn place(places: &Arc<Semaphore>, count: usize, app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    let all = app.options.batch.rows.saturating_add(app.options.queue);
    let wanted = u32::try_from(count).ok().filter(|count| *count as usize <= all).ok_or_else(|| {
        let message = format!("{count} continuations were asked for at once, and {all} have room\n  hint: send fewer");
        ApiError::invalid(message).param("prompt")
    })?;
    Arc::clone(places).try_acquire_many_owned(wanted).map_err(|e| match e {
        TryAcquireError::NoPermits => ApiError::busy(app.metrics.seconds_to_wait()),
        TryAcquireError::Closed => ApiError::unavailable("the server is shutting down", "shutting_down"),
    })
}
