//! `POST /v1/completions`.

use std::convert::Infallible;
use std::sync::Arc;

use anllm_infer::{Generation, TokenLogprobs};
use anllm_model::{TextStream, Tokenizer};
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
use crate::wire::completion::{Completion, CompletionChoice, CompletionRequest};
use crate::wire::error::ErrorAnswer;
use crate::wire::logprobs::CompletionLogprobs;
use crate::wire::usage::Usage;

/// Goes on with prompts.
#[utoipa::path(
    post,
    path = "/v1/completions",
    tag = "text",
    request_body = CompletionRequest,
    security((), ("key" = [])),
    responses(
        (status = 200, description = "The continuations; as events of this form, and `[DONE]` at the end, for a stream",
            content((Completion = "application/json"), (Completion = "text/event-stream"))),
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
    Json(asked): Json<CompletionRequest>,
) -> Result<Response, ApiError> {
    let model = Arc::clone(app.model(asked.model.as_deref())?);
    let plan = Plan::new(&app, &model, asked.settings(), name, "cmpl")?;
    check(&asked, &plan)?;
    let logprobs = likeliest("logprobs", asked.logprobs)?;
    let echo = asked.echo.unwrap_or(false);
    let wanted = Wanted {
        max_tokens: asked.max_tokens.unwrap_or(16) as usize,
        logprobs,
        prompt_logprobs: logprobs.filter(|_| echo),
        stop_tokens: Vec::new(),
    };
    let prompts = prompts::encode(&app, &model, asked.prompt.0).await?;
    prompts.iter().filter_map(|prompt| prompt.text.as_deref()).for_each(|text| plan.log_prompt(text));
    let requests = plan.requests(prompts.iter().map(|prompt| prompt.ids.clone()), &wanted)?;
    let pieces = if plan.stream { Pieces::Wanted } else { Pieces::Unwanted };
    let running = Running::start(&app, requests, plan.choices, pieces).await?;
    let telling = Telling { plan, prompts, echo, logprobs: logprobs.is_some() };
    match telling.plan.stream {
        true => Ok(stream::response(telling.stream(running))),
        false => telling.whole(running).await.map(|whole| Answer(whole).into_response()),
    }
}

fn check(asked: &CompletionRequest, plan: &Plan) -> Result<(), ApiError> {
    if asked.suffix.as_deref().is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::invalid("suffix is not supported: this model writes on, not between").param("suffix"));
    }
    if asked.best_of.is_some_and(|best_of| best_of as usize != plan.choices) {
        return Err(ApiError::invalid("best_of must be n, or left out: all that is made is told").param("best_of"));
    }
    if plan.stream && asked.echo == Some(true) && asked.logprobs.is_some() {
        let message = "a stream does not tell the prompt's logprobs\n  hint: leave out one of stream, echo, logprobs";
        return Err(ApiError::invalid(message).param("echo"));
    }
    Ok(())
}

/// All that it takes to tell what is made.
struct Telling {
    plan: Plan,
    prompts: Vec<Encoded>,
    echo: bool,
    logprobs: bool,
}

impl Telling {
    fn prompt(&self, choice: usize) -> &Encoded {
        &self.prompts[choice / self.plan.choices]
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.plan.model.tokenizer
    }

    fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        self.prompts.iter().for_each(|prompt| usage.prompt(prompt.ids.len()));
        usage
    }

    /// The text of a prompt.
    fn text(&self, prompt: &Encoded) -> Result<String, ApiError> {
        match &prompt.text {
            Some(text) => Ok(text.clone()),
            None => self.tokenizer().decode(&prompt.ids).map_err(|e| ApiError::internal(e.to_string())),
        }
    }

    fn answer(&self, choices: Vec<CompletionChoice>, usage: Option<Option<Usage>>) -> Completion {
        let Plan { id, created, model, .. } = &self.plan;
        Completion {
            id: id.clone(),
            object: "text_completion",
            created: *created,
            model: model.name.clone(),
            choices,
            usage,
        }
    }

    /// The answer, once it is whole.
    async fn whole(self, mut running: Running) -> Result<Completion, ApiError> {
        let mut usage = self.usage();
        let mut choices = Vec::new();
        while let Some(news) = running.next().await? {
            let (choice, generation) = match news {
                News::Generation { choice, generation } => (choice, generation),
                News::Failure(error) => return Err(error),
                News::Piece { .. } => continue,
            };
            let reason = self.plan.ended(&mut usage, choice, self.prompt(choice).ids.len(), &generation)?;
            let told = self.choice(choice, &generation)?;
            choices.push(CompletionChoice { finish_reason: Some(reason), ..told });
        }
        choices.sort_by_key(|choice| choice.index);
        Ok(self.answer(choices, Some(Some(usage))))
    }

    fn choice(&self, index: usize, generation: &Generation) -> Result<CompletionChoice, ApiError> {
        let prompt = self.prompt(index);
        let mut text = if self.echo { self.text(prompt)? } else { String::new() };
        text.push_str(&generation.text);
        let logprobs = match self.logprobs {
            true => Some(self.all_logprobs(prompt, generation)?),
            false => None,
        };
        let trace = match self.plan.trace {
            true => {
                let mut tracer = Tracer::new(&self.plan.model, self.plan.policy.clone())?;
                let ids = prompt.ids.iter().chain(&generation.tokens);
                Some(ids.map(|id| tracer.enter(*id)).collect::<Result<_, _>>()?)
            }
            false => None,
        };
        Ok(CompletionChoice { index, text, logprobs, finish_reason: None, trace })
    }

    fn all_logprobs(&self, prompt: &Encoded, generation: &Generation) -> Result<CompletionLogprobs, ApiError> {
        let mut list = Logprobs::new(self, prompt)?;
        if self.echo {
            list.offsets.restart()?;
            for (&id, known) in prompt.ids.iter().zip(&generation.prompt_logprobs) {
                list.push(id, known.as_ref())?;
            }
        }
        for (&id, known) in generation.tokens.iter().zip(&generation.logprobs) {
            list.push(id, Some(known))?;
        }
        Ok(list.told)
    }

    /// The answer as it comes.
    fn stream(self, mut running: Running) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        async_stream::stream! {
            let mut usage = self.usage();
            // Chunks say nothing of the usage, or that there is none yet.
            let none_yet = self.plan.tells_usage.then_some(None);
            let mut choices = match self.open() {
                Ok(choices) => choices,
                Err(error) => {
                    yield stream::failure(&error);
                    return;
                }
            };
            for choice in &mut choices {
                match choice.first() {
                    Ok(Some(first)) => yield stream::event(&self.answer(vec![first], none_yet.clone())),
                    Ok(None) => {}
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
                    yield stream::event(&self.answer(vec![choice], none_yet.clone()));
                }
                if let Some(error) = failure {
                    yield stream::failure(&error);
                    yield stream::done();
                    return;
                }
            }
            if self.plan.tells_usage {
                yield stream::event(&self.answer(Vec::new(), Some(Some(usage))));
            }
            yield stream::done();
        }
    }

    /// What is new of each continuation, up to the first failure.
    fn told(
        &self,
        batch: Vec<News>,
        choices: &mut [Open<'_>],
        usage: &mut Usage,
    ) -> (Vec<CompletionChoice>, Option<ApiError>) {
        let mut told = Vec::new();
        for news in batch {
            let new = match news {
                News::Piece { choice, text, token, logprobs } => choices[choice].piece(text, token, logprobs.as_ref()),
                News::Generation { choice, generation } => {
                    let prompt = self.prompt(choice).ids.len();
                    self.plan.ended(usage, choice, prompt, &generation).map(|reason| {
                        Some(CompletionChoice { index: choice, finish_reason: Some(reason), ..Default::default() })
                    })
                }
                News::Failure(error) => Err(error),
            };
            match new {
                Ok(new) => stream::add(&mut told, new),
                Err(error) => return (told, Some(error)),
            }
        }
        (told, None)
    }

    fn open(&self) -> Result<Vec<Open<'_>>, ApiError> {
        let choices = 0..self.prompts.len() * self.plan.choices;
        choices.map(|index| Open::new(self, index)).collect()
    }
}

