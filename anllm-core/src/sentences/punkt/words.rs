//! Cuts a line into words and punctuation, as NLTK does for Punkt.

/// The words of one line, in order; whitespace is dropped.
///
/// A word goes on until whitespace, separate punctuation, or a comma at its end, so that periods, apostrophes and single
/// hyphens stay inside (`U.S.`, `don't`, `well-known`). Dashes of two or more hyphens and ellipses are words.
pub(super) fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = run(rest).unwrap_or_else(|| match begins_word(first) {
            true => word(rest),
            false => first.len_utf8(),
        });
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Punctuation that is never inside a word.
pub(super) fn is_separate(c: char) -> bool {
    matches!(c, ')' | '"' | ';' | '}' | ']' | '*' | ':' | '@' | '\'' | '(' | '{' | '[' | '!' | '?')
}

fn begins_word(c: char) -> bool {
    !matches!(c, '(' | '"' | '`' | '{' | '[' | ':' | ';' | '&' | '#' | '*' | '@' | ')' | '}' | ']' | '-' | ',')
}

/// The length of the word that `text` begins with, one character at least.
fn word(text: &str) -> usize {
    let ends = |rest: &str| ends_word(rest) || rest.strip_prefix(',').is_some_and(ends_word);
    text.char_indices().skip(1).find(|&(at, _)| ends(&text[at..])).map_or(text.len(), |(at, _)| at)
}

fn ends_word(rest: &str) -> bool {
    rest.chars().next().is_none_or(|c| c.is_whitespace() || is_separate(c)) || run(rest).is_some()
}

/// The length of the dash (`--`), ellipsis (`...`) or spaced ellipsis (`. . .`) that `text` begins with.
fn run(text: &str) -> Option<usize> {
    for mark in ['-', '.'] {
        let length = text.len() - text.trim_start_matches(mark).len();
        if length >= 2 {
            return Some(length);
        }
    }
    let (mut dots, mut end, mut at) = (0, 0, 0);
    while text[at..].starts_with('.') {
        dots += 1;
        end = at + 1;
        match text[end..].chars().next() {
            Some(space) if space.is_whitespace() => at = end + space.len_utf8(),
            _ => break,
        }
    }
    (dots >= 3).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_periods_and_parts_punctuation() {
        assert_eq!(words("  Mr. X's U.S. firm, (est."), ["Mr.", "X", "'s", "U.S.", "firm", ",", "(", "est."]);
        assert_eq!(words("3,000 a,b c,"), ["3,000", "a,b", "c", ","]);
        assert_eq!(words("-x what?!"), ["-", "x", "what", "?", "!"]);
    }

    #[test]
    fn dashes_and_ellipses_are_words() {
        assert_eq!(words("so--well... . . . ok"), ["so", "--", "well", "...", ". . .", "ok"]);
        assert_eq!(words("a. . .b"), ["a", ". . .", "b"]);
        assert_eq!(words(". ."), [".", "."]);
    }
}
