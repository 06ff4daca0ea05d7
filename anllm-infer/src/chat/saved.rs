//! A conversation as a file: JSON that other programs read too.

use anllm_model::Message;
use serde::{Deserialize, Serialize};

use super::error::ChatError;

/// The newest format that this code writes and reads.
const FORMAT: u32 = 1;

/// What is kept of a conversation: its text. Whoever loads it reads it with a model of their choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChat {
    format: u32,
    /// The model that answered, for people.
    pub model: String,
    /// What was said.
    pub messages: Vec<Message>,
}

impl SavedChat {
    /// A conversation with `model`.
    pub fn new(model: impl Into<String>, messages: &[Message]) -> Self {
        Self { format: FORMAT, model: model.into(), messages: messages.to_vec() }
    }

    /// The file's content.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, ChatError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| ChatError::NotSaved { reason: e.to_string() })?;
        Ok(text + "\n")
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// When it is no conversation, of a newer format, or empty of messages.
    pub fn from_json(text: &str) -> Result<Self, ChatError> {
        let not = |reason: String| ChatError::NotSaved { reason };
        let saved: Self = serde_json::from_str(text).map_err(|e| not(e.to_string()))?;
        match saved.format {
            FORMAT => Ok(saved),
            other => Err(not(format!("it has format {other}, and this program knows format {FORMAT}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let saved = SavedChat::new("a model", &[Message::new("user", "\"Hi\"\n"), Message::new("assistant", "é")]);
        assert_eq!(SavedChat::from_json(&saved.to_json().unwrap()).unwrap(), saved);
    }

    #[test]
    fn anything_else_says_what_is_wrong() {
        let reason = |text: &str| SavedChat::from_json(text).unwrap_err().to_string();
        assert!(reason(r#"{"format": 2, "model": "", "messages": []}"#).contains("format 2"));
        assert!(reason(r#"{"format": 1, "model": ""}"#).contains("messages"));
        assert!(reason("").contains("hint: "));
    }
}
