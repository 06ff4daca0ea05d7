//! From a configuration to what training starts with: a checkpoint in its first state, its tokenizer, its rule, its
//! rows.

use std::path::Path;
use std::sync::Arc;

use anllm_core::{AnchorInserter, AnchorMatcher, AnchorRule, Punkt, SentenceSplitter, SplitterKind, Vocabulary};
use anllm_model::checkpoint::{AddedEmbedding, RandomWeights, Settings};
use anllm_model::{ChatTemplate, Checkpoint, ModelConfig, Tokenizer};
use serde_json::{Value, json};

use crate::config::{TokenizerChoice, TrainConfig};
use crate::data::source::{SourceConfig, SourceContext, Sources};
use crate::data::{Part, Reading, Rows, TokenFile, TrainingData};
use crate::error::TrainError;
use crate::vocabulary;

/// What a run starts with.
#[derive(Debug)]
pub struct Start {
    /// The checkpoint in its first state: settings, tokenizer, untrained or pre-trained weights.
    pub checkpoint: Checkpoint,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Which tokens are anchors.
    pub matcher: AnchorMatcher,
}

impl Start {
    /// Opens or makes the checkpoint that `config` names.
    ///
    /// # Errors
    /// When it names none, or one that cannot be used.
    pub fn new(config: &TrainConfig) -> Result<Self, TrainError> {
        let mut checkpoint = match (&config.model.from, &config.model.scratch) {
            (Some(path), None) => Checkpoint::open(path)?,
            (None, Some(settings)) => scratch(config, settings)?,
            _ => {
                return Err(TrainError::settings(
                    "the configuration must name one start: model.from or model.scratch",
                    "name a Hugging Face folder or .gguf file in model.from, or a config.json's keys in model.scratch",
                ));
            }
        };
        if let Some(how) = &config.model.add_ac {
            checkpoint = checkpoint.with_added_token(&added(how)?)?;
        }
        let rule = config.model.anchors.clone().or_else(|| checkpoint.config().anchors.clone());
        let rule = rule.ok_or_else(|| {
            TrainError::settings(
                "neither the configuration nor the checkpoint names an anchor rule",
                "set model.anchors, for example to \"ep\" (the token \".\")",
            )
        })?;
        checkpoint.set_anchors(&rule);
        let tokenizer = checkpoint.tokenizer()?;
        let matcher = AnchorMatcher::resolve(&rule, &tokenizer)?;
        if config.data.context > checkpoint.config().max_positions {
            return Err(TrainError::settings(
                format!(
                    "data.context is {}, but the model has positions for {}",
                    config.data.context,
                    checkpoint.config().max_positions
                ),
                "lower data.context",
            ));
        }
        Ok(Self { checkpoint, tokenizer, matcher })
    }

    /// Tokenises the text and cuts it into rows.
    ///
    /// # Errors
    /// When text cannot be read, or there is nothing to learn from it.
    pub fn rows(&self, config: &TrainConfig) -> Result<TrainingData, TrainError> {
        let data = &config.data;
        let inserter = self.inserter(config)?;
        let settings = self.checkpoint.settings();
        let json = settings.tokenizer.as_deref().unwrap_or_default();
        let end = self.checkpoint.config().eos.first().copied().filter(|_| data.end_token);
        let begin = self.checkpoint.config().bos;
        let reading =
            Reading { tokenizer: &self.tokenizer, tokenizer_json: json, inserter: inserter.as_ref(), begin, end };
        let folder = data.cache.clone().unwrap_or_else(|| config.save.output.join("tokens"));
        let context = SourceContext { chat: chat_template(&self.checkpoint, &self.tokenizer) };
        let open = |configs: &[SourceConfig]| -> Result<Vec<(TokenFile, f64)>, TrainError> {
            let sources = Sources::open(configs, context.clone())?;
            sources.iter().map(|source| Ok((reading.tokens(source, &folder)?, source.weight()))).collect()
        };
        let fraction = data.validation_fraction.clamp(0.0, 0.5);
        let held_out = |count: usize| ((count as f64 * fraction).ceil() as usize).min(count.saturating_sub(1));
        let mut training = Vec::new();
        let mut validation = Vec::new();
        for (file, weight) in open(&data.sources)? {
            let first = file.documents() - held_out(file.documents());
            let rows = Rows::cut(&file, 0..first, data.context, data.rows);
            let held = Rows::cut(&file, first..file.documents(), data.context, data.rows);
            let file = Arc::new(file);
            validation.push(Part { file: Arc::clone(&file), rows: held, weight });
            training.push(Part { file, rows, weight });
        }
        if !data.validation.is_empty() {
            for (file, weight) in open(&data.validation)? {
                let rows = Rows::cut(&file, 0..file.documents(), data.context, data.rows);
                validation.push(Part { file: Arc::new(file), rows, weight });
            }
        }
        if training.iter().all(|part| part.rows.is_empty()) {
            return Err(TrainError::settings(
                "the training text has no row of two tokens or more",
                "check data.sources: `anllm train --dry-run` shows what is read",
            ));
        }
        let found = TrainingData::new(training, validation, self.matcher.clone());
        if config.train.mask != crate::config::MaskMode::Full {
            found.check_anchors()?;
        }
        Ok(found)
    }

