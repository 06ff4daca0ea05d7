//! Whether the words around a mark make it a sentence's end. Sections are those of Kiss and Strunk (2006).

use super::parameters::{Parameters, context};
use super::token::{End, Token};
use super::words::words;

/// Whether a sentence ends before the last word of `text`.
pub(super) fn ends_sentence(text: &str, parameters: &Parameters) -> bool {
    let is_abbreviation = |word: &str| parameters.abbreviations.contains(word);
    let tokens: Vec<_> = text.split('\n').flat_map(words).map(|word| Token::new(word, is_abbreviation)).collect();
    tokens.windows(2).any(|pair| revised(&pair[0], &pair[1], parameters) == End::Sentence)
}

/// What the end of `token` is, now that the next word is known.
fn revised(token: &Token<'_>, next: &Token<'_>, parameters: &Parameters) -> End {
    if !token.has_period() {
        return token.end;
    }
    // 4.1.2: the two belong together.
    if parameters.is_collocation(token.stem(), next.word()) {
        return End::Abbreviation;
    }
    let initial = token.is_initial();
    let begins = begins_sentence(next, parameters);
    // 4.2: an abbreviation or ellipsis may still end a sentence.
    if matches!(token.end, End::Abbreviation | End::Ellipsis) && !initial {
        let starter = next.is_upper() && parameters.starters.contains(next.word());
        if begins == Some(true) || starter {
            return End::Sentence;
        }
    }
    // 4.3: initials ("J. Bach") and ordinals ("1. Mai").
    if initial || token.is_number() {
        let never_lower = parameters.context(next.word()) & context::LOWER == 0;
        let name = begins.is_none() && initial && next.is_upper() && never_lower;
        if begins == Some(false) || name {
            return End::Abbreviation;
        }
    }
    token.end
}

/// 4.1.1, the orthographic heuristic: whether a word, as it is written here, begins a sentence; `None` when that cannot
/// be told.
fn begins_sentence(token: &Token<'_>, parameters: &Parameters) -> Option<bool> {
    if token.is_punctuation() {
        return Some(false);
    }
    let seen = parameters.context(token.word());
    let has = |flags: u8| seen & flags != 0;
    if token.is_upper() && has(context::LOWER) && !has(context::UPPER_INSIDE) {
        return Some(true);
    }
    if token.is_lower() && (has(context::UPPER) || !has(context::LOWER_FIRST)) {
        return Some(false);
    }
    None
}
