//! Prefixes: what is stored goes on as if it had never stopped, what is joined is what it stands for, and damaged files
//! are refused.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use anllm_core::{AnchorMatcher, AnchorPolicy, FullPolicy, Policy, PolicyKind};
use anllm_infer::prefix::{
    Demonstration, EntryType, Identity, LivePrefix, MergedPrefix, Prefix, PrefixBuilder, PrefixFile, write_prefix,
};
use anllm_infer::{Engine, EngineOptions};
use anllm_model::checkpoint::Existing;
use anllm_model::{Checkpoint, Framing, Tokenizer};
use burn_flex::Flex;
use proptest::prelude::*;

const TEXT: &str = "The ship left the harbour at dawn. Nobody on the quay waved. A cold wind came from the north, and \
                    the captain counted his crew. He found one man too many. They searched";
const NEXT: &str = " the hold. It was empty, and yet they heard a voice. Who was it";

struct Run {
    engine: Engine<Flex>,
    tokenizer: Tokenizer,
    identity: Identity,
}

fn load(name: &str, rule: &str) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny").join(name);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let matcher = AnchorMatcher::resolve(&rule.parse().unwrap(), &tokenizer).unwrap();
    let identity = Identity::of(&checkpoint, &tokenizer, &matcher).unwrap();
    let engine = Engine::load(&checkpoint, matcher, &Default::default(), &EngineOptions::default()).unwrap();
    Run { engine, tokenizer, identity }
}

impl Run {
    fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, Framing::Bare).unwrap()
    }

    fn read(&self, policy: impl Into<Policy>, texts: &[&str]) -> LivePrefix<Flex> {
        let mut builder = PrefixBuilder::new(&self.engine, policy, 0);
        for text in texts {
            builder.push(&self.ids(text)).unwrap();
        }
        builder.finish(self.identity.clone()).unwrap()
    }

    /// The scores behind each token of `text`, in one step after the other.
    fn scores(&self, prefix: &dyn Prefix, text: &str) -> Vec<f32> {
        let mut session = self.engine.resume(prefix, &self.identity).unwrap().session;
        self.ids(text).iter().flat_map(|id| self.engine.prefill(&mut session, &[*id]).unwrap()).collect()
    }
}

fn stored(prefix: &dyn Prefix, kind: EntryType) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.prefix");
    let bytes = write_prefix(prefix, &path, kind, Existing::Refuse).unwrap();
    assert_eq!(bytes, fs::metadata(&path).unwrap().len());
    (folder, path)
}

#[test]
fn a_stored_prefix_goes_on_to_the_last_bit() {
    let policies =
        ["anchor", "full", "window:9", "sink:2+9", "sepllm:2+5", "anchor:renumber", "anchor:recent=1", "random:8"];
    for (model, policy) in policies.map(|policy| ("llama-gqa-tied", policy)).into_iter().chain([("qwen3", "anchor")]) {
        let run = load(model, "endswith:.|!|?");
        let live = run.read(policy.parse::<PolicyKind>().unwrap(), &[TEXT]);
        let (_folder, path) = stored(&live, EntryType::F32);
        let file = PrefixFile::open(&path).unwrap();
        assert_eq!(file.head(), live.head());

        let mut session = live.session().clone();
        let expected: Vec<f32> =
            run.ids(NEXT).iter().flat_map(|id| run.engine.prefill(&mut session, &[*id]).unwrap()).collect();
        assert!(run.scores(&file, NEXT) == expected, "{model}: bit for bit under {policy}");
        // The same in one chunk, and the account.
        let (mut live, mut resumed) =
            (live.session().clone(), run.engine.resume(&file, &run.identity).unwrap().session);
        let scores = [&mut live, &mut resumed].map(|session| run.engine.prefill(session, &run.ids(NEXT)).unwrap());
        assert!(scores[0] == scores[1], "{model}: bit for bit under {policy}");
        assert_eq!(live.stats(), resumed.stats());
    }
}

