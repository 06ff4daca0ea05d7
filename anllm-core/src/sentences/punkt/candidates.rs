//! Marks that may end a sentence, each with the words that decide it.

use std::ops::Range;

use super::words::is_separate;

/// A mark that may end a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Where the sentence would end: behind the mark.
    pub(super) end: usize,
    /// Where the next sentence would begin.
    pub(super) next: usize,
    /// The word with the mark and what follows: the token after whitespace, or one character of punctuation.
    pub(super) context: Range<usize>,
}

/// The candidates of a text, in order. Of several marks in one word (`a.b.c. `, `?!" `) only the last is one.
pub(super) fn candidates(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    // The word of the latest mark, up to the mark.
    let mut word = 0..0;
    for (at, mark) in text.match_indices(['.', '?', '!']) {
        let end = at + mark.len();
        let Some((next, context_end)) = following(text, end) else { continue };
        // As in NLTK, whitespace that begins the text does not part words.
        let start = match text[word.end..at].rfind(is_ascii_space) {
            Some(space) if space > 0 => word.end + space + 1,
            _ => word.start,
        };
        if start < word.end {
            found.pop();
        }
        word = start..at;
        found.push(Candidate { end, next, context: start..context_end });
    }
    found
}

/// What stands behind a mark that ends at `end`: where a sentence would begin, and the end of the token that begins
/// there. `None` when a word goes on, or when the text ends.
fn following(text: &str, end: usize) -> Option<(usize, usize)> {
    let rest = &text[end..];
    let first = rest.chars().next()?;
    if is_separate(first) {
        return Some((end, end + first.len_utf8()));
    }
    let token = rest.trim_start();
    if token.is_empty() || token.len() == rest.len() {
        return None;
    }
    let next = text.len() - token.len();
    Some((next, next + token.find(char::is_whitespace).unwrap_or(token.len())))
}

/// Words are parted by ASCII whitespace here, as in NLTK: `5.\u{a0}Mai` is one word with two halves.
fn is_ascii_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts(text: &str) -> Vec<&str> {
        candidates(text).into_iter().map(|candidate| &text[candidate.context]).collect()
    }

    #[test]
    fn takes_the_word_and_what_follows() {
        assert_eq!(contexts("No end. Mr. X went"), ["end. Mr.", "Mr. X"]);
        assert_eq!(contexts("He said \"No.\" And 3.5"), ["\"No.\""]);
        assert_eq!(contexts("  "), [""; 0]);
    }

    #[test]
    fn of_one_word_only_the_last_mark_counts() {
        assert_eq!(contexts("What?! No"), ["What?! No"]);
        assert_eq!(candidates("What?! No")[0].end, 6);
        assert_eq!(contexts(" .\"No.\" So"), [" .\"No.\""]);
        assert_eq!(contexts("end of text."), [""; 0]);
    }
}
