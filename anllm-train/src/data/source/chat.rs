//! Chat templates, as Hugging Face writes them: a Jinja template that turns messages into a model's text.
//!
//! The environment is that of `transformers`: blocks are trimmed, Python's string methods exist, and so do
//! `raise_exception`, `strftime_now` and a `tojson` that escapes nothing for HTML.

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};
use serde_json::ser::{PrettyFormatter, Serializer};
use time::OffsetDateTime;
use time::format_description::parse_strftime_owned;

use super::document::Piece;

const NAME: &str = "chat";
const ASSISTANT: &str = "assistant";

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Message {
    /// Who: `system`, `user`, `assistant`, or what the template knows besides.
    pub role: String,
    /// What.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// An error of a chat template.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The template is not Jinja.
    #[error("the chat template is wrong{at}: {source}\n  hint: is it the `chat_template` of a tokenizer_config.json?", at = line(source))]
    Syntax {
        /// What the parser says.
        source: Error,
    },
    /// The template refuses these messages.
    #[error(
        "the chat template refuses these messages: {message}\n  hint: templates want certain roles in a certain order, mostly user and assistant in turn"
    )]
    Render {
        /// What the template says.
        message: String,
    },
    /// What a turn adds cannot be told from what was there.
    #[error(
        "message {turn} ({role}) changes the text before it, so that what it adds cannot be told apart\n  \
         hint: some templates drop or add text depending on later turns (thinking, say); give a template that does not"
    )]
    Unstable {
        /// The message, counted from 1.
        turn: usize,
        /// Its role.
        role: String,
    },
}

fn line(error: &Error) -> String {
    error.line().map(|line| format!(" at line {line}")).unwrap_or_default()
}

/// A chat template that is ready to use. Clones share it.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    bos: Arc<str>,
    eos: Arc<str>,
}

impl ChatTemplate {
    /// Prepares `source`, the `chat_template` of a tokenizer. `bos` and `eos` are the texts of the tokens that begin and
    /// end a text; empty where there is none. Most templates write `bos` themselves: whoever encodes their text must not
    /// add it again.
    ///
    /// The date that `strftime_now` gives is that of this call, in UTC.
    ///
    /// # Errors
    ///
    /// If the template is not Jinja.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|source| ChatError::Syntax { source })?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        let now = OffsetDateTime::now_utc();
        environment.add_function("strftime_now", move |format: &str| strftime(now, format));
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|source| ChatError::Syntax { source })?;
        Ok(Self { environment: Arc::new(environment), bos: bos.into(), eos: eos.into() })
    }

    /// The text of `messages`; with `add_generation_prompt` also the beginning of the assistant's next turn.
    ///
    /// # Errors
    ///
    /// If the template refuses the messages.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, ChatError> {
        let messages: Vec<Value> =
            messages.iter().map(|m| context! { role => &*m.role, content => &*m.content }).collect();
        let context = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            bos_token => &*self.bos,
            eos_token => &*self.eos,
        };
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(context));
        rendered.map_err(|e| ChatError::Render { message: e.detail().map_or_else(|| e.to_string(), str::to_owned) })
    }

    /// The text of `messages` in pieces, of which those are targets that the assistant writes: from the end of the
    /// generation prompt to the end of its turn.
    ///
    /// # Errors
    ///
    /// If the template refuses the messages or a part of them, or if a turn changes the text before it.
    pub fn spans(&self, messages: &[Message]) -> Result<Vec<Piece>, ChatError> {
        let mut pieces = Vec::new();
        let mut done = String::new();
        let unstable = |i: usize| ChatError::Unstable { turn: i + 1, role: messages[i].role.clone() };
        for (i, message) in messages.iter().enumerate() {
            if message.role != ASSISTANT {
                continue;
            }
            let before = self.render(&messages[..i], true)?;
            let after = self.render(&messages[..=i], false)?;
            let context = before.strip_prefix(&done).ok_or_else(|| unstable(i))?;
            let target = after.strip_prefix(&before).ok_or_else(|| unstable(i))?;
            pieces.push(Piece::context(context));
            pieces.push(Piece::target(target));
            done = after;
        }
        let all = self.render(messages, false)?;
        let rest = all.strip_prefix(&done).ok_or_else(|| unstable(messages.len() - 1))?;
        pieces.push(Piece::context(rest));
        pieces.retain(|piece| !piece.text.is_empty());
        Ok(pieces)
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime(now: OffsetDateTime, format: &str) -> Result<String, Error> {
    let wrong = |e: String| Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {e}"));
    let items = parse_strftime_owned(format).map_err(|e| wrong(e.to_string()))?;
    now.format(&items).map_err(|e| wrong(e.to_string()))
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn tojson(value: &Value, indent: Option<usize>, options: minijinja::value::Kwargs) -> Result<String, Error> {
    let indent = indent.map_or_else(|| options.get::<Option<usize>>("indent"), |i| Ok(Some(i)))?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width);
            value.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(indent.as_bytes())))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, Spaced)),
    };
    let wrong = |e: String| Error::new(ErrorKind::InvalidOperation, format!("tojson: {e}"));
    written.map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(out).map_err(|e| wrong(e.to_string()))
}

/// Python's separators: `, ` and `: `.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests;