#[test]
fn a_prefix_can_be_read_in_parts_and_continued_from_its_file() {
    let run = load("llama-gqa-tied", "endswith:.|!|?");
    let (first, second) = TEXT.split_at(60);
    let at_once = run.read(AnchorPolicy, &[first, second]);
    let (_folder, path) = stored(&run.read(AnchorPolicy, &[first]), EntryType::F32);
    let mut builder = PrefixBuilder::resume(&run.engine, &PrefixFile::open(&path).unwrap(), &run.identity).unwrap();
    builder.push(&run.ids(second)).unwrap();
    let continued = builder.finish(run.identity.clone()).unwrap();
    assert_eq!(continued.head().places, at_once.head().places);
    assert_eq!(continued.head().recent, at_once.head().recent);
    assert_eq!(continued.head().record.parts[0].tokens, at_once.head().record.parts[0].tokens);
    assert!(run.scores(&continued, NEXT) == run.scores(&at_once, NEXT));
}

#[test]
fn short_entries_stay_near() {
    let run = load("llama-gqa-tied", "endswith:.|!|?");
    let live = run.read(AnchorPolicy, &[TEXT]);
    let exact = run.scores(&live, NEXT);
    let scale = exact.iter().fold(0.0f32, |most, score| most.max(score.abs()));
    for (kind, tolerance, size) in [(EntryType::F16, 2e-3, 2.0), (EntryType::Q8, 2e-2, 1.3)] {
        let (_folder, path) = stored(&live, kind);
        let file = PrefixFile::open(&path).unwrap();
        assert_eq!(file.stored(), kind);
        let near = run.scores(&file, NEXT);
        let worst = exact.iter().zip(&near).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.0 && worst <= tolerance * scale, "{kind}: {worst} of {scale}");
        let values = live.head().places.len() * run.engine.config().kv_elements();
        assert!((file.bytes() as f64) < size * values as f64 + 6000.0, "{kind}: {} for {values}", file.bytes());
    }
}

#[test]
fn what_was_built_with_something_else_is_refused() {
    let run = load("llama-gqa-tied", "endswith:.|!|?");
    let live = run.read(AnchorPolicy, &[TEXT]);
    let refused = |other: &Run| other.engine.resume(&live, &other.identity).unwrap_err().to_string();
    assert!(refused(&load("llama-gqa-tied", "ep")).contains("another anchor rule: endswith:.|!|?"));
    assert!(refused(&load("mistral", "endswith:.|!|?")).contains("another model"));
}

/// The claim behind `anllm cache merge`: joined caches are the layout in which no demonstration sees another.
#[test]
fn joined_prefixes_equal_the_layout_they_stand_for() {
    let demonstrations = ["A fox ran.", "It rained all day, and nobody went out. We stayed.", "Who came? Nobody!"];
    for model in ["llama-gqa-tied", "llama-mha-untied", "qwen3", "llama-yarn-rope"] {
        let run = load(model, "endswith:.|!|?");
        for policy in [Policy::from(AnchorPolicy), FullPolicy.into()] {
            for (lead, tail) in [(0, ""), (1, ""), (1, " and so")] {
                let parts: Vec<Demonstration> = demonstrations
                    .iter()
                    .map(|text| Demonstration { ids: run.ids(&format!("{text}{tail}")), lead })
                    .collect();
                let result = run.engine.verify_merged(&parts, &run.ids(NEXT), &policy, &[1, 7, usize::MAX]).unwrap();
                assert!(result.ok && result.max_rel_diff < 2e-5, "{model}, lead {lead}, tail {tail:?}: {result:?}");
            }
        }
    }
}

/// A joined cache is not that of the texts read together: a check of the check.
#[test]
fn joined_prefixes_differ_from_reading_together() {
    let run = load("llama-gqa-tied", "endswith:.|!|?");
    let texts = ["A fox ran.", " It rained all day, and nobody went out."];
    let alone: Vec<LivePrefix<Flex>> = texts.iter().map(|text| run.read(FullPolicy, &[text])).collect();
    let merged = MergedPrefix::new(&[&alone[0], &alone[1]]).unwrap();
    let together = run.read(FullPolicy, &texts);
    assert_eq!(merged.head().record.tokens, together.head().record.tokens);
    assert_eq!(merged.head().places, together.head().places);
    let (a, b) = (run.scores(&merged, NEXT), run.scores(&together, NEXT));
    let scale = a.iter().fold(0.0f32, |most, score| most.max(score.abs()));
    assert!(a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 1e-3 * scale));
}

