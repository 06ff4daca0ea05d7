//! Opening a checkpoint, whatever its format: settings are read and checked against the tensors before any value is.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anllm_core::AnchorRule;
use serde_json::{Value, json};

use super::error::CheckpointError;
use super::gguf::GgufFile;
use super::hf::HfWeights;
use super::keys::expected_tensors;
use super::source::{TensorInfo, TensorSource};
use super::{parse_json, read_json};
use crate::config::{ModelConfig, RopeChoice};
use crate::tokenizer::Tokenizer;

/// A checkpoint's settings, in the form of the files of a Hugging Face folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `config.json`.
    pub config: Value,
    /// `generation_config.json`.
    pub generation: Option<Value>,
    /// `tokenizer.json`, as text without whitespace: its tree of values would take ten times the memory.
    pub tokenizer: Option<String>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<Value>,
}

/// Where a checkpoint came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A folder with `config.json` and safetensors.
    HuggingFace,
    /// One GGUF file.
    Gguf,
}

/// The files of a Hugging Face folder, as parts of the program.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedFiles {
    /// `config.json`.
    pub config: &'static str,
    /// `tokenizer.json`.
    pub tokenizer: &'static str,
    /// `model.safetensors`.
    pub weights: &'static [u8],
}

/// An open checkpoint whose tensors fit its configuration.
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    config: ModelConfig,
    settings: Settings,
    source: Box<dyn TensorSource>,
    /// The name a GGUF file gives its pre-tokenizer.
    pre_tokenizer: Option<String>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("format", &self.format).finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens a Hugging Face folder, a `.gguf` file, or a folder that holds one `.gguf` file and no `config.json`, and
    /// checks every tensor's shape; values stay on disk.
    ///
    /// # Errors
    /// When the path is neither, a file is damaged, or tensors and configuration do not fit.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let path = &*single_gguf(path)?;
        let opened = if path.is_dir() { open_folder(path)? } else { open_gguf(path)? };
        let Opened { format, settings, source, pre_tokenizer } = opened;
        let config = with_generation_eos(path, &settings)?;
        check_tensors(&config, source.as_ref())?;
        Ok(Self { path: path.to_owned(), format, config, settings, source, pre_tokenizer })
    }

    /// A checkpoint that is part of the program: the files of a Hugging Face folder. `name` is for messages.
    ///
    /// # Errors
    /// When a file is damaged, or they do not fit each other.
    pub fn embedded(name: &Path, files: EmbeddedFiles) -> Result<Self, CheckpointError> {
        let json = |file: &str, text: &str| parse_json(&name.join(file), text);
        let settings = Settings {
            config: json("config.json", files.config)?,
            generation: None,
            tokenizer: Some(json("tokenizer.json", files.tokenizer)?.to_string()),
            tokenizer_config: None,
        };
        Self::assemble(name, settings, Box::new(HfWeights::embedded(name, files.weights)?))
    }

    /// A checkpoint from its parts: settings as the files of a Hugging Face folder hold them, and any source of
    /// tensors, checked against each other. `path` is for messages.
    ///
    /// # Errors
    /// When settings are wrong, or tensors do not fit them.
    pub fn assemble(path: &Path, settings: Settings, source: Box<dyn TensorSource>) -> Result<Self, CheckpointError> {
        let config = with_generation_eos(path, &settings)?;
        check_tensors(&config, source.as_ref())?;
        let format = Format::HuggingFace;
        Ok(Self { path: path.to_owned(), format, config, settings, source, pre_tokenizer: None })
    }

    /// The same checkpoint with other settings, and a source made from its own.
    pub(super) fn replace(
        self,
        settings: Settings,
        source: impl FnOnce(Box<dyn TensorSource>) -> Box<dyn TensorSource>,
    ) -> Result<Self, CheckpointError> {
        let config = with_generation_eos(&self.path, &settings)?;
        let source = source(self.source);
        check_tensors(&config, source.as_ref())?;
        Ok(Self { config, settings, source, ..self })
    }

    /// The same checkpoint with other rotary settings, and the context that goes with them.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn with_rope(self, choice: RopeChoice) -> Result<Self, CheckpointError> {
        if choice == RopeChoice::default() {
            return Ok(self);
        }
        let mut settings = self.settings.clone();
        choice.write(&mut settings.config, self.config.rope.theta, self.config.max_positions);
        self.replace(settings, |source| source)
    }

    /// Lets texts go on to `positions`, whatever the model was trained for.
    pub fn set_context(&mut self, positions: usize) {
        self.config.max_positions = positions;
    }

    /// Records `rule` in the settings, so that whoever runs the checkpoint uses it.
    pub fn set_anchors(&mut self, rule: &AnchorRule) {
        record_rule(&mut self.settings.config, rule);
        self.config.anchors = Some(rule.clone());
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The settings, checked.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The settings, as files.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The weights.
    pub fn source(&self) -> &dyn TensorSource {
        self.source.as_ref()
    }

    /// The name a GGUF file gives its pre-tokenizer: "smollm", "llama-bpe", …
    pub fn pre_tokenizer(&self) -> Option<&str> {
        self.pre_tokenizer.as_deref()
    }

    /// Tensors in the file that the decoder has no use for.
    pub fn unused(&self) -> Vec<&TensorInfo> {
        let expected = expected_tensors(&self.config);
        self.source.tensors().iter().filter(|t| !expected.iter().any(|e| e.name == t.name)).collect()
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When the checkpoint has none, or it cannot be read.
    pub fn tokenizer(&self) -> Result<Tokenizer, CheckpointError> {
        let file = match self.format {
            Format::HuggingFace => self.path.join("tokenizer.json"),
            Format::Gguf => self.path.clone(),
        };
        match &self.settings.tokenizer {
            Some(text) => Tokenizer::from_json(&file, text),
            None => Err(CheckpointError::malformed(
                &self.path,
                "the folder has no tokenizer.json",
                "slow-only tokenizers (tokenizer.model) must be saved as tokenizer.json first, as `transformers` does",
            )),
        }
    }
}

/// Writes an anchor rule into a `config.json`.
pub(super) fn record_rule(config: &mut Value, rule: &AnchorRule) {
    config["anllm"] = json!({ "format": 1, "anchors": rule.to_string() });
}

/// The one `.gguf` file of a folder without `config.json`, else the path itself.
fn single_gguf(path: &Path) -> Result<Cow<'_, Path>, CheckpointError> {
    let meta = std::fs::metadata(path).map_err(|e| CheckpointError::io(path, "open the model", e))?;
    if !meta.is_dir() || path.join("config.json").exists() {
        return Ok(Cow::Borrowed(path));
    }
    let entries = std::fs::read_dir(path).map_err(|e| CheckpointError::io(path, "list the folder", e))?;
    let files = entries.filter_map(|entry| entry.ok().map(|e| e.path()));
    let mut gguf: Vec<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "gguf")).collect();
    match (gguf.pop(), gguf.len()) {
        (Some(file), 0) => Ok(Cow::Owned(file)),
        (Some(_), more) => Err(CheckpointError::malformed(
            path,
            format!("the folder has {} .gguf files", more + 1),
            "name the file itself",
        )),
        (None, _) => Ok(Cow::Borrowed(path)),
    }
}

