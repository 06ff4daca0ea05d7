//! A conversation: messages as one sequence of tokens that a session reads once, however many turns there are.
//!
//! Each turn the [`ChatFormat`] writes the whole conversation anew, and what that text adds to the tokens seen is read.
//! Where it does not begin with them, because a template rewrites earlier turns or a message was changed, the
//! conversation is read again from its start, and the [`Turn`] says so.

mod answer;
mod error;
mod format;
mod saved;

use std::ops::ControlFlow;

use anllm_core::Policy;
use anllm_kernels::Kernels;
use anllm_model::{Message, PieceEncoder, Tokenizer};

pub use error::ChatError;
pub use format::ChatFormat;
pub use saved::SavedChat;

use self::answer::Answer;
use crate::engine::{Engine, Session};
use crate::error::InferError;
use crate::generate::{Generation, Piece, Request, StopReason};
use crate::prefix::Resumed;
use crate::sampler::Sampling;

/// Tokens before a turn that penalties and the text's spaces may depend on.
const RECENT: usize = 64;

/// How an answer is made.
#[derive(Debug, Clone)]
pub struct TurnOptions {
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end an answer; none of them is shown.
    pub stop: Vec<String>,
}

/// What a turn did.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The answer, with the cache's account of the whole conversation.
    pub generation: Generation,
    /// Tokens read before the answer began.
    pub read: usize,
    /// What they were.
    pub reading: Reading,
    /// Whether message and answer are part of the conversation now: not when reading was broken off.
    pub taken: bool,
}

/// What a turn had to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What is new.
    New,
    /// The whole conversation again, since its text does not begin with what was read before.
    Again,
}

/// A conversation with a model.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use anllm_core::{AnchorMatcher, AnchorPolicy};
/// use anllm_infer::{Chat, ChatFormat, Engine, EngineOptions, Sampling, TurnOptions};
/// use anllm_model::Checkpoint;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/tiny-ep");
/// let checkpoint = Checkpoint::open(model.as_ref())?;
/// let tokenizer = checkpoint.tokenizer()?;
/// let matcher = AnchorMatcher::resolve(&"ep".parse()?, &tokenizer)?;
/// let engine = Engine::<burn_flex::Flex>::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default())?;
///
/// // This model tells stories and has no template.
/// let format = checkpoint.chat_template(&tokenizer, None)?.map_or(ChatFormat::Continuation, ChatFormat::Template);
/// let mut chat = Chat::new(&engine, &tokenizer, format, AnchorPolicy.into());
/// let options = TurnOptions { max_new_tokens: 20, sampling: Sampling::default(), stop: Vec::new() };
/// let first = chat.say("Once upon a time", &options, |_| ControlFlow::Continue(()))?;
/// let second = chat.say("Then the dog", &options, |_| ControlFlow::Continue(()))?;
/// assert!(second.read < 8, "the second turn reads what is new");
/// assert_eq!(chat.messages()[1].content, first.generation.text);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Chat<'a, B: Kernels> {
    engine: &'a Engine<B>,
    tokenizer: &'a Tokenizer,
    format: ChatFormat,
    /// What stands before every conversation: nothing, or a prefix.
    start: Resumed<B>,
    policy: Policy,
    end_of_turn: Option<u32>,
    messages: Vec<Message>,
    seen: Seen<B>,
}

/// A session, and what its sequence is.
#[derive(Debug)]
struct Seen<B: Kernels> {
    session: Session<B>,
    /// The conversation's tokens so far; the session may not have read the last of them yet.
    tokens: Vec<u32>,
    /// The text that the format must begin with to go on; `None` where only the tokens can tell.
    text: Option<String>,
}

impl<'a, B: Kernels> Chat<'a, B> {
    /// An empty conversation. `policy` decides what the cache keeps of it.
    pub fn new(engine: &'a Engine<B>, tokenizer: &'a Tokenizer, format: ChatFormat, policy: Policy) -> Self {
        let start = Resumed::new(engine.session(policy.clone()));
        Self::from_start(engine, tokenizer, format, policy, start)
    }

    /// An empty conversation behind a prefix, which its messages see as they see each other, under the prefix's policy.
    pub fn behind(engine: &'a Engine<B>, tokenizer: &'a Tokenizer, format: ChatFormat, prefix: Resumed<B>) -> Self {
        let policy = prefix.session.policy();
        Self::from_start(engine, tokenizer, format, policy, prefix)
    }

    fn from_start(
        engine: &'a Engine<B>,
        tokenizer: &'a Tokenizer,
        format: ChatFormat,
        policy: Policy,
        start: Resumed<B>,
    ) -> Self {
        let end_of_turn = format.end_of_turn(tokenizer);
        let seen = Seen::nothing(&start);
        Self { engine, tokenizer, format, start, policy, end_of_turn, messages: Vec::new(), seen }
    }

    /// What was said, the system message first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The session, which has the cache's account.
    pub fn session(&self) -> &Session<B> {
        &self.seen.session
    }

    /// The conversation's tokens so far.
    pub fn tokens(&self) -> &[u32] {
        &self.seen.tokens
    }

