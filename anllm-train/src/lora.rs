//! Training by low-rank adapters: the weights of the checkpoint stay as they are, small matrices beside them learn.
//! Adapters are written as PEFT writes them (`adapter_config.json`, `adapter_model.safetensors`).

use std::fs;
use std::path::Path;

use anllm_kernels::{Kernels, TrainableKernels};
use anllm_model::checkpoint::peft::{CONFIG, PREFIX, RULE, TOKEN_ROWS, WEIGHTS};
use anllm_model::checkpoint::{EMBEDDING, HEAD, MappedFile, TensorSource, TrainedWeights, expected_tensors};
use anllm_model::decoder::{Adapter, Linear};
use anllm_model::{Decoder, ModelConfig};
use burn::module::{AutodiffModule, Module};
use burn::tensor::{Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::config::LoraSection;
use crate::error::TrainError;
use crate::saved::sync;
use crate::start::Start;

/// Freezes `decoder` and puts adapters beside the layers that `config` names: new ones, or those saved in `folder`.
///
/// New ones start as PEFT's do: `A` uniform within `±1/√in`, `B` zero.
///
/// # Errors
/// When no layer has one of the names, or the saved adapters do not fit.
pub(crate) fn attach<B: Kernels>(
    decoder: Decoder<B>,
    config: &LoraSection,
    seed: u64,
    folder: Option<&Path>,
) -> Result<Decoder<B>, TrainError> {
    check(config)?;
    let mut decoder = decoder.no_grad();
    let device = decoder.device();
    let scale = config.alpha / config.rank as f64;
    let saved = folder.map(|folder| Adapters::read(&folder.join(WEIGHTS))).transpose()?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut count = 0;
    let mut problem = None;
    decoder.each_linear(|linear, name| {
        if !is_target(name, config) || problem.is_some() {
            return linear;
        }
        count += 1;
        let [out, input] = linear.weight.dims();
        let down = match &saved {
            Some(saved) => saved.tensor(name, "lora_A", [config.rank, input], &device),
            None => Ok(uniform(&mut random, config.rank, input, &device)),
        };
        let up = match &saved {
            Some(saved) => saved.tensor(name, "lora_B", [out, config.rank], &device),
            None => Ok(Tensor::zeros([out, config.rank], &device)),
        };
        match (down, up) {
            (Ok(down), Ok(up)) => Linear { adapter: Some(Adapter::new(down, up, scale, config.dropout)), ..linear },
            (Err(error), _) | (_, Err(error)) => {
                problem = Some(error);
                linear
            }
        }
    });
    match problem {
        Some(error) => Err(error),
        None if count == 0 => Err(TrainError::settings(
            format!("lora.targets names no layer of the model: {:?}", config.targets),
            "choose from q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
        )),
        None => Ok(decoder),
    }
}

/// How many parameters adapters of this shape have, without the rows of an added token.
pub fn adapter_parameters(model: &ModelConfig, config: &LoraSection) -> usize {
    let targeted = |name: &str| {
        let layer = name.strip_suffix(".weight").filter(|layer| layer.starts_with("model.layers."));
        layer.is_some_and(|layer| is_target(layer, config))
    };
    let tensors = expected_tensors(model).into_iter().filter(|t| targeted(&t.name));
    tensors.map(|t| config.rank * t.shape.iter().sum::<usize>()).sum()
}

fn is_target(layer: &str, config: &LoraSection) -> bool {
    config.targets.iter().any(|target| layer.rsplit('.').next() == Some(target))
}

fn check(config: &LoraSection) -> Result<(), TrainError> {
    let good = config.rank > 0 && (0.0..1.0).contains(&config.dropout) && config.alpha.is_finite();
    good.then_some(()).ok_or_else(|| {
        TrainError::settings(
            format!("lora: rank {}, alpha {}, dropout {}", config.rank, config.alpha, config.dropout),
            "the rank is 1 or more, dropout from 0 to below 1",
        )
    })
}

fn uniform<B: Kernels>(random: &mut ChaCha8Rng, rows: usize, columns: usize, device: &B::Device) -> Tensor<B, 2> {
    let bound = (columns as f32).powf(-0.5);
    let values: Vec<f32> = (0..rows * columns).map(|_| bound * (2.0 * random.random::<f32>() - 1.0)).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Writes the adapters of `decoder` into `folder`, as PEFT does, with the rows of the token `row` where they learned.
///
/// # Errors
/// When writing fails.
pub(crate) fn write<A: TrainableKernels>(
    decoder: &Decoder<A>,
    config: &LoraSection,
    start: &Start,
    row: Option<u32>,
    folder: &Path,
) -> Result<(), TrainError> {
    let path = folder.join(WEIGHTS);
    let weights = TrainedWeights::new(&path, &decoder.valid());
    let mut values = Vec::new();
    let mut indices = serde_json::Map::new();
    for tensor in weights.tensors() {
        let name = tensor.name.as_str();
        if name.contains(".lora_") {
            values.push((format!("{PREFIX}{name}"), tensor.shape.clone(), bytes(&weights.read_f32(name)?)));
        } else if let (Some(row), EMBEDDING | HEAD) = (row, name) {
            let (module, width) = (name.trim_end_matches(".weight"), tensor.shape[1]);
            let own = &weights.read_f32(name)?[row as usize * width..(row as usize + 1) * width];
            values.push((format!("{PREFIX}{module}{TOKEN_ROWS}"), vec![1, width], bytes(own)));
            indices.insert(module.trim_start_matches("model.").to_owned(), json!([row]));
        }
    }
    let problem = |e| TrainError::io(&path, "write the adapters", std::io::Error::other(e));
    let views = values.iter().map(|(name, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(problem)?))
    });
    let views = views.collect::<Result<Vec<_>, TrainError>>()?;
    let rule = start.checkpoint.settings().config["anllm"].to_string();
    let metadata = [("format", "pt".to_owned()), (RULE, rule)].map(|(key, value)| (key.to_owned(), value));
    safetensors::serialize_to_file(views, Some(metadata.into()), &path).map_err(problem)?;
    sync(&path)?;
    // Where one matrix serves as both, PEFT wants the tokens without a module's name.
    let indices = match (indices.len(), indices.values().next()) {
        (1, Some(only)) => only.clone(),
        (0, _) => Value::Null,
        _ => Value::Object(indices),
    };
    let settings = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM",
        "base_model_name_or_path": start.checkpoint.path().display().to_string(),
        "r": config.rank, "lora_alpha": config.alpha, "lora_dropout": config.dropout,
        "target_modules": config.targets, "trainable_token_indices": indices, "bias": "none", "fan_in_fan_out": false,
        "inference_mode": true,
    });
    let path = folder.join(CONFIG);
    fs::write(&path, format!("{settings:#}\n"))
        .map_err(|e| TrainError::io(&path, "write the adapters' settings", e))?;
    sync(&path)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Adapters on disk.
struct Adapters {
    file: MappedFile,
}

impl Adapters {
    fn read(path: &Path) -> Result<Self, TrainError> {
        Ok(Self { file: MappedFile::open(path)? })
    }

    fn tensor<B: Kernels>(
        &self,
        layer: &str,
        part: &str,
        shape: [usize; 2],
        device: &B::Device,
    ) -> Result<Tensor<B, 2>, TrainError> {
        let damaged = |what: String| {
            let what = format!("{}: {what}", self.file.path().display());
            TrainError::settings(what, "resume with the lora settings the run was started with")
        };
        let map = self.file.range(0, self.file.len())?;
        let tensors = SafeTensors::deserialize(&map).map_err(|e| damaged(format!("not safetensors: {e}")))?;
        let name = format!("{PREFIX}{layer}.{part}.weight");
        let tensor = tensors.tensor(&name).map_err(|e| damaged(format!("{name}: {e}")))?;
        if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
            return Err(damaged(format!(
                "{name}: expected F32 {shape:?}, found {} {:?}",
                tensor.dtype(),
                tensor.shape()
            )));
        }
        let values: Vec<f32> =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }
}
