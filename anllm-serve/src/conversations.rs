//! What recent answers were made of. A client sends a conversation's text again with each turn; the model may have cut
//! its own words otherwise than the tokenizer would, and only the same tokens find what was kept of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts with their tokens, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct Conversations {
    /// The most bytes of all texts and tokens.
    budget: usize,
    known: Mutex<VecDeque<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    text: Arc<str>,
    tokens: Arc<[u32]>,
}

impl Known {
    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.tokens)
    }
}

impl Conversations {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, known: Mutex::default() }
    }

    /// Remembers that `tokens` are `text`.
    pub(crate) fn remember(&self, text: String, tokens: Vec<u32>) {
        let new = Known { text: text.into(), tokens: tokens.into() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.text != new.text);
        let mut bytes: usize = known.iter().map(Known::bytes).sum::<usize>() + new.bytes();
        known.push_back(new);
        while bytes > self.budget {
            let Some(oldest) = known.pop_front() else { break };
            bytes -= oldest.bytes();
        }
    }

    /// The tokens of a conversation's `text`, which the tokenizer makes `whole` of: where an earlier turn was made of
    /// others, these, and behind them what `cut` makes of the rest.
    ///
    /// # Errors
    /// What `cut` returns.
    pub(crate) fn encode<E>(
        &self,
        text: &str,
        whole: Vec<u32>,
        cut: impl FnOnce(&str) -> Result<Vec<u32>, E>,
    ) -> Result<Vec<u32>, E> {
        let earlier = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = known.iter().filter(|known| text.len() > known.text.len() && text.starts_with(&*known.text));
            begins.max_by_key(|known| known.text.len()).cloned()
        };
        match earlier {
            Some(Known { text: earlier, tokens }) if !whole.starts_with(&tokens) => {
                Ok([&tokens[..], &cut(&text[earlier.len()..])?].concat())
            }
            _ => Ok(whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Here a tokenizer makes one token of each word; a model writes letters.
    fn words(text: &str) -> Vec<u32> {
        text.split_inclusive(' ').map(|word| 1000 + word.len() as u32).collect()
    }

    fn letters(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn encode(conversations: &Conversations, text: &str) -> Vec<u32> {
        let cut = |rest: &str| Ok::<_, Infallible>(words(rest));
        let Ok(tokens) = conversations.encode(text, words(text), cut);
        tokens
    }

    #[test]
    fn words_that_were_cut_otherwise_stay_so() {
        let conversations = Conversations::new(1 << 10);
        assert_eq!(encode(&conversations, "a cat "), words("a cat "), "nothing is known");
        let turn = [&words("a ")[..], &letters("cat ")].concat();
        conversations.remember("a cat ".to_owned(), turn.clone());
        assert_eq!(encode(&conversations, "a cat and more"), [&turn[..], &words("and more")].concat());
        assert_eq!(encode(&conversations, "a dog and more"), words("a dog and more"), "another conversation");
        assert_eq!(encode(&conversations, "a cat "), words("a cat "), "no more than what was known");
    }

    #[test]
    fn the_longest_earlier_turn_counts() {
        let conversations = Conversations::new(1 << 10);
        for turn in ["a cat ", "a cat sat ", "a "] {
            conversations.remember(turn.to_owned(), letters(turn));
        }
        let expected = [letters("a cat sat "), words("there")].concat();
        assert_eq!(encode(&conversations, "a cat sat there"), expected);
    }

    #[test]
    fn the_oldest_turns_are_forgotten_first() {
        let bytes = |text: &str| text.len() * 5;
        let conversations = Conversations::new(bytes("one more ") + bytes("another "));
        for turn in ["one more ", "another ", "one more ", "a third "] {
            conversations.remember(turn.to_owned(), letters(turn));
        }
        let known = |turn: &str| encode(&conversations, &format!("{turn}x")) != words(&format!("{turn}x"));
        assert_eq!(["one more ", "another ", "a third "].map(known), [true, false, true]);
        conversations.remember("x".repeat(1000), letters("x"));
        assert!(!known("a third "), "what is too large pushes all others out, and itself");
    }
}