#[test]
fn joined_prefixes_are_stored_and_joined_again() {
    let run = load("llama-gqa-tied", "endswith:.|!|?");
    let texts = ["A fox ran.", "It rained. We stayed.", "Who came? Nobody!"];
    let alone: Vec<LivePrefix<Flex>> = texts.iter().map(|text| run.read(AnchorPolicy, &[text])).collect();
    let at_once = MergedPrefix::new(&[&alone[0], &alone[1], &alone[2]]).unwrap();
    let two = MergedPrefix::new(&[&alone[0], &alone[1]]).unwrap();
    let (_folder, path) = stored(&two, EntryType::F32);
    let file = PrefixFile::open(&path).unwrap();
    let three = MergedPrefix::new(&[&file, &alone[2]]).unwrap();
    assert_eq!(three.head(), at_once.head());
    assert!(run.scores(&three, NEXT) == run.scores(&at_once, NEXT));
    // Continued, it is no text of its own any more.
    let mut builder = PrefixBuilder::resume(&run.engine, &file, &run.identity).unwrap();
    builder.push(&run.ids(" Then it ended.")).unwrap();
    let continued = builder.finish(run.identity.clone()).unwrap();
    assert_eq!(continued.head().record.following.as_ref().unwrap().tokens, run.ids(" Then it ended.").len());
    assert!(MergedPrefix::new(&[&continued, &alone[2]]).unwrap_err().to_string().contains("continued"));
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let run = load("llama-gqa-tied", "endswith:.|!|?");
    let (open, closed) = (run.read(AnchorPolicy, &["It rained. And"]), run.read(AnchorPolicy, &["It rained."]));
    let refused = |parts: &[&dyn Prefix]| MergedPrefix::new(parts).unwrap_err().to_string();
    assert!(refused(&[&open, &closed]).contains("no anchor"));
    assert!(MergedPrefix::new(&[&closed, &open]).is_ok(), "the last one may stay open");
    assert!(refused(&[&closed, &run.read(FullPolicy, &["It rained."])]).contains("another cache policy"));
    assert!(refused(&[]).contains("no prefix"));
    let other = load("llama-gqa-tied", "ep");
    assert!(refused(&[&closed, &other.read(AnchorPolicy, &["It rained."])]).contains("another anchor rule"));
}

/// A small file that tests may damage.
fn small() -> &'static [u8] {
    static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    FILE.get_or_init(|| {
        let run = load("llama-gqa-tied", "endswith:.|!|?");
        let (_folder, path) = stored(&run.read(AnchorPolicy, &["It rained. We"]), EntryType::Q8);
        fs::read(path).unwrap()
    })
}

fn refused(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.prefix");
    fs::write(&path, bytes).unwrap();
    PrefixFile::open(&path).is_err()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn flipped_bits_are_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = small().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(refused(&bytes), "bit {} of byte {}", bit, at);
    }

    #[test]
    fn cut_files_are_refused(at in any::<prop::sample::Index>()) {
        prop_assert!(refused(&small()[..at.index(small().len())]));
    }

    /// Whatever the record says, with a checksum that fits: an error or a prefix, no panic.
    #[test]
    fn a_forged_record_does_no_harm(
        field in prop::sample::select(vec![
            "tokens", "peak", "layers", "kv_heads", "head_dim", "position", "segment", "index", "lead", "version",
        ]),
        value in prop_oneof![Just(u64::MAX), Just(1 << 41), 0u64..1000, Just(i64::MAX as u64)],
    ) {
        let bytes = small();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
        let key = format!("\\\"{field}\\\":");
        let start = header.find(&key).unwrap() + key.len();
        let end = start + header[start..].find(|c: char| !c.is_ascii_digit()).unwrap();
        let mut header = format!("{}{value}{}", &header[..start], &header[end..]).into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut forged = (header.len() as u64).to_le_bytes().to_vec();
        forged.extend(header);
        forged.extend(&bytes[8 + length..bytes.len() - 32]);
        let sum = blake3::hash(&forged);
        forged.extend(sum.as_bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.prefix");
        fs::write(&path, forged).unwrap();
        if let Ok(file) = PrefixFile::open(&path) {
            let run = load("llama-gqa-tied", "endswith:.|!|?");
            if let Ok(mut resumed) = run.engine.resume(&file, &run.identity) {
                let _ = run.engine.prefill(&mut resumed.session, &[1]);
                let _ = resumed.session.stats();
            }
            let _ = MergedPrefix::new(&[&file, &file]);
        }
    }
}
