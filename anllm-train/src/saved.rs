//! A run on disk: `checkpoints/step-000100/`, each an ordinary Hugging Face folder with the optimiser's moments and
//! the run's progress beside the weights. Written aside and renamed, so that what has the name is whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anllm_kernels::{Kernels, TrainableKernels};
use anllm_model::checkpoint::{Export, StoredType, TrainedWeights, write_folder};
use anllm_model::{Checkpoint, Decoder};
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::data::TrainingData;
use crate::engine::{Moments, Optimizer};
use crate::error::TrainError;
use crate::start::Start;

const FORMAT: u32 = 1;
const PROGRESS: &str = "training.json";
const MOMENTS: &str = "moments.safetensors";

/// How far a run is, and what it is a run of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    format: u32,
    /// Steps taken.
    pub(crate) step: usize,
    /// Tokens learned from.
    pub(crate) tokens: usize,
    /// The lowest loss on held-out rows.
    best: Option<f64>,
    /// What must be the same when the run is taken up.
    seed: u64,
    rule: String,
    parameters: usize,
    rows: usize,
    text_tokens: usize,
    rows_per_step: usize,
}

impl Progress {
    pub(crate) fn new(config: &TrainConfig, start: &Start, data: &TrainingData) -> Self {
        Self {
            format: FORMAT,
            step: 0,
            tokens: 0,
            best: None,
            seed: config.seed,
            rule: start.matcher.rule().to_string(),
            parameters: start.checkpoint.config().parameters(),
            rows: data.rows(),
            text_tokens: data.tokens(),
            rows_per_step: config.train.rows_per_step,
        }
    }

    /// Goes on from a saved state.
    pub(crate) fn take_up(&mut self, saved: &Saved) -> Result<(), TrainError> {
        let then = &saved.progress;
        let same = [
            ("format", self.format.to_string(), then.format.to_string()),
            ("anchor rule", self.rule.clone(), then.rule.clone()),
            ("model (parameters)", self.parameters.to_string(), then.parameters.to_string()),
            ("seed", self.seed.to_string(), then.seed.to_string()),
            ("number of training rows", self.rows.to_string(), then.rows.to_string()),
            ("number of training tokens", self.text_tokens.to_string(), then.text_tokens.to_string()),
            ("train.rows_per_step", self.rows_per_step.to_string(), then.rows_per_step.to_string()),
        ];
        for (what, expected, found) in same {
            if expected != found {
                return Err(TrainError::OtherRun { path: saved.folder.clone(), what, expected, found });
            }
        }
        *self = then.clone();
        Ok(())
    }

    /// Whether `loss` is the lowest so far, which it then is.
    pub(crate) fn is_best(&mut self, loss: f64) -> bool {
        let better = self.best.is_none_or(|best| loss < best);
        if better {
            self.best = Some(loss);
        }
        better
    }
}

/// A checkpoint that training can go on from.
#[derive(Debug)]
pub struct Saved {
    folder: PathBuf,
    progress: Progress,
}

