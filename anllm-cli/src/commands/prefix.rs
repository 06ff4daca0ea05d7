//! `--prefix-cache`: going on from a prefix that was read before, for every command that reads text.

use std::path::Path;

use anllm_core::{PolicyKind, RuleChoice};
use anllm_infer::Engine;
use anllm_infer::prefix::{Demonstration, Identity, Prefix, PrefixFile, Resumed};
use anllm_kernels::Kernels;
use anllm_model::{Checkpoint, Framing, PieceEncoder, Tokenizer};

use super::setup::{self, Rules};
use crate::args::RunArgs;
use crate::bundled;

/// A text's tokens as those of a text of its own, with the number of those that the tokenizer put before it.
///
/// # Errors
/// When the tokenizer refuses.
pub(crate) fn demonstration(tokenizer: &Tokenizer, text: &str) -> anyhow::Result<Demonstration> {
    let framed = tokenizer.encode(text, Framing::Framed)?;
    let bare = tokenizer.encode(text, Framing::Bare)?;
    let lead = if framed.ends_with(&bare) { framed.len() - bare.len() } else { 0 };
    Ok(Demonstration { ids: framed, lead })
}

/// The tokens of a text that goes on behind a prefix.
///
/// # Errors
/// When the tokenizer refuses.
pub(crate) fn behind(tokenizer: &Tokenizer, text: &str) -> anyhow::Result<Vec<u32>> {
    let mut encoder = PieceEncoder::behind(tokenizer);
    let mut ids = encoder.push(text)?;
    ids.extend(encoder.finish()?);
    Ok(ids)
}

/// A prefix cache that was opened, and what it must belong to.
pub(crate) struct Opened {
    file: PrefixFile,
    identity: Identity,
}

impl Opened {
    /// Opens the file and checks it against the model, before any weights are loaded. Also returns the rules, which are
    /// the file's.
    ///
    /// # Errors
    /// When the file is damaged, was built with something else, or options contradict it.
    pub(crate) fn new(
        path: &Path,
        args: &RunArgs,
        checkpoint: &Checkpoint,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<(Self, Rules)> {
        let file = PrefixFile::open(path)?;
        let rules = rules(&file, args, checkpoint)?;
        let identity = Identity::of(checkpoint, tokenizer, &rules.matcher)?;
        file.head().record.identity.check(&file.name(), &identity)?;
        Ok((Self { file, identity }, rules))
    }

    /// The policy it was read under.
    ///
    /// # Errors
    /// When this program knows none of that name.
    pub(crate) fn policy(&self) -> anyhow::Result<PolicyKind> {
        Ok(self.file.head().policy(&self.file.name())?)
    }

    /// Tokens that the prefix stands for.
    pub(crate) fn tokens(&self) -> usize {
        self.file.head().record.tokens
    }

    /// A session at the end of the prefix.
    pub(crate) fn resume<B: Kernels>(&self, engine: &Engine<B>) -> anyhow::Result<Resumed<B>> {
        Ok(engine.resume(&self.file, &self.identity)?)
    }
}

/// The prefix that `--prefix-cache` names, if it names one, with its rules; else those of the options.
///
/// # Errors
/// As [`Opened::new`], and when the rule fits no token.
pub(crate) fn or_rules(
    file: Option<&Path>,
    args: &RunArgs,
    checkpoint: &Checkpoint,
    tokenizer: &Tokenizer,
) -> anyhow::Result<(Option<Opened>, Rules)> {
    match file {
        Some(file) => Opened::new(file, args, checkpoint, tokenizer).map(|(prefix, rules)| (Some(prefix), rules)),
        None => Ok((None, setup::rules(args, checkpoint, PolicyKind::Full)?)),
    }
}

/// The policy and the rule of a prefix; options may only repeat them.
pub(crate) fn rules(file: &PrefixFile, args: &RunArgs, checkpoint: &Checkpoint) -> anyhow::Result<Rules> {
    let (name, record) = (file.name(), &file.head().record);
    let kind = file.head().policy(&name)?;
    if let Some(asked) = args.cache.as_ref().filter(|asked| **asked != kind) {
        anyhow::bail!(
            "{name}: built under --cache {kind}, not --cache {asked}\n  hint: leave --cache out: a prefix is continued \
             under its own policy; or build it again"
        );
    }
    let rule = record.identity.anchors.parse().map_err(|e| anyhow::anyhow!("{name}: {e}\n  hint: build it again"))?;
    if let RuleChoice::Rule(asked) = &args.model.anchors
        && *asked != rule
    {
        anyhow::bail!(
            "{name}: built with --anchors {rule}, not --anchors {asked}\n  hint: leave --anchors out: a prefix is \
             continued with its own anchors; or build it again"
        );
    }
    Ok(Rules { policy: kind.policy(), matcher: setup::matcher(&rule, checkpoint)? })
}

/// Whether a prefix belongs to a model, and fits its context.
///
/// # Errors
/// When it does not.
pub(crate) fn check_model(prefix: &dyn Prefix, model: &Path) -> anyhow::Result<()> {
    let checkpoint = bundled::open(model).unwrap_or_else(|| Checkpoint::open(model))?;
    let (name, record) = (prefix.name(), &prefix.head().record);
    let rule = record.identity.anchors.parse().map_err(|e| anyhow::anyhow!("{name}: {e}\n  hint: build it again"))?;
    let matcher = setup::matcher(&rule, &checkpoint)?;
    let identity = Identity::of(&checkpoint, &checkpoint.tokenizer()?, &matcher)?;
    record.identity.check(&name, &identity)?;
    let limit = checkpoint.config().max_positions;
    anyhow::ensure!(
        record.tokens < limit,
        "{name}: its {} tokens leave no room in this model's context of {limit}\n  hint: merge fewer or shorter texts",
        record.tokens
    );
    Ok(())
}
