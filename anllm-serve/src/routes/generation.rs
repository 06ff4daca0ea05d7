//! What completions and chats have in common between the request and its answer.

use std::sync::Arc;
use std::time::Instant;

use anllm_core::{Policy, PolicyKind};
use anllm_infer::{Generation, Request, StopReason};

use crate::app::App;
use crate::http::RequestName;
use crate::model::{Model, now};
use crate::options::LogText;
use crate::wire::finish::FinishReason;
use crate::wire::settings::Settings;
use crate::wire::usage::Usage;
use crate::wire::{ApiError, settings};

/// A request's settings, judged, with what every chunk of its answer says.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) app: Arc<App>,
    pub(super) model: Arc<Model>,
    pub(super) policy: Policy,
    pub(super) choices: usize,
    pub(super) stream: bool,
    pub(super) tells_usage: bool,
    pub(super) trace: bool,
    /// The answer's name.
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) request: RequestName,
    started: Instant,
    settings: Settings,
}

/// What one kind of request wants beside the settings.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) max_tokens: usize,
    pub(super) logprobs: Option<usize>,
    pub(super) prompt_logprobs: Option<usize>,
    pub(super) stop_tokens: Vec<u32>,
}

impl Plan {
    pub(super) fn new(
        app: &Arc<App>,
        model: &Arc<Model>,
        settings: Settings,
        request: RequestName,
        prefix: &str,
    ) -> Result<Self, ApiError> {
        let kind = settings.policy(model.policy)?;
        check_anchors(kind, model)?;
        if !settings.stream && settings.stream_options.is_some() {
            let message = "stream_options is for streams\n  hint: leave it out, or set stream to true";
            return Err(ApiError::invalid(message).param("stream_options"));
        }
        Ok(Self {
            app: Arc::clone(app),
            model: Arc::clone(model),
            policy: kind.policy(),
            choices: settings.choices()?,
            stream: settings.stream,
            tells_usage: settings.tells_usage(),
            trace: settings.trace,
            id: format!("{prefix}-{}", request.0),
            created: now(),
            request,
            started: Instant::now(),
            settings,
        })
    }

    /// A request to the engine for each prompt.
    pub(super) fn requests(
        &self,
        prompts: impl Iterator<Item = Vec<u32>>,
        wanted: &Wanted,
    ) -> Result<Vec<Request>, ApiError> {
        let sampling = self.settings.sampling(&self.model.sampling, self.model.seed)?;
        let stop = self.settings.stops()?;
        let deadline = self.started.checked_add(self.app.options.request_time);
        let request = |prompt: Vec<u32>| Request {
            max_new_tokens: wanted.max_tokens.min(self.app.options.new_tokens),
            sampling: sampling.clone(),
            stop: stop.clone(),
            stop_tokens: wanted.stop_tokens.clone(),
            ignore_eos: self.settings.ignore_eos,
            logprobs: wanted.logprobs,
            prompt_logprobs: wanted.prompt_logprobs,
            deadline,
            ..Request::new(prompt, self.policy.clone())
        };
        Ok(prompts.map(request).collect())
    }

    /// A continuation of a prompt of so many tokens ended: counts it, logs it, and says why, or that it was broken off.
    pub(super) fn ended(
        &self,
        usage: &mut Usage,
        choice: usize,
        prompt: usize,
        generation: &Generation,
    ) -> Result<FinishReason, ApiError> {
        let took = self.started.elapsed();
        self.app.metrics.generation(prompt, generation, took);
        usage.continuation(generation, choice.is_multiple_of(self.choices));
        let text = (self.app.options.log == LogText::Everything).then_some(&*generation.text);
        tracing::info!(
            request = &*self.request.0,
            choice,
            prompt_tokens = prompt,
            cached_tokens = generation.cached_tokens,
            new_tokens = generation.tokens.len(),
            policy = generation.kv.policy,
            entries_seen = generation.kv.seen,
            entries_kept = generation.kv.kept,
            cache_bytes = generation.kv.bytes,
            ended = ?generation.stop_reason,
            first_token_millis = generation.timing.ttft_s * 1e3,
            millis = took.as_secs_f64() * 1e3,
            text,
            "generated"
        );
        FinishReason::of(generation.stop_reason).ok_or_else(|| match generation.stop_reason {
            StopReason::Deadline => ApiError::late(),
            _ => ApiError::unavailable("the server is shutting down", "shutting_down"),
        })
    }

    /// Logs a prompt, if that was asked for.
    pub(super) fn log_prompt(&self, text: &str) {
        if self.app.options.log == LogText::Everything {
            tracing::info!(request = &*self.request.0, text, "prompt");
        }
    }
}

fn check_anchors(kind: PolicyKind, model: &Model) -> Result<(), ApiError> {
    if kind.needs_anchors() && !model.has_anchors() {
        let message = format!(
            "cache: `{kind}` needs anchors, and this model has no anchor rule\n  hint: start the server with --anchors"
        );
        return Err(ApiError::invalid(message).param("cache"));
    }
    Ok(())
}

/// How many likeliest tokens are told.
pub(super) fn likeliest(name: &str, count: Option<u32>) -> Result<Option<usize>, ApiError> {
    count.map(|count| settings::likeliest(name, count)).transpose()
}
