//! `POST /v1/chat/completions`.

use std::convert::Infallible;
use std::sync::Arc;

use anllm_infer::{Generation, StopReason, TokenLogprobs};
use axum::Extension;
use axum::Json as Answer;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;

use super::generation::{Plan, Wanted, likeliest};
use super::prompts::{self, Encoded};
use super::stream;
use crate::app::App;
use crate::engine::{News, Pieces, Running};
use crate::http::{Json, RequestName};
use crate::trace::{Row, Tracer};
use crate::wire::ApiError;
use crate::wire::chat::{self, ChatChoice, ChatChunk, ChatCompletion, ChatRequest, ChunkChoice, Delta};
use crate::wire::error::ErrorAnswer;
use crate::wire::logprobs::{ChatLogprob, ChatLogprobs};
use crate::wire::usage::Usage;

/// Answers a conversation.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "text",
    request_body = ChatRequest,
    security((), ("key" = [])),
    responses(
        (status = 200, description = "The answers; for a stream, events with what is new, and `[DONE]` at the end",
            content((ChatCompletion = "application/json"), (ChatChunk = "text/event-stream"))),
        (status = 400, description = "The request is wrong", body = ErrorAnswer),
        (status = 401, description = "No key, or a wrong one", body = ErrorAnswer),
        (status = 404, description = "There is no such model", body = ErrorAnswer),
        (status = 408, description = "The body did not arrive in time", body = ErrorAnswer),
        (status = 413, description = "The body is too long", body = ErrorAnswer),
        (status = 415, description = "The body is not JSON", body = ErrorAnswer),
        (status = 429, description = "The queue is full", body = ErrorAnswer),
        (status = 503, description = "The model is being loaded, or the server is shutting down", body = ErrorAnswer),
        (status = 504, description = "Time was up", body = ErrorAnswer),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Extension(name): Extension<RequestName>,
    Json(asked): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    let model = Arc::clone(app.model(asked.model.as_deref())?);
    let plan = Plan::new(&app, &model, asked.settings(), name, "chatcmpl")?;
    check(&asked)?;
    let logprobs = match asked.logprobs.unwrap_or(false) {
        true => likeliest("top_logprobs", Some(asked.top_logprobs.unwrap_or(0)))?,
        false if asked.top_logprobs.is_some_and(|top| top > 0) => {
            return Err(ApiError::invalid("top_logprobs needs logprobs to be true").param("top_logprobs"));
        }
        false => None,
    };
    let text = prompts::conversation(&model, asked.messages)?;
    plan.log_prompt(&text);
    let prompt = prompts::encode_chat(&app, &model, text).await?;
    let end_of_turn = model.format.end_of_turn(&model.tokenizer);
    let most = asked.max_completion_tokens.or(asked.max_tokens).map_or(app.options.new_tokens, |most| most as usize);
    let wanted =
        Wanted { max_tokens: most, logprobs, prompt_logprobs: None, stop_tokens: end_of_turn.into_iter().collect() };
    let requests = plan.requests(std::iter::once(prompt.ids.clone()), &wanted)?;
    let pieces = if plan.stream { Pieces::Wanted } else { Pieces::Unwanted };
    let running = Running::start(&app, requests, plan.choices, pieces).await?;
    let telling = Telling { plan, prompt, logprobs: logprobs.is_some(), end_of_turn };
    match telling.plan.stream {
        true => Ok(stream::response(telling.stream(running))),
        false => telling.whole(running).await.map(|whole| Answer(whole).into_response()),
    }
}

fn check(asked: &ChatRequest) -> Result<(), ApiError> {
    if asked.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
        return Err(ApiError::invalid("tools are not supported").param("tools"));
    }
    match &asked.response_format {
        Some(format) if format.0.kind != "text" => {
            let message = format!("response_format `{}` is not supported, only `text`", format.0.kind);
            Err(ApiError::invalid(message).param("response_format"))
        }
        _ => Ok(()),
    }
}