    /// The engine it runs on.
    pub fn engine(&self) -> &'a Engine<B> {
        self.engine
    }

    /// Sets the system message, or removes it. It stands at the start, so that the next turn reads everything again.
    pub fn set_system(&mut self, content: Option<&str>) {
        self.messages.retain(|message| message.role != Message::SYSTEM);
        if let Some(content) = content {
            self.messages.insert(0, Message::new(Message::SYSTEM, content));
        }
    }

    /// Forgets everything but the system message.
    pub fn reset(&mut self) {
        self.messages.retain(|message| message.role == Message::SYSTEM);
        self.seen = Seen::nothing(&self.start);
    }

    /// Takes `messages` in place of the conversation. The next turn reads them.
    pub fn set_messages(&mut self, messages: Vec<Message>) {
        self.messages = messages;
        self.seen = Seen::nothing(&self.start);
    }

    /// Says `content` and lets the model answer. `show` is given each piece of the answer as soon as it is sure, and
    /// may break off: the answer so far then stands.
    ///
    /// # Errors
    /// When the template refuses the conversation or the context is too short for it; the conversation is then as it
    /// was. After an error of the device it is too, and is read again by the next turn.
    pub fn say(
        &mut self,
        content: &str,
        options: &TurnOptions,
        mut show: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Turn, ChatError> {
        let mut messages = self.messages.clone();
        messages.push(Message::new(Message::USER, content));
        let text = self.format.prompt(&messages)?;
        let prompt = self.continuation(&text)?;
        let reading = if prompt.is_some() || self.seen.tokens.is_empty() { Reading::New } else { Reading::Again };
        let (prompt, replaced) = match prompt {
            Some(prompt) => (prompt, None),
            None => {
                let fresh = Seen::nothing(&self.start);
                (self.encode(&text)?, Some(std::mem::replace(&mut self.seen, fresh)))
            }
        };
        let before = self.read();
        // What is seen begins the prompt, and the session has read no more than that.
        let unread = prompt[before..].to_vec();
        let request = Request {
            max_new_tokens: options.max_new_tokens,
            sampling: options.sampling.clone(),
            stop: options.stop.clone(),
            stop_tokens: self.end_of_turn.into_iter().collect(),
            before: self.before(&prompt[..before]),
            ..Request::new(unread, self.policy.clone())
        };
        let show = |piece: &Piece<'_>, _: &Session<B>| show(piece.text);
        let mut generation = match self.engine.generate_in(&mut self.seen.session, self.tokenizer, request, show) {
            Ok(generation) => generation,
            Err(error) => {
                // A request at fault leaves the session alone; after a failure it may have read a part.
                let failed = matches!(error, InferError::Device(_) | InferError::NotANumber { .. });
                match replaced {
                    Some(replaced) => self.seen = replaced,
                    None if failed => self.seen = Seen::nothing(&self.start),
                    None => {}
                }
                return Err(error.into());
            }
        };
        let read = prompt.len() - before;
        if generation.tokens.is_empty() && generation.stop_reason == StopReason::Interrupted {
            // What was read stays read, for a message that begins the same.
            let read = self.read();
            self.seen.text = None;
            self.seen.tokens = prompt;
            self.seen.tokens.truncate(read);
            return Ok(Turn { generation, read: read - before, reading, taken: false });
        }
        if generation.stop_reason == StopReason::Stop && generation.tokens.last().copied() == self.end_of_turn {
            // The template's token is the end as the model means it.
            generation.stop_reason = StopReason::Eos;
        }
        let answer = Answer::new(&generation, self.tokenizer, self.engine.matcher(), &prompt)?;
        self.seen.text = answer.complete.then(|| text + &answer.content);
        self.seen.tokens = prompt;
        self.seen.tokens.extend(answer.tokens);
        messages.push(Message::new(Message::ASSISTANT, answer.content));
        self.messages = messages;
        Ok(Turn { generation, read, reading, taken: true })
    }

    /// The tokens of `text`, the first of which are those seen; `None` where it does not go on from them.
    fn continuation(&self, text: &str) -> Result<Option<Vec<u32>>, ChatError> {
        let seen = &self.seen;
        if seen.tokens.is_empty() {
            return Ok(None);
        }
        let whole = self.encode(text)?;
        if whole.starts_with(&seen.tokens) {
            return Ok(Some(whole));
        }
        // A model may cut its words otherwise than the tokenizer: the same text is then other tokens.
        let Some(more) = seen.text.as_deref().and_then(|seen| text.strip_prefix(seen)) else {
            return Ok(None);
        };
        let more = self.tokenizer.encode(more, anllm_model::Framing::Bare)?;
        Ok(Some([&seen.tokens[..], &more[..]].concat()))
    }

    /// How many of the conversation's tokens the session has read.
    fn read(&self) -> usize {
        self.seen.session.seen() - self.start.session.seen()
    }

    /// The tokens of a conversation from its beginning.
    fn encode(&self, text: &str) -> Result<Vec<u32>, ChatError> {
        if self.start.session.seen() == 0 {
            return Ok(self.tokenizer.encode(text, self.format.framing())?);
        }
        let mut encoder = PieceEncoder::behind(self.tokenizer);
        let mut ids = encoder.push(text)?;
        ids.extend(encoder.finish()?);
        Ok(ids)
    }

    /// The last tokens before a turn, of `read` and of what stands before it.
    fn before(&self, read: &[u32]) -> Vec<u32> {
        let recent = [&self.start.recent[..], read].concat();
        recent[recent.len().saturating_sub(RECENT)..].to_vec()
    }
}

impl<B: Kernels> Seen<B> {
    fn nothing(start: &Resumed<B>) -> Self {
        Self { session: start.session.clone(), tokens: Vec::new(), text: None }
    }
}