impl Saved {
    /// Opens one.
    ///
    /// # Errors
    /// When the folder is not such a checkpoint.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(PROGRESS);
        let text = fs::read_to_string(&path).map_err(|e| TrainError::io(&path, "read the saved run", e))?;
        let progress = serde_json::from_str(&text).map_err(|e| {
            TrainError::settings(
                format!("{}: not the progress of a training run: {e}", path.display()),
                "resume from a folder that `anllm train` wrote under checkpoints/",
            )
        })?;
        Ok(Self { folder: folder.to_owned(), progress })
    }

    /// The newest checkpoint of the run in `output`, if there is one.
    ///
    /// # Errors
    /// When the folder cannot be listed, or the newest is damaged.
    pub fn latest(output: &Path) -> Result<Option<Self>, TrainError> {
        match all(output)?.pop() {
            Some(folder) => Self::open(&folder).map(Some),
            None => Ok(None),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Steps taken.
    pub fn step(&self) -> usize {
        self.progress.step
    }

    pub(crate) fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        Ok(Checkpoint::open(&self.folder)?)
    }

    pub(crate) fn moments<B: Kernels>(&self, device: &B::Device) -> Result<HashMap<String, Moments<B>>, TrainError> {
        let path = self.folder.join(MOMENTS);
        let damaged = |what: String| {
            TrainError::settings(format!("{}: {what}", path.display()), "resume from an older checkpoint")
        };
        let file = anllm_model::checkpoint::MappedFile::open(&path)?;
        let map = file.range(0, file.len())?;
        let tensors = SafeTensors::deserialize(&map).map_err(|e| damaged(format!("not safetensors: {e}")))?;
        let read = |name: &str| -> Result<Tensor<B, 1>, TrainError> {
            let tensor = tensors.tensor(name).map_err(|e| damaged(format!("{e}")))?;
            let values: Vec<f32> =
                tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let count = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [count]), device))
        };
        let mut moments = HashMap::new();
        for name in tensors.names() {
            if let Some(parameter) = name.strip_suffix(".first") {
                let (first, second) = (read(name)?, read(&format!("{parameter}.second"))?);
                moments.insert(parameter.to_owned(), Moments { time: self.progress.step, first, second });
            }
        }
        Ok(moments)
    }

    /// Writes a checkpoint, then removes the oldest beyond those to keep.
    pub(crate) fn write<A: TrainableKernels>(
        config: &TrainConfig,
        start: &Start,
        decoder: &Decoder<A>,
        optimizer: &Optimizer<A::InnerBackend>,
        progress: &Progress,
    ) -> Result<PathBuf, TrainError> {
        let parent = config.save.output.join("checkpoints");
        let folder = parent.join(format!("step-{:06}", progress.step));
        if folder.exists() {
            // Whole since it has the name, and a step of a run has one outcome.
            return Ok(folder);
        }
        write_folder(&folder, |aside| {
            export(&start.checkpoint, decoder, StoredType::F32, aside)?;
            if let Some(lora) = &config.lora {
                crate::lora::write(decoder, lora, start, start.learned_row(config), aside)?;
            }
            let path = aside.join(MOMENTS);
            let mut views = Vec::new();
            for (name, moments) in optimizer.moments() {
                views.push((format!("{name}.first"), Values::new(&moments.first)));
                views.push((format!("{name}.second"), Values::new(&moments.second)));
            }
            views.sort_by(|a, b| a.0.cmp(&b.0));
            safetensors::serialize_to_file(views, None, &path)
                .map_err(|e| TrainError::io(&path, "write the optimiser's moments", std::io::Error::other(e)))?;
            sync(&path)?;
            write_json(&aside.join(PROGRESS), progress)
        })?;
        let mut old = all(&config.save.output)?;
        let newest = old.split_off(old.len().saturating_sub(config.save.keep.max(1)));
        tracing::debug!(kept = newest.len(), removed = old.len(), "checkpoints");
        for folder in old {
            fs::remove_dir_all(&folder).map_err(|e| TrainError::io(&folder, "remove an old checkpoint", e))?;
        }
        Ok(folder)
    }

    /// Writes the model alone, as a Hugging Face folder, in place of what `folder` holds. Adapters are merged into the
    /// weights, and written beside them in `adapter/`.
    pub(crate) fn finish<A: TrainableKernels>(
        config: &TrainConfig,
        start: &Start,
        decoder: &Decoder<A>,
        folder: &Path,
    ) -> Result<(), TrainError> {
        let dtype = config.save.dtype;
        write_folder(folder, |aside| {
            let Some(lora) = &config.lora else { return export(&start.checkpoint, decoder, dtype, aside) };
            export(&start.checkpoint, &decoder.clone().merged(), dtype, aside)?;
            let adapter = aside.join("adapter");
            fs::create_dir(&adapter).map_err(|e| TrainError::io(&adapter, "create the folder", e))?;
            crate::lora::write(decoder, lora, start, start.learned_row(config), &adapter)
        })
    }
}

/// The checkpoints of a run, oldest first.
fn all(output: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let parent = output.join("checkpoints");
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(TrainError::io(&parent, "list the checkpoints", e)),
    };
    let step = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("step-")?.parse::<usize>().ok();
    let mut found: Vec<(usize, PathBuf)> =
        entries.filter_map(|e| e.ok().map(|e| e.path())).filter_map(|p| Some((step(&p)?, p))).collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn export<A: TrainableKernels>(
    start: &Checkpoint,
    decoder: &Decoder<A>,
    dtype: StoredType,
    folder: &Path,
) -> Result<(), TrainError> {
    let weights = TrainedWeights::new(folder, &decoder.valid());
    let checkpoint = Checkpoint::assemble(folder, start.settings().clone(), Box::new(weights))?;
    Export { dtype, anchors: None, shard_bytes: 5_000_000_000 }.write_into(&checkpoint, folder)?;
    Ok(())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| TrainError::io(path, "write the file", std::io::Error::other(e)))?;
    fs::write(path, text + "\n").map_err(|e| TrainError::io(path, "write the file", e))?;
    sync(path)
}

pub(crate) fn sync(path: &Path) -> Result<(), TrainError> {
    let file = fs::File::open(path).and_then(|f| f.sync_all());
    file.map_err(|e| TrainError::io(path, "write the file to disk", e))
}

/// Moments on the device, brought over when their turn to be written comes.
struct Values<B: Kernels> {
    tensor: Tensor<B, 1>,
    shape: [usize; 1],
}

impl<B: Kernels> Values<B> {
    fn new(tensor: &Tensor<B, 1>) -> Self {
        Self { tensor: tensor.clone(), shape: tensor.dims() }
    }
}

impl<B: Kernels> View for Values<B> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.tensor.clone().into_data();
        Cow::Owned(values.iter::<f32>().flat_map(f32::to_le_bytes).collect())
    }

    fn data_len(&self) -> usize {
        4 * self.shape[0]
    }
}
