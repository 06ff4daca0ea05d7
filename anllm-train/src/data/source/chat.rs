//! What a model learns of a chat: what the assistant says, between what the template writes.

use anllm_model::{ChatTemplate, Message, TemplateError};

use super::document::Piece;

/// A chat that cannot be cut into what is read and what is learnt.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The template refused.
    #[error(transparent)]
    Template(#[from] TemplateError),
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

/// The text of `messages` in pieces, of which those are targets that the assistant writes: from the end of the
/// generation prompt to the end of its turn.
///
/// # Errors
///
/// If the template refuses the messages or a part of them, or if a turn changes the text before it.
pub(super) fn spans(template: &ChatTemplate, messages: &[Message]) -> Result<Vec<Piece>, ChatError> {
    let mut pieces = Vec::new();
    let mut done = String::new();
    let unstable = |i: usize| ChatError::Unstable { turn: i + 1, role: messages[i].role.clone() };
    for (i, message) in messages.iter().enumerate() {
        if message.role != Message::ASSISTANT {
            continue;
        }
        let before = template.render(&messages[..i], true)?;
        let after = template.render(&messages[..=i], false)?;
        let context = before.strip_prefix(&done).ok_or_else(|| unstable(i))?;
        let target = after.strip_prefix(&before).ok_or_else(|| unstable(i))?;
        pieces.push(Piece::context(context));
        pieces.push(Piece::target(target));
        done = after;
    }
    let all = template.render(messages, false)?;
    let rest = all.strip_prefix(&done).ok_or_else(|| unstable(messages.len() - 1))?;
    pieces.push(Piece::context(rest));
    pieces.retain(|piece| !piece.text.is_empty());
    Ok(pieces)
}

#[cfg(test)]
mod tests;
