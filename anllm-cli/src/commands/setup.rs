//! From common options to ready objects.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anllm_core::{
    AnchorInserter, AnchorMatcher, AnchorRule, LastSentence, Policy, PolicyKind, Punkt, RuleChoice, SentenceSplitter,
    SplitterKind, Vocabulary,
};
use anllm_infer::{Engine, EngineOptions};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, ModelConfig, Tokenizer};
use anyhow::Context;

use crate::args::{Dtype, RunArgs};

/// A text with several sentences, for commands that need any.
pub(crate) const SAMPLE_TEXT: &str = "\
The harbour lay still under a low grey sky. Nobody had slept much. When the fog lifted a little, the old pilot \
counted the boats twice and frowned. One was missing! He sent his daughter up the hill with the long glass. \
\"What do you see?\" he called. She saw the lighthouse, the white line of the reef, and beyond it a single sail. \
It was red. Nobody in the village owned a red sail. \"A stranger,\" she said at last, \"and he is in a hurry.\" \
The pilot took his coat from the nail. Strangers who came in a hurry needed help, or brought trouble. Most of the \
time, he had found, they did both.\n\
By noon the whole village stood on the quay. The boat was small, not 20 feet long, and it leaked. A boy of about \
twelve sat at the tiller. He had no food left, and his hands were raw. \"My father is ill,\" he said. \"We had \
medicine, but it went over the side in the storm.\" The pilot asked where they had come from. The boy named a town \
three days to the south. Three days, alone, in that! An old woman began to cry. The doctor packed his bag without a \
word, and the pilot untied his own boat. \"You will show us the way,\" he told the boy. \"But first you will eat.\"\n";

/// The policy and the anchors that a run uses.
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) matcher: AnchorMatcher,
}

/// Which policy `--cache` means; `otherwise` where nothing in the options or the checkpoint speaks for one.
pub(crate) fn policy(args: &RunArgs, config: &ModelConfig, otherwise: PolicyKind) -> PolicyKind {
    let by_rule = match (&args.model.anchors, &config.anchors) {
        (RuleChoice::Rule(AnchorRule::None), _) => Some(PolicyKind::Full),
        (RuleChoice::Rule(_), _) | (RuleChoice::Model, Some(_)) => Some(PolicyKind::Anchor),
        (RuleChoice::Model, None) => None,
    };
    args.cache.or(by_rule).unwrap_or(otherwise)
}

/// Resolves the policy and the rule.
pub(crate) fn rules(args: &RunArgs, checkpoint: &Checkpoint, otherwise: PolicyKind) -> anyhow::Result<Rules> {
    let kind = policy(args, checkpoint.config(), otherwise);
    let matcher = match (kind, rule(&args.model.anchors, checkpoint.config())) {
        // Not every policy needs anchors; a rule that was asked for is still checked and counted.
        (kind, None) if !kind.needs_anchors() => AnchorMatcher::none(),
        (_, rule) => matcher(&rule.unwrap_or_else(assumed), checkpoint)?,
    };
    Ok(Rules { policy: kind.policy(), matcher })
}

/// The rule that options or checkpoint name.
pub(crate) fn rule(choice: &RuleChoice, config: &ModelConfig) -> Option<AnchorRule> {
    match choice {
        RuleChoice::Rule(rule) => Some(rule.clone()),
        RuleChoice::Model => config.anchors.clone(),
    }
}

/// The rule for a checkpoint that names none, with a warning.
pub(crate) fn assumed() -> AnchorRule {
    tracing::warn!(
        "the checkpoint names no anchor rule: taking `ep`, the token \".\" (choose with --anchors). A model that was \
         not trained with anchors writes worse text under the anchor mask"
    );
    AnchorRule::Endpoint
}

/// Resolves a rule. A tokenizer is read only where the rule names tokens.
pub(crate) fn matcher(rule: &AnchorRule, checkpoint: &Checkpoint) -> anyhow::Result<AnchorMatcher> {
    /// A vocabulary of ids without texts.
    struct Ids(usize);

    impl Vocabulary for Ids {
        fn size(&self) -> usize {
            self.0
        }
        fn text(&self, _: u32) -> Option<String> {
            None
        }
        fn id(&self, _: &str) -> Option<u32> {
            None
        }
    }

    let resolved = match rule {
        AnchorRule::None | AnchorRule::Every(_) | AnchorRule::Ids(_) => {
            AnchorMatcher::resolve(rule, &Ids(checkpoint.config().vocab_size))
        }
        _ => AnchorMatcher::resolve(rule, &checkpoint.tokenizer()?),
    };
    resolved.map_err(|e| {
        let reason = e.to_string();
        let hint = "\n  hint: `anllm inspect` shows the vocabulary; --anchors chooses another rule";
        let hint = if reason.contains("hint: ") { "" } else { hint };
        anyhow::anyhow!("{}: {reason}{hint}", checkpoint.path().display())
    })
}

/// What puts `<AC>` into prompts.
pub(crate) fn inserter(splitter: &SplitterKind) -> anyhow::Result<AnchorInserter> {
    let built: Arc<dyn SentenceSplitter> = match splitter {
        SplitterKind::Punkt(path) => {
            let text = read_text(path)?;
            Arc::new(Punkt::from_json(&text).with_context(|| path.display().to_string())?)
        }
        other => other.builtin().with_context(|| format!("`{other}` cannot be built"))?,
    };
    Ok(AnchorInserter::new(built).with_last(LastSentence::Finished))
}

/// Loads the engine on a backend's device.
pub(crate) fn engine<B: Kernels>(
    args: &RunArgs,
    checkpoint: &Checkpoint,
    matcher: AnchorMatcher,
    device: &B::Device,
) -> anyhow::Result<Engine<B>> {
    for (option, dtype) in [("dtype", Some(args.dtype)), ("cache-dtype", args.cache_dtype)] {
        let Some(dtype) = dtype else { continue };
        anyhow::ensure!(
            B::supports_dtype(device, dtype.dtype()),
            "--{option} {dtype} is not supported by the device {}\n  hint: use --{option} f32",
            B::name(device),
        );
    }
    let options = EngineOptions {
        dtype: args.dtype.dtype(),
        entries: args.cache_dtype.map(Dtype::dtype),
        matrices: args.weights.form(),
        prefill_chunk: args.prefill_chunk,
    };
    Ok(Engine::load(checkpoint, matcher, device, &options)?)
}

/// Sets the number of threads that CPU backends use.
pub(crate) fn threads(args: &RunArgs) -> anyhow::Result<()> {
    thread_count(args.threads)
}

/// The same; 0 leaves the number of cores.
pub(crate) fn thread_count(threads: usize) -> anyhow::Result<()> {
    if threads > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("--threads could not be set")?;
    }
    Ok(())
}

/// The content of a text file, or of standard input for `-`.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let (name, content) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        ("standard input".to_owned(), std::io::stdin().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (path.display().to_string(), std::fs::read(path))
    };
    let bytes = content.map_err(|e| {
        anyhow::anyhow!("{name}: cannot read the text: {e}\n  hint: name a readable text file, or - for standard input")
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        anyhow::anyhow!(
            "{name}: byte {at} is not UTF-8 text\n  hint: convert the file, for example with `iconv -t utf-8`"
        )
    })
}

/// The tokens of a text, for measuring: framed as at the start of a text, cut to `limit`.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str, limit: Option<usize>) -> anyhow::Result<Vec<u32>> {
    let mut ids = tokenizer.encode(text, anllm_model::Framing::Framed)?;
    ids.truncate(limit.unwrap_or(usize::MAX));
    Ok(ids)
}
