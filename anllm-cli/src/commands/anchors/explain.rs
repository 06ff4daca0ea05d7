//! Why one token sees another, or not.

use anllm_core::Place;
use serde::Serialize;

use super::reading::Reading;

/// The answer to `--explain`, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    query: usize,
    key: usize,
    visible: bool,
    reason: String,
}

/// Asks the policy about one pair.
///
/// # Errors
/// When the text has no such token.
pub(super) fn answer(reading: &Reading, query: usize, key: usize) -> anyhow::Result<Answer> {
    let verdict = reading.policy.explain(place(reading, query)?, place(reading, key)?);
    Ok(Answer { query, key, visible: verdict.allowed(), reason: verdict.to_string() })
}

/// [`answer`] in words, naming both tokens.
///
/// # Errors
/// When the text has no such token.
pub(super) fn sentence(reading: &Reading, query: usize, key: usize) -> anyhow::Result<String> {
    let answer = answer(reading, query, key)?;
    let query = describe(reading, place(reading, query)?);
    let key = describe(reading, place(reading, key)?);
    Ok(format!("query  {query}\nkey    {key}\n{}\n", answer.reason))
}

fn place(reading: &Reading, index: usize) -> anyhow::Result<&Place> {
    let tokens = reading.segments.len();
    reading.segments.places().get(index).ok_or_else(|| {
        anyhow::anyhow!(
            "--explain: there is no token {index}; the text has {tokens} tokens, 0 to {}\n  hint: give two \
             indices in that range, or more text with --text or a higher --limit-tokens",
            tokens - 1
        )
    })
}

fn describe(reading: &Reading, place: &Place) -> String {
    let Place { index, position, segment, .. } = *place;
    let kind = if place.anchor { ", an anchor" } else { "" };
    let spelled = &reading.tokens[index].spelled;
    format!("token {index} \"{spelled}\" (id {}): position {position}, segment {segment}{kind}", reading.ids[index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::anchors::reading::tests::reading;

    #[test]
    fn names_both_tokens_and_the_rule() {
        let reading = reading(&["a", " b", ".", " c"], &[2]);
        let text = sentence(&reading, 3, 2).unwrap();
        assert!(text.contains("token 3 \" c\" (id 3): position 3, segment 1\n"), "{text}");
        assert!(text.contains("token 2 \".\" (id 2): position 2, segment 0, an anchor\n"), "{text}");
        assert!(text.contains("visible: the key is the anchor of an earlier segment"), "{text}");
        let answer = answer(&reading, 3, 1).unwrap();
        assert!(!answer.visible && answer.reason.starts_with("blocked: "), "{answer:?}");
    }

    #[test]
    fn a_token_beyond_the_text_is_refused() {
        let reading = reading(&["a", "."], &[1]);
        let message = sentence(&reading, 0, 2).unwrap_err().to_string();
        assert!(message.contains("--explain: there is no token 2; the text has 2 tokens, 0 to 1"), "{message}");
        assert!(message.contains("hint: "), "{message}");
    }
}
