//! How messages become the text that a model continues.

use anllm_model::{ChatTemplate, Framing, Message, TemplateError, Tokenizer};

/// A way of writing conversations.
#[derive(Debug, Clone)]
pub enum ChatFormat {
    /// As the model was trained to read them.
    Template(ChatTemplate),
    /// For models that know no conversations: the messages as one text, in which the model goes on right behind what
    /// the user wrote, and what follows an answer begins on a new line.
    Continuation,
}

impl ChatFormat {
    /// The text of `messages` up to where the assistant begins.
    ///
    /// # Errors
    /// When the template refuses them.
    pub fn prompt(&self, messages: &[Message]) -> Result<String, TemplateError> {
        match self {
            Self::Template(template) => template.render(messages, true),
            Self::Continuation => Ok(continuation(messages)),
        }
    }

    /// Whether the tokenizer frames the text: templates write what frames it themselves.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Template(_) => Framing::Bare,
            Self::Continuation => Framing::Framed,
        }
    }

    /// The special token that the template writes behind an answer, if there is one. Not every checkpoint lists it
    /// among those that end a text.
    pub fn end_of_turn(&self, tokenizer: &Tokenizer) -> Option<u32> {
        const ANSWER: &str = "Yes";
        let Self::Template(template) = self else { return None };
        let mut messages = vec![Message::new(Message::USER, "?")];
        let before = template.render(&messages, true).ok()?;
        messages.push(Message::new(Message::ASSISTANT, ANSWER));
        let whole = template.render(&messages, false).ok()?;
        let (_, end) = whole.strip_prefix(&before)?.split_once(ANSWER)?;
        let first = *tokenizer.encode(end.trim_start(), Framing::Bare).ok()?.first()?;
        tokenizer.is_special(first).then_some(first)
    }
}

fn continuation(messages: &[Message]) -> String {
    let mut text = String::new();
    let mut last = Message::USER;
    for message in messages {
        if last != Message::USER && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&message.content);
        last = &message.role;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_template_the_model_goes_on_behind_the_user() {
        let turn = |role: &str, content: &str| Message::new(role, content);
        let messages =
            [turn("system", "A tale."), turn("user", "Once"), turn("assistant", " upon a time."), turn("user", "Then")];
        assert_eq!(ChatFormat::Continuation.prompt(&messages).unwrap(), "A tale.\nOnce upon a time.\nThen");
        assert_eq!(ChatFormat::Continuation.prompt(&messages[1..2]).unwrap(), "Once");
    }
}