struct Opened {
    format: Format,
    settings: Settings,
    source: Box<dyn TensorSource>,
    pre_tokenizer: Option<String>,
}

fn open_folder(folder: &Path) -> Result<Opened, CheckpointError> {
    let config_path = folder.join("config.json");
    if !config_path.is_file() {
        return Err(CheckpointError::malformed(
            folder,
            "the folder has no config.json",
            "name a Hugging Face model folder (config.json, model.safetensors, tokenizer.json) or a .gguf file",
        ));
    }
    let optional = |name: &str| {
        let path = folder.join(name);
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    };
    let settings = Settings {
        config: read_json(&config_path)?,
        generation: optional("generation_config.json")?,
        tokenizer: optional("tokenizer.json")?.map(|json| json.to_string()),
        tokenizer_config: with_template_files(folder, optional("tokenizer_config.json")?)?,
    };
    // Settings are judged before weights: "unsupported architecture" helps more than "no model.safetensors".
    ModelConfig::from_json(&config_path, &settings.config)?;
    let source = Box::new(HfWeights::open(folder)?);
    Ok(Opened { format: Format::HuggingFace, settings, source, pre_tokenizer: None })
}

/// `tokenizer_config.json` with the chat templates that newer folders keep in files of their own: these replace what it
/// says, as in `transformers`.
fn with_template_files(folder: &Path, config: Option<Value>) -> Result<Option<Value>, CheckpointError> {
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|e| CheckpointError::io(path, "read the chat template", e));
    let (alone, more) = (folder.join("chat_template.jinja"), folder.join("additional_chat_templates"));
    let default = alone.is_file().then(|| read(&alone)).transpose()?;
    let mut named = Vec::new();
    for entry in std::fs::read_dir(&more).into_iter().flatten().flatten() {
        let path = entry.path();
        if let (Some("jinja"), Some(name)) = (path.extension().and_then(|e| e.to_str()), path.file_stem()) {
            named.push(json!({ "name": name.to_string_lossy(), "template": read(&path)? }));
        }
    }
    let template = match (default, named.is_empty()) {
        (None, true) => return Ok(config),
        (Some(default), true) => Value::from(default),
        (default, false) => {
            named.extend(default.map(|template| json!({ "name": "default", "template": template })));
            named.into()
        }
    };
    let mut config = config.filter(Value::is_object).unwrap_or_else(|| json!({}));
    config["chat_template"] = template;
    Ok(Some(config))
}

