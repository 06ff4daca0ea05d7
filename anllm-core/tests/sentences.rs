//! Properties of sentence splitters and anchor insertion that hold for any text.

use std::ops::Range;
use std::sync::Arc;

use anllm_core::{
    AnchorInserter, AnchorRule, Demonstrations, LastSentence, PieceInserter, Punkt, SentenceSplitter, Sentencex,
    Unicode,
};
use proptest::prelude::*;

const PARAMETERS: &str = r###"{
    "abbrev_types": ["dr", "u.s", "a.m", "ä"],
    "collocations": [["##number##", "mai"], ["st", "john"]],
    "sentence_starters": ["however", "the"],
    "ortho_context": {"he": 50, "smith": 4, "mai": 4, "a": 110, "é": 48}
}"###;

fn splitters() -> [Arc<dyn SentenceSplitter>; 4] {
    let punkt = Punkt::from_json(PARAMETERS).expect("the parameters above are valid");
    [Arc::new(Sentencex::default()), Arc::new(Unicode), Arc::new(punkt), Arc::new(Demonstrations::default())]
}

/// Any text at all, and text in which marks, quotes, abbreviations, lists and odd whitespace meet often.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![" ", " ", "  ", "\n", "\n\n", "\t"]),
        4 => prop::sample::select(vec![".", "?", "!", "...", ". . .", "…", "。", ",", ";", "--", "-", "*", "1.", "a)"]),
        2 => prop::sample::select(vec!["\"", "'", "(", ")", "[", "]", "“", "”", "«", "<AC", ">", "<A", "C>", "<AC>"]),
        4 => prop::sample::select(vec!["Dr", "St. John", "U.S", "a.m", "However", "he", "É", "J", "3,5", "一つ", "x@y.z"]),
        1 => prop::sample::select(vec!["\r\n", "\n\r\n", "\u{a0}", "\u{2028}", "\u{85}", "\u{200b}", "\u{1f}", "\u{301}"]),
    ];
    prop_oneof![any::<String>(), prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())]
}

/// The text with markers at some of its character boundaries, some of them twice.
fn marked() -> impl Strategy<Value = String> {
    (texts(), prop::collection::vec(any::<prop::sample::Index>(), 0..6)).prop_map(|(text, places)| {
        places.into_iter().fold(text, |mut text, place| {
            let ends: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            text.insert_str(*place.get(&ends), AnchorRule::ADDED_TOKEN);
            text
        })
    })
}

fn keeps_the_contract(text: &str, sentences: &[Range<usize>]) -> Result<(), TestCaseError> {
    let mut end = 0;
    for sentence in sentences {
        prop_assert!(sentence.start >= end && !sentence.is_empty(), "{sentences:?} of {text:?}");
        let inside = text.get(sentence.clone());
        prop_assert!(inside.is_some_and(|inside| inside.trim() == inside), "{sentence:?} of {text:?}");
        prop_assert!(text[end..sentence.start].trim().is_empty(), "before {sentence:?} of {text:?}");
        end = sentence.end;
    }
    prop_assert!(text[end..].trim().is_empty(), "behind {sentences:?} of {text:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn splitters_keep_their_contract(text in texts()) {
        for splitter in splitters() {
            let sentences = splitter.sentences(&text);
            keeps_the_contract(&text, &sentences)?;
            prop_assert_eq!(sentences, splitter.sentences(&text));
        }
    }

    #[test]
    fn inserting_twice_is_inserting_once(text in marked()) {
        for splitter in splitters() {
            for last in [LastSentence::Marked, LastSentence::Open, LastSentence::Finished] {
                let inserter = AnchorInserter::new(splitter.clone()).with_last(last);
                let once = inserter.insert(&text);
                prop_assert_eq!(inserter.insert(&once), once);
            }
        }
    }

    #[test]
    fn stripping_gives_the_text_back(text in marked()) {
        for splitter in splitters() {
            let inserter = AnchorInserter::new(splitter);
            prop_assert_eq!(inserter.strip(&inserter.insert(&text)), inserter.strip(&text));
        }
    }

    #[test]
    fn every_sentence_gets_a_marker_and_none_is_lost(text in marked()) {
        for splitter in splitters() {
            let inserter = AnchorInserter::new(splitter.clone());
            let result = inserter.insert(&text);
            // Markers at the places of the old ones, doubles aside.
            let places = |text: &str| -> Vec<usize> {
                let mut plain = 0;
                let parts: Vec<&str> = text.split(inserter.marker()).collect();
                parts[..parts.len() - 1].iter().map(|part| { plain += part.len(); plain }).collect()
            };
            let now = places(&result);
            prop_assert!(places(&text).iter().all(|place| now.contains(place)));
            let plain = inserter.strip(&text);
            for sentence in splitter.sentences(&plain) {
                let behind = |&place: &usize| place >= sentence.end && plain[sentence.end..place].trim().is_empty();
                prop_assert!(now.iter().any(behind), "{result:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A long document is marked the same, whether it comes at once or in pieces.
    #[test]
    fn pieces_are_marked_as_the_whole_is(
        sentences in prop::collection::vec(0usize..8, 40..90),
        sizes in prop::collection::vec(1usize..700, 1..6),
        last in prop::sample::select(vec![LastSentence::Marked, LastSentence::Open, LastSentence::Finished]),
    ) {
        const SENTENCES: [&str; 8] = [
            "The harbour lay still under a low grey sky. ",
            "\"What do you see?\" he called. ",
            "Dr. Hale paid 3.50, or so she said!\n",
            "It rained.<AC> ",
            "A line, <AC>marked in the middle, goes on. <AC><AC>",
            "Q: where?\nA: there\n\n",
            "Énfin une phrase plus longue, qui ne finit pas si vite… ",
            "No end here, ",
        ];
        let text: String = sentences.iter().map(|number| SENTENCES[*number]).collect();
        for splitter in splitters() {
            let inserter = AnchorInserter::new(splitter).with_last(last);
            let mut pieces = PieceInserter::new(&inserter);
            let (mut marked, mut rest) = (String::new(), text.as_str());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let mut at = *size.min(&rest.len());
                while !rest.is_char_boundary(at) {
                    at += 1;
                }
                marked.push_str(&pieces.push(&rest[..at]));
                rest = &rest[at..];
            }
            marked.push_str(&pieces.finish());
            prop_assert_eq!(&marked, &inserter.insert(&text));
        }
    }
}
