//! Chat templates, as Hugging Face writes them: a Jinja template that turns messages into a model's text.
//!
//! The environment is that of `transformers`: blocks are trimmed, Python's string methods exist, and so do
//! `raise_exception`, `strftime_now`, a `tojson` that escapes nothing for HTML, and the block `generation`.

mod functions;
mod stored;

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, Value, context};
use serde::{Deserialize, Serialize};

const NAME: &str = "chat";

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Message {
    /// Who: `system`, `user`, `assistant`, or what the template knows besides.
    pub role: String,
    /// What.
    pub content: String,
}

impl Message {
    /// The role of whoever sets the rules.
    pub const SYSTEM: &'static str = "system";
    /// The role of whoever asks.
    pub const USER: &'static str = "user";
    /// The role of the model.
    pub const ASSISTANT: &'static str = "assistant";

    /// A message of `role`.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// An error of a chat template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
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
    /// There are templates, and none of this name.
    #[error("there is no chat template named `{name}`\n  hint: this checkpoint has {}", list(found))]
    Unknown {
        /// The name asked for; `default` where none was.
        name: String,
        /// The names there are.
        found: Vec<String>,
    },
    /// The settings hold something else where the template should be.
    #[error(
        "`chat_template` is neither a text nor a list of named texts, but {found}\n  hint: take the tokenizer_config.json that came with the model"
    )]
    Malformed {
        /// What it is.
        found: String,
    },
}

fn line(error: &Error) -> String {
    error.line().map(|line| format!(" at line {line}")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A chat template that is ready to use. Clones share it.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    /// What the template may name beside the messages: special tokens, and what the caller adds.
    variables: serde_json::Map<String, serde_json::Value>,
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
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|source| TemplateError::Syntax { source })?);
        functions::add_to(&mut environment);
        let source = without_generation_blocks(source);
        environment.add_template_owned(NAME, source).map_err(|source| TemplateError::Syntax { source })?;
        let template = Self { environment: Arc::new(environment), variables: serde_json::Map::new() };
        Ok(template.with("bos_token", bos).with("eos_token", eos))
    }

    /// Lets the template know `value` as `name`: `enable_thinking`, say, or another special token.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The text of `messages`; with `add_generation_prompt` also the beginning of the assistant's next turn.
    ///
    /// # Errors
    ///
    /// If the template refuses the messages.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TemplateError> {
        let messages: Vec<Value> =
            messages.iter().map(|m| context! { role => &*m.role, content => &*m.content }).collect();
        let context = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            // `transformers` always passes these; templates ask whether they are none.
            tools => (),
            documents => (),
            ..Value::from(Serde(&self.variables))
        };
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(context));
        rendered.map_err(|e| TemplateError::Render { message: e.detail().map_or_else(|| e.to_string(), str::to_owned) })
    }
}

/// `{% generation %}` marks what the assistant writes, for `transformers`' masks, and adds no text: here it is a
/// condition that always holds, so that whitespace is trimmed as around any block.
fn without_generation_blocks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        text.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        text.push_str(&match tag.trim_matches(['{', '}', '%', '-', '+', ' ', '\t', '\r', '\n']) {
            "generation" => tag.replacen("generation", "if true", 1),
            "endgeneration" => tag.replacen("endgeneration", "endif", 1),
            _ => tag.to_owned(),
        });
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests;