    /// The token whose rows of the embedding and the output matrix learn beside adapters: `<AC>`, which no checkpoint
    /// knows before it is trained with it.
    pub fn learned_row(&self, config: &TrainConfig) -> Option<u32> {
        let wanted = config.lora.as_ref().is_some_and(|lora| lora.train_ac);
        let added = wanted && *self.matcher.rule() == AnchorRule::Added;
        added.then(|| self.tokenizer.id(AnchorRule::ADDED_TOKEN)).flatten()
    }

    fn inserter(&self, config: &TrainConfig) -> Result<Option<AnchorInserter>, TrainError> {
        if *self.matcher.rule() != AnchorRule::Added {
            return Ok(None);
        }
        let splitter: Arc<dyn SentenceSplitter> = match (&config.data.splitter, config.data.splitter.builtin()) {
            (_, Some(splitter)) => splitter,
            (SplitterKind::Punkt(path), None) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| TrainError::io(path, "read the sentence splitter's parameters", e))?;
                Arc::new(Punkt::from_json(&text).map_err(|e| {
                    TrainError::settings(format!("{}: {e}", path.display()), "name a file of Punkt parameters")
                })?)
            }
            (other, None) => {
                return Err(TrainError::settings(format!("no sentence splitter `{other}`"), "set data.splitter"));
            }
        };
        let inserter = AnchorInserter::new(splitter);
        Ok(Some(inserter.with_last(config.data.ac_last)))
    }
}

fn added(how: &str) -> Result<AddedEmbedding, TrainError> {
    match how.split_once(':') {
        None if how == "mean" => Ok(AddedEmbedding::Mean),
        Some(("copy", token)) => Ok(AddedEmbedding::Copy(token.to_owned())),
        _ => Err(TrainError::settings(
            format!("model.add_ac is `{how}`"),
            "expected `mean`, or `copy:` and a token, for example `copy:.`",
        )),
    }
}

/// The checkpoint's own template. A wrong one hinders nobody who has no chats to learn from; who has is told of it.
fn chat_template(checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Option<ChatTemplate> {
    checkpoint.chat_template(tokenizer, None).unwrap_or_else(|error| {
        tracing::warn!("{}: {error}", checkpoint.path().display());
        None
    })
}

/// A checkpoint that nobody trained.
fn scratch(config: &TrainConfig, keys: &serde_json::Map<String, Value>) -> Result<Checkpoint, TrainError> {
    let place = Path::new("model.scratch");
    let tokenizer: Value = match &config.model.tokenizer {
        Some(TokenizerChoice::Train(size)) => vocabulary::train(config, *size)?,
        Some(TokenizerChoice::File(path)) => {
            let text = std::fs::read_to_string(path).map_err(|e| TrainError::io(path, "read the tokenizer", e))?;
            serde_json::from_str(&text).map_err(|e| {
                TrainError::settings(format!("{}: not JSON: {e}", path.display()), "name a tokenizer.json")
            })?
        }
        None => {
            return Err(TrainError::settings(
                "model.scratch needs model.tokenizer",
                "give the size of a vocabulary to train, or the path of a tokenizer.json",
            ));
        }
    };
    let tokenizer = tokenizer.to_string();
    let reader = Tokenizer::from_json(place, &tokenizer)?;
    let mut settings = json!({ "architectures": ["LlamaForCausalLM"], "model_type": "llama" });
    for (key, value) in keys {
        settings[key.as_str()] = value.clone();
    }
    settings["vocab_size"] = json!(reader.size());
    for (key, token) in [("bos_token_id", vocabulary::BEGIN), ("eos_token_id", vocabulary::END)] {
        if let (Some(id), None) = (reader.id(token), settings.get(key)) {
            settings[key] = json!(id);
        }
    }
    let model = ModelConfig::from_json(place, &settings)?;
    let source = Box::new(RandomWeights::new(place, &model, config.seed));
    let parts = Settings { config: settings, generation: None, tokenizer: Some(tokenizer), tokenizer_config: None };
    Ok(Checkpoint::assemble(place, parts, source)?)
}