/// A continuation that is being told.
struct Open<'t> {
    telling: &'t Telling,
    index: usize,
    tracer: Option<Tracer<'t>>,
    logprobs: Option<Logprobs<'t>>,
}

impl<'t> Open<'t> {
    fn new(telling: &'t Telling, index: usize) -> Result<Self, ApiError> {
        let plan = &telling.plan;
        let tracer = plan.trace.then(|| Tracer::new(&plan.model, plan.policy.clone())).transpose()?;
        let logprobs = telling.logprobs.then(|| Logprobs::new(telling, telling.prompt(index))).transpose()?;
        Ok(Self { telling, index, tracer, logprobs })
    }

    /// What is told before anything is made, if anything is.
    fn first(&mut self) -> Result<Option<CompletionChoice>, ApiError> {
        let prompt = self.telling.prompt(self.index);
        let rows = |tracer: &mut Tracer<'_>| prompt.ids.iter().map(|id| tracer.enter(*id)).collect();
        let trace: Option<Vec<Row>> = self.tracer.as_mut().map(rows).transpose()?;
        if !self.telling.echo && trace.is_none() {
            return Ok(None);
        }
        let text = if self.telling.echo { self.telling.text(prompt)? } else { String::new() };
        Ok(Some(CompletionChoice { index: self.index, text, trace, ..Default::default() }))
    }

    /// A piece, unless there is nothing to tell of it.
    fn piece(
        &mut self,
        text: String,
        token: Option<u32>,
        known: Option<&TokenLogprobs>,
    ) -> Result<Option<CompletionChoice>, ApiError> {
        let trace = match (&mut self.tracer, token) {
            (Some(tracer), Some(id)) => Some(vec![tracer.enter(id)?]),
            _ => None,
        };
        let logprobs = match (&mut self.logprobs, token) {
            (Some(list), Some(id)) => {
                list.push(id, known)?;
                Some(std::mem::take(&mut list.told))
            }
            _ => None,
        };
        let nothing = text.is_empty() && trace.is_none() && logprobs.is_none();
        let told = CompletionChoice { index: self.index, text, logprobs, finish_reason: None, trace };
        Ok((!nothing).then_some(told))
    }
}

/// Tokens' probabilities, with where their texts begin.
struct Logprobs<'t> {
    tokenizer: &'t Tokenizer,
    offsets: Offsets<'t>,
    told: CompletionLogprobs,
}

impl<'t> Logprobs<'t> {
    /// Of what follows a prompt.
    fn new(telling: &'t Telling, prompt: &Encoded) -> Result<Self, ApiError> {
        let tokenizer = telling.tokenizer();
        let failed = |e: anllm_model::TokenizerError| ApiError::internal(e.to_string());
        let stream = tokenizer.stream(&prompt.ids).map_err(failed)?;
        let chars = telling.text(prompt)?.chars().count();
        Ok(Self { tokenizer, offsets: Offsets { tokenizer, stream, chars }, told: CompletionLogprobs::default() })
    }

    fn push(&mut self, id: u32, known: Option<&TokenLogprobs>) -> Result<(), ApiError> {
        let offset = self.offsets.of(id)?;
        self.told.push(self.tokenizer, id, known, offset);
        Ok(())
    }
}

/// Where tokens' texts begin, in characters.
struct Offsets<'t> {
    tokenizer: &'t Tokenizer,
    stream: TextStream<'t>,
    chars: usize,
}

impl Offsets<'_> {
    /// From the beginning of the text.
    fn restart(&mut self) -> Result<(), ApiError> {
        self.stream = self.tokenizer.stream(&[]).map_err(|e| ApiError::internal(e.to_string()))?;
        self.chars = 0;
        Ok(())
    }

    fn of(&mut self, id: u32) -> Result<usize, ApiError> {
        let offset = self.chars;
        let text = self.stream.push(id).map_err(|e| ApiError::internal(e.to_string()))?;
        self.chars += text.chars().count();
        Ok(offset)
    }
}
