//! One word as Punkt sees it: its type, and what the period at its end may be.

/// The type of every number.
const NUMBER: &str = "##number##";

/// What the first look says of a word's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A sentence ends here.
    Sentence,
    /// The period of an abbreviation.
    Abbreviation,
    /// Two or more dots.
    Ellipsis,
    /// No mark at all.
    Open,
}

/// A word with its type.
#[derive(Debug)]
pub(super) struct Token<'t> {
    text: &'t str,
    kind: String,
    /// What its end is taken for.
    pub(super) end: End,
}

impl<'t> Token<'t> {
    /// `is_abbreviation` is asked of words with a period, in lower case and without the period.
    pub(super) fn new(text: &'t str, is_abbreviation: impl Fn(&str) -> bool) -> Self {
        let lower = text.to_lowercase();
        let end = match lower.strip_suffix('.') {
            _ if matches!(text, "." | "?" | "!") => End::Sentence,
            _ if text.len() >= 2 && text.bytes().all(|b| b == b'.') => End::Ellipsis,
            Some(stem) if !stem.ends_with('.') => {
                let last_part = stem.rsplit('-').next().unwrap_or(stem);
                match is_abbreviation(stem) || is_abbreviation(last_part) {
                    true => End::Abbreviation,
                    false => End::Sentence,
                }
            }
            _ => End::Open,
        };
        let kind = if is_number(&lower) { NUMBER.to_owned() } else { lower };
        Self { text, kind, end }
    }

    pub(super) fn has_period(&self) -> bool {
        self.text.ends_with('.')
    }

    /// The type without a period.
    pub(super) fn stem(&self) -> &str {
        self.kind.strip_suffix('.').filter(|stem| !stem.is_empty()).unwrap_or(&self.kind)
    }

    /// The type, without the period if it ends a sentence.
    pub(super) fn word(&self) -> &str {
        match self.end {
            End::Sentence => self.stem(),
            _ => &self.kind,
        }
    }

    pub(super) fn is_upper(&self) -> bool {
        self.text.starts_with(char::is_uppercase)
    }

    pub(super) fn is_lower(&self) -> bool {
        self.text.starts_with(char::is_lowercase)
    }

    /// One letter and a period: `J.`
    pub(super) fn is_initial(&self) -> bool {
        let mut chars = self.text.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.as_str() == "."
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind == NUMBER
    }

    /// Punctuation that no sentence begins with.
    pub(super) fn is_punctuation(&self) -> bool {
        matches!(self.text, ";" | ":" | "," | "." | "!" | "?")
    }
}

/// Digits with commas, periods and hyphens between and behind them, perhaps one before and a minus.
fn is_number(word: &str) -> bool {
    let word = word.strip_prefix('-').unwrap_or(word);
    let word = word.strip_prefix(['.', ',']).unwrap_or(word);
    word.starts_with(char::is_numeric) && word.chars().all(|c| c.is_numeric() || matches!(c, ',' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token<'_> {
        Token::new(text, |word| word == "dr" || word == "u.s")
    }

    #[test]
    fn looks_at_the_end() {
        let ends = ["Dr.", "U.S.", "ex-dr.", "end.", "...", "?", "end", "wait..."].map(|text| token(text).end);
        use End::{Abbreviation as A, Ellipsis as E, Open as O, Sentence as S};
        assert_eq!(ends, [A, A, A, S, E, S, O, O]);
    }

    #[test]
    fn types_are_lower_case_and_numbers_are_one() {
        assert_eq!((token("Dr.").word(), token("Dr.").stem()), ("dr.", "dr"));
        assert_eq!(token("End.").word(), "end");
        assert_eq!(token(".").stem(), ".");
        assert!(["5.", "-3,000.50", ".5", "1-2"].iter().all(|text| token(text).is_number()));
        assert!(["5a", "$5", "x", "-", "--5"].iter().all(|text| !token(text).is_number()));
    }
}
