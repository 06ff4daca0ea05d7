//! Typed reading of a JSON object, with errors that name the file, the key, what was expected and what was found.

use std::path::Path;

use serde_json::Value;

use crate::checkpoint::CheckpointError;

/// One JSON object of one file.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) path: &'a Path,
    /// The object's own place in the file: empty for the top level, else `rope_parameters.`.
    prefix: &'a str,
    object: &'a Value,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, prefix: &'a str, object: &'a Value) -> Result<Self, CheckpointError> {
        let fields = Self { path, prefix, object };
        match object.is_object() {
            true => Ok(fields),
            false => Err(fields.error(&format!("expected a JSON object, found {}", brief(object)))),
        }
    }

    /// The value, unless absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|v| !v.is_null())
    }

    pub(crate) fn count(&self, key: &str) -> Result<Option<usize>, CheckpointError> {
        self.typed(key, "a whole number from 1 to 2^31", |v| {
            v.as_u64().filter(|n| (1..=1 << 31).contains(n)).and_then(|n| usize::try_from(n).ok())
        })
    }

    pub(crate) fn required_count(&self, key: &str) -> Result<usize, CheckpointError> {
        self.count(key)?.ok_or_else(|| self.missing(key))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        self.typed(key, "a finite number", |v| v.as_f64().filter(|n| n.is_finite()))
    }

    pub(crate) fn required_number(&self, key: &str) -> Result<f64, CheckpointError> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        self.typed(key, "a text", Value::as_str)
    }

    /// A token id, a list of them, or nothing.
    pub(crate) fn token_ids(&self, key: &str) -> Result<Vec<u32>, CheckpointError> {
        let one = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        let ids = self.typed(key, "a token id or a list of token ids", |v| match v {
            Value::Array(ids) => ids.iter().map(one).collect(),
            id => one(id).map(|id| vec![id]),
        });
        ids.map(Option::unwrap_or_default)
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let wrong = || self.error(&format!("`{}{key}` must be {expected}, found {}", self.prefix, brief(value)));
        read(value).map(Some).ok_or_else(wrong)
    }

    pub(crate) fn missing(&self, key: &str) -> CheckpointError {
        self.error(&format!("the key `{}{key}` is missing", self.prefix))
    }

    pub(crate) fn error(&self, what: &str) -> CheckpointError {
        CheckpointError::malformed(
            self.path,
            what,
            "compare the file with the config.json of the model's original download",
        )
    }
}

/// A value as it may stand in a message: its JSON, cut to a few words.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