/// All that it takes to tell what is said.
struct Telling {
    plan: Plan,
    prompt: Encoded,
    logprobs: bool,
    end_of_turn: Option<u32>,
}

impl Telling {
    /// The answer, once it is whole.
    async fn whole(self, mut running: Running) -> Result<ChatCompletion, ApiError> {
        let mut usage = self.usage();
        let mut choices = Vec::new();
        while let Some(news) = running.next().await? {
            let (choice, generation) = match news {
                News::Generation { choice, generation } => (choice, generation),
                News::Failure(error) => return Err(error),
                News::Piece { .. } => continue,
            };
            let finish_reason = Some(self.ended(&mut usage, choice, &generation)?);
            let known = generation.tokens.iter().zip(&generation.logprobs);
            let content = known.filter_map(|(&id, known)| self.logprob(id, known)).collect();
            let logprobs = self.logprobs.then_some(ChatLogprobs { content });
            let trace = match self.plan.trace {
                true => {
                    let mut tracer = self.tracer()?;
                    let ids = self.prompt.ids.iter().chain(&generation.tokens);
                    Some(ids.map(|id| tracer.enter(*id)).collect::<Result<_, _>>()?)
                }
                false => None,
            };
            let message = chat::Answer { role: "assistant", content: generation.text, refusal: None };
            choices.push(ChatChoice { index: choice, message, logprobs, finish_reason, trace });
        }
        choices.sort_by_key(|choice| choice.index);
        let Plan { id, created, model, .. } = self.plan;
        Ok(ChatCompletion { id, object: "chat.completion", created, model: model.name.clone(), choices, usage })
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        usage.prompt(self.prompt.ids.len());
        usage
    }

    fn tracer(&self) -> Result<Tracer<'_>, ApiError> {
        Tracer::new(&self.plan.model, self.plan.policy.clone())
    }

    /// How likely a token was; nothing of the one that ends the answer.
    fn logprob(&self, id: u32, known: &TokenLogprobs) -> Option<ChatLogprob> {
        let model = &self.plan.model;
        let ends = self.end_of_turn == Some(id) || model.config.eos.contains(&id);
        (!ends).then(|| ChatLogprobs::of(&model.tokenizer, known))
    }

    /// An answer ended: it is counted, logged and remembered.
    fn ended(
        &self,
        usage: &mut Usage,
        choice: usize,
        generation: &Generation,
    ) -> Result<crate::wire::finish::FinishReason, ApiError> {
        let reason = self.plan.ended(usage, choice, self.prompt.ids.len(), generation)?;
        let mut tokens = &generation.tokens[..];
        let by_token = match (generation.stop_reason, tokens) {
            (StopReason::Eos, [before @ .., _]) => {
                tokens = before;
                true
            }
            (StopReason::Stop, [before @ .., last]) if Some(*last) == self.end_of_turn => {
                tokens = before;
                true
            }
            _ => false,
        };
        // A stop text is among the tokens and not in the text, and special tokens have none.
        let complete = by_token || generation.stop_reason != StopReason::Stop;
        let tokenizer = &self.plan.model.tokenizer;
        if let Some(text) = self.prompt.text.as_ref().filter(|_| complete)
            && !tokens.iter().any(|id| tokenizer.is_special(*id))
        {
            let all = [&self.prompt.ids[..], tokens].concat();
            self.plan.app.conversations.remember(format!("{text}{}", generation.text), all);
        }
        Ok(reason)
    }

    fn chunk(&self, choices: Vec<ChunkChoice>, usage: Option<Option<Usage>>) -> ChatChunk {
        let Plan { id, created, model, .. } = &self.plan;
        let (id, model) = (id.clone(), model.name.clone());
        ChatChunk { id, object: "chat.completion.chunk", created: *created, model, choices, usage }
    }

    /// What is new of each answer, up to the first failure.
    fn told(
        &self,
        batch: Vec<News>,
        choices: &mut [Open<'_>],
        usage: &mut Usage,
    ) -> (Vec<ChunkChoice>, Option<ApiError>) {
        let mut told = Vec::new();
        for news in batch {
            let new = match news {
                News::Piece { choice, text, token, logprobs } => choices[choice].piece(text, token, logprobs.as_ref()),
                News::Generation { choice, generation } => self.ended(usage, choice, &generation).map(|reason| {
                    Some(ChunkChoice { index: choice, finish_reason: Some(reason), ..Default::default() })
                }),
                News::Failure(error) => Err(error),
            };
            match new {
                Ok(new) => stream::add(&mut told, new),
                Err(error) => return (told, Some(error)),
            }
        }
        (told, None)
    }

    /// The answer as it comes.
    fn stream(self, mut running: Running) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        async_stream::stream! {
            let mut usage = self.usage();
            // Chunks say nothing of the usage, or that there is none yet.
            let none_yet = self.plan.tells_usage.then_some(None);
            let mut choices = Vec::new();
            for index in 0..self.plan.choices {
                let opened = Open::new(&self, index).and_then(|mut open| Ok((open.first()?, open)));
                match opened {
                    Ok((first, open)) => {
                        choices.push(open);
                        yield stream::event(&self.chunk(vec![first], none_yet.clone()));
                    }
                    Err(error) => {
                        yield stream::failure(&error);
                        return;
                    }
                }
            }
            loop {
                let (told, failure) = match running.batch().await {
                    Ok(batch) if batch.is_empty() => break,
                    Ok(batch) => self.told(batch, &mut choices, &mut usage),
                    Err(error) => (Vec::new(), Some(error)),
                };
                for choice in told {
                    yield stream::event(&self.chunk(vec![choice], none_yet.clone()));
                }
                if let Some(error) = failure {
                    yield stream::failure(&error);
                    yield stream::done();
                    return;
                }
            }
            if self.plan.tells_usage {
                yield stream::event(&self.chunk(Vec::new(), Some(Some(usage))));
            }
            yield stream::done();
        }
    }
}

