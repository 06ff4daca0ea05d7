//! Scores of translations are those of sacreBLEU.
#![allow(clippy::unwrap_used)]

use anllm_eval::translation::{BleuCounts, ChrfCounts};

/// Translations, references, and what sacrebleu 2.6.0 says of each corpus so far: `BLEU().corpus_score(...)` and
/// `CHRF().corpus_score(...)`.
const CORPUS: [(&str, &str, f64, f64); 6] = [
    ("Yes.", "Yes, of course.", 0.0, 16.583028237175437),
    (
        "The boat lies in the old harbour, near the town.",
        "The boat lies in the harbour near the old town.",
        37.78923881399007,
        63.38253718218218,
    ),
    (
        "It cost 1,000.50 dollars & nobody paid 3-4 %.",
        "It cost $1,000.50, and nobody paid 3 - 4%.",
        46.1224590901249,
        65.02389332947428,
    ),
    ("", "An empty line.", 39.54557718519021, 59.061412585381724),
    (
        "\"What do you see?\" he called; she saw a red sail (far away).",
        "\"What do you see?\" he called. She saw, far away, a red sail.",
        44.619374686296396,
        63.752784398696846,
    ),
    (
        "Die Häuser über München waren größer als gedacht – naïve Gäste staunten.",
        "The houses above München were larger than thought – naïve guests were amazed.",
        36.50772574718225,
        52.70070331411969,
    ),
];

#[test]
fn corpora_score_as_sacrebleu_scores_them() {
    let (mut bleu, mut chrf) = (BleuCounts::default(), ChrfCounts::default());
    for (translation, reference, expected_bleu, expected_chrf) in CORPUS {
        bleu.add(&BleuCounts::of(translation, reference));
        chrf.add(&ChrfCounts::of(translation, reference));
        assert!((bleu.score() - expected_bleu).abs() < 1e-9, "{translation:?}: {} {expected_bleu}", bleu.score());
        assert!((chrf.score() - expected_chrf).abs() < 1e-9, "{translation:?}: {} {expected_chrf}", chrf.score());
    }
}

#[test]
fn nothing_scores_nothing() {
    for (translation, reference) in [("", ""), ("", "Yes."), ("Ja.", "")] {
        assert_eq!(BleuCounts::of(translation, reference).score(), 0.0);
        assert_eq!(ChrfCounts::of(translation, reference).score(), 0.0);
    }
    assert_eq!(BleuCounts::default().score(), 0.0);
}
