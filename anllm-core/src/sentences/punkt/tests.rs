//! Punkt with parameters small enough to follow by hand, in both shapes.

use super::*;

const OBJECTS: &str = r###"{
    "AbbrevTypes": {"dr": 1, "u.s": 1, "a.m": 1},
    "Collocations": {"##number##,corrections": 1, "st,john": 1},
    "SentStarters": {"however": 1},
    "OrthoContext": {"he": 50, "smith": 4, "mai": 4, "may": 46, "the": 34}
}"###;

const ARRAYS: &str = r###"{
    "abbrev_types": ["dr", "u.s", "a.m"],
    "collocations": [["##number##", "corrections"], ["st", "john"]],
    "sentence_starters": ["however"],
    "ortho_context": {"he": 50, "smith": 4, "mai": 4, "may": 46, "the": 34}
}"###;

/// The sentences, the same for both shapes of the parameters.
fn split(text: &str) -> Vec<&str> {
    let [one, other] = [OBJECTS, ARRAYS].map(|json| Punkt::from_json(json).unwrap().sentences(text));
    assert_eq!(one, other);
    one.into_iter().map(|range| &text[range]).collect()
}

#[test]
fn splits_at_marks_and_leaves_whitespace_out() {
    assert_eq!(split("  It rains. Why?\n\nSo it is! 3.5 cm "), ["It rains.", "Why?", "So it is!", "3.5 cm"]);
    assert_eq!(split(" \n"), [""; 0]);
    assert_eq!(split(""), [""; 0]);
}

#[test]
fn an_abbreviation_goes_on_unless_the_next_word_begins_a_sentence() {
    assert_eq!(split("Dr. Smith left."), ["Dr. Smith left."]);
    assert_eq!(split("I saw the dr. He left."), ["I saw the dr.", "He left."]);
    assert_eq!(split("I saw the dr. However, it was late."), ["I saw the dr.", "However, it was late."]);
    assert_eq!(split("At 5 a.m. however late"), ["At 5 a.m. however late"]);
    assert_eq!(split("An ex-dr. came."), ["An ex-dr. came."]);
}

#[test]
fn collocations_initials_and_ordinals() {
    assert_eq!(split("Here is St. John himself."), ["Here is St. John himself."]);
    assert_eq!(split("There were 5. Corrections follow."), ["There were 5. Corrections follow."]);
    assert_eq!(split("By J. Smith. By J. Bach."), ["By J. Smith.", "By J. Bach."]);
    assert_eq!(split("It was plan B. The end."), ["It was plan B.", "The end."]);
    assert_eq!(split("On 1. may it rains."), ["On 1. may it rains."]);
}

#[test]
fn ellipses() {
    assert_eq!(split("Well... he went."), ["Well... he went."]);
    assert_eq!(split("Well ... He went."), ["Well ...", "He went."]);
    // Spaced dots are one mark each, as in NLTK: no more than one word is looked at behind a mark.
    assert_eq!(split("Well . . . Smith went."), ["Well .", ".", ".", "Smith went."]);
}

#[test]
fn closing_quotes_stay_with_their_sentence() {
    assert_eq!(split("\"No.\" He left."), ["\"No.\"", "He left."]);
    assert_eq!(split("(He left.) \"Why?\"--nobody knows."), ["(He left.)", "\"Why?\"", "--nobody knows."]);
    assert_eq!(split("\"Go!\" ' ) \n"), ["\"Go!\"", "' )"]);
}

#[test]
fn says_what_is_missing_or_wrong() {
    let error = |json: &str| Punkt::from_json(json).unwrap_err().to_string();
    assert!(error("{").contains("not JSON"));
    assert!(error("[]").contains("expected an object, found an array of 0"));
    assert!(error("{}").contains("no `AbbrevTypes` and no `abbrev_types` (found an empty object)"));
    assert!(error(r#"{"abbrev_types": [], "x": 1}"#).contains("found `abbrev_types`, `x`"));
    assert!(error(r#"{"abbrev_types": ["dr", 7]}"#).contains("expected a text, found 7"));
    assert!(error(&OBJECTS.replace("st,john", "stjohn")).contains("`stjohn`"));
    assert!(error(&ARRAYS.replace("[\"st\", \"john\"]", "[\"st\"]")).contains("a pair of words, found an array of 1"));
    assert!(error(&ARRAYS.replace("50", "500")).contains("found 500"));
}
