//! `--add-anchors`: `<AC>` after each sentence of a text, as a model with the rule `ac` was trained.

use anllm_core::{AnchorInserter, AnchorRule, SplitterKind, Vocabulary};
use anllm_model::Tokenizer;

use super::setup::{self, Rules};
use crate::args::RunArgs;

/// Puts anchors into texts, or leaves them as they are.
pub(crate) struct Adder(Option<(AnchorInserter, u32)>);

impl Adder {
    /// What the options ask for.
    ///
    /// # Errors
    /// When anchors are asked for and the model knows no `<AC>`, or has other anchors.
    pub(crate) fn new(
        asked: bool,
        splitter: &SplitterKind,
        args: &RunArgs,
        rules: &Rules,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<Self> {
        if !asked {
            return Ok(Self(None));
        }
        let model = args.model.model.display();
        let token = AnchorRule::ADDED_TOKEN;
        let Some(id) = tokenizer.id(token) else {
            anyhow::bail!(
                "{model}: --add-anchors puts {token} into the text, but the vocabulary has no such token\n  hint: leave \
                 it out; `anllm convert --add-ac mean` adds the token, and training gives it a meaning"
            );
        };
        let rule = rules.matcher.rule();
        anyhow::ensure!(
            *rule == AnchorRule::Added,
            "{model}: --add-anchors puts {token} into the text, but anchors are chosen by `{rule}`\n  hint: leave it \
             out, or give --anchors ac if the model was trained so"
        );
        Ok(Self(Some((setup::inserter(splitter)?, id))))
    }

    /// What puts anchors in, if anchors are asked for.
    pub(crate) fn inserter(&self) -> Option<&AnchorInserter> {
        self.0.as_ref().map(|(inserter, _)| inserter)
    }

    /// The same, to keep.
    pub(crate) fn into_inserter(self) -> Option<AnchorInserter> {
        self.0.map(|(inserter, _)| inserter)
    }

    /// The text as the model reads it.
    pub(crate) fn add(&self, text: &str) -> String {
        self.0.as_ref().map_or_else(|| text.to_owned(), |(inserter, _)| inserter.insert(text))
    }

    /// The token that is added, if any.
    pub(crate) fn token(&self) -> Option<u32> {
        self.0.as_ref().map(|(_, id)| *id)
    }
}