fn open_gguf(path: &Path) -> Result<Opened, CheckpointError> {
    let file = GgufFile::open(path)?;
    let settings = Settings {
        config: file.config_json()?,
        generation: Some(file.generation_config_json()?),
        tokenizer: Some(file.tokenizer_json()?.to_string()),
        tokenizer_config: Some(file.tokenizer_config_json()?),
    };
    let pre_tokenizer = Some(file.pre_tokenizer().to_owned());
    Ok(Opened { format: Format::Gguf, settings, source: Box::new(file), pre_tokenizer })
}

/// The configuration, with the end tokens of `generation_config.json`, which instruction-tuned models extend.
fn with_generation_eos(path: &Path, settings: &Settings) -> Result<ModelConfig, CheckpointError> {
    let config_path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let mut config = ModelConfig::from_json(&config_path, &settings.config)?;
    if let Some(generation) = &settings.generation {
        let generation_path = if path.is_dir() { path.join("generation_config.json") } else { path.to_owned() };
        config.add_generation_settings(&generation_path, generation)?;
    }
    Ok(config)
}

fn check_tensors(config: &ModelConfig, source: &dyn TensorSource) -> Result<(), CheckpointError> {
    // An absurd number of layers is refused by the first one that cannot be there, before it costs memory.
    let layers = config.layers.min(source.tensors().len() + 1);
    for expected in expected_tensors(&ModelConfig { layers, ..config.clone() }) {
        match source.info(&expected.name) {
            Some(found) if found.shape == expected.shape => {}
            Some(found) => {
                return Err(CheckpointError::Shape {
                    path: source.path().to_owned(),
                    tensor: expected.name,
                    expected: expected.shape,
                    found: found.shape.clone(),
                });
            }
            None => {
                return Err(CheckpointError::MissingTensor {
                    path: source.path().to_owned(),
                    tensor: expected.name,
                    expected: expected.shape,
                    hint: "a file of the model is missing, or config.json belongs to another model".to_owned(),
                });
            }
        }
    }
    Ok(())
}