/// An answer that is being told.
struct Open<'t> {
    telling: &'t Telling,
    index: usize,
    tracer: Option<Tracer<'t>>,
}

impl<'t> Open<'t> {
    fn new(telling: &'t Telling, index: usize) -> Result<Self, ApiError> {
        let tracer = telling.plan.trace.then(|| telling.tracer()).transpose()?;
        Ok(Self { telling, index, tracer })
    }

    /// What is told before anything is said: who speaks.
    fn first(&mut self) -> Result<ChunkChoice, ApiError> {
        let ids = &self.telling.prompt.ids;
        let rows = |tracer: &mut Tracer<'_>| ids.iter().map(|id| tracer.enter(*id)).collect();
        let trace: Option<Vec<Row>> = self.tracer.as_mut().map(rows).transpose()?;
        let delta = Delta { role: Some("assistant"), content: Some(String::new()) };
        Ok(ChunkChoice { index: self.index, delta, trace, ..Default::default() })
    }

    /// A piece, unless there is nothing to tell of it.
    fn piece(
        &mut self,
        text: String,
        token: Option<u32>,
        known: Option<&TokenLogprobs>,
    ) -> Result<Option<ChunkChoice>, ApiError> {
        let trace = match (&mut self.tracer, token) {
            (Some(tracer), Some(id)) => Some(vec![tracer.enter(id)?]),
            _ => None,
        };
        let told = token.zip(known).filter(|_| self.telling.logprobs);
        let told = told.and_then(|(id, known)| self.telling.logprob(id, known));
        let logprobs = told.map(|known| ChatLogprobs { content: vec![known] });
        let nothing = text.is_empty() && trace.is_none() && logprobs.is_none();
        let delta = Delta { role: None, content: (!text.is_empty()).then_some(text) };
        let told = ChunkChoice { index: self.index, delta, logprobs, finish_reason: None, trace };
        Ok((!nothing).then_some(told))
    }
}
