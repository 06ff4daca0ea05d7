//! From a record's fields to a document's pieces.

use anllm_model::Message;
use serde_json::{Map, Value};

use super::SourceContext;
use super::chat::spans;
use super::config::{Shape, SourceConfig};
use super::document::{Document, Origin, Piece};
use super::error::DataError;
use super::json::type_of;

/// The document that a record means.
pub(super) fn document(
    mut record: Map<String, Value>,
    origin: Origin,
    config: &SourceConfig,
    context: &SourceContext,
) -> Result<Document, DataError> {
    let shape = match config.shape {
        Some(shape) => shape,
        None => shape_of(&record, &config.field).ok_or_else(|| lacks(&record, &origin, &expected(&config.field)))?,
    };
    let mut fields = Fields { record: &mut record, origin: &origin };
    let pieces = match shape {
        Shape::Text => vec![Piece::target(fields.text(&config.field)?)],
        Shape::PromptCompletion => {
            vec![Piece::context(fields.text("prompt")?), Piece::target(fields.text("completion")?)]
        }
        Shape::Alpaca => {
            let prompt = alpaca(&fields.text("instruction")?, &fields.optional_text("input")?);
            vec![Piece::context(prompt), Piece::target(fields.text("output")?)]
        }
        Shape::Messages => {
            let messages = fields.messages()?;
            let template = context.chat.as_ref().ok_or_else(|| DataError::NoChatTemplate { origin: origin.clone() })?;
            spans(template, &messages).map_err(|source| DataError::Chat { origin: origin.clone(), source })?
        }
    };
    Ok(Document { pieces, origin })
}

/// The fields that a source may need, for readers that can leave the others out.
#[cfg(feature = "parquet")]
pub(super) fn wanted(config: &SourceConfig) -> [&str; 7] {
    [&config.field, "prompt", "completion", "instruction", "input", "output", "messages"]
}

/// The first shape whose fields the record has.
fn shape_of(record: &Map<String, Value>, field: &str) -> Option<Shape> {
    let has = |names: &[&str]| names.iter().all(|name| record.contains_key(*name));
    if has(&[field]) {
        Some(Shape::Text)
    } else if has(&["prompt", "completion"]) {
        Some(Shape::PromptCompletion)
    } else if has(&["instruction", "output"]) {
        Some(Shape::Alpaca)
    } else if has(&["messages"]) {
        Some(Shape::Messages)
    } else {
        None
    }
}

fn expected(field: &str) -> String {
    format!("`{field}`, or `prompt` and `completion`, or `instruction` and `output`, or `messages`")
}

fn lacks(record: &Map<String, Value>, origin: &Origin, expected: &str) -> DataError {
    let mut found: Vec<_> = record.keys().take(20).map(|key| format!("`{key}`")).collect();
    if record.len() > found.len() {
        found.push("…".to_owned());
    }
    let found = if found.is_empty() { "(none)".to_owned() } else { found.join(", ") };
    DataError::Fields { origin: origin.clone(), found, expected: expected.to_owned() }
}

/// The prompt of Stanford Alpaca (`PROMPT_DICT` in its `train.py`): the output follows it directly.
fn alpaca(instruction: &str, input: &str) -> String {
    if input.is_empty() {
        format!(
            "Below is an instruction that describes a task. \
             Write a response that appropriately completes the request.\n\n\
             ### Instruction:\n{instruction}\n\n### Response:"
        )
    } else {
        format!(
            "Below is an instruction that describes a task, paired with an input that provides further context. \
             Write a response that appropriately completes the request.\n\n\
             ### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
        )
    }
}

/// Takes texts out of a record.
struct Fields<'a> {
    record: &'a mut Map<String, Value>,
    origin: &'a Origin,
}

impl Fields<'_> {
    fn text(&mut self, name: &str) -> Result<String, DataError> {
        match self.record.get_mut(name).map(Value::take) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(name, &other, "a string")),
            None => Err(lacks(self.record, self.origin, &format!("`{name}`"))),
        }
    }

    fn optional_text(&mut self, name: &str) -> Result<String, DataError> {
        match self.record.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(_) => self.text(name),
        }
    }

    fn messages(&mut self) -> Result<Vec<Message>, DataError> {
        let list = match self.record.get_mut("messages").map(Value::take) {
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.wrong("messages", &other, "a list")),
            None => return Err(lacks(self.record, self.origin, "`messages`")),
        };
        let mut messages = Vec::with_capacity(list.len());
        for (i, message) in list.into_iter().enumerate() {
            let Value::Object(mut message) = message else {
                return Err(self.wrong(&format!("messages[{i}]"), &message, "an object with `role` and `content`"));
            };
            let mut part = |name: &str| match message.get_mut(name).map(Value::take) {
                Some(Value::String(text)) => Ok(text),
                other => Err(self.wrong(&format!("messages[{i}].{name}"), &other.unwrap_or_default(), "a string")),
            };
            messages.push(Message { role: part("role")?, content: part("content")? });
        }
        Ok(messages)
    }

    fn wrong(&self, field: &str, found: &Value, expected: &'static str) -> DataError {
        DataError::FieldType { origin: self.origin.clone(), field: field.to_owned(), found: type_of(found), expected }
    }
}
