//! The weights of a decoder in memory, as a source of tensors: how training gets them back into a checkpoint.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::error::CheckpointError;
use super::source::{TensorInfo, TensorSource};
use crate::decoder::{Decoder, ParameterPath};

/// The parameters of a decoder by their Hugging Face names, adapters included.
#[derive(Debug)]
pub struct TrainedWeights<B: Backend> {
    path: PathBuf,
    tensors: Vec<TensorInfo>,
    values: HashMap<String, Tensor<B, 1>>,
}

impl<B: Backend> TrainedWeights<B> {
    /// Shares the weights of `decoder`; nothing is copied from the device until it is read. `path` is for messages.
    pub fn new(path: &Path, decoder: &Decoder<B>) -> Self {
        let mut visitor = Collector { path: ParameterPath::default(), tensors: Vec::new(), values: HashMap::new() };
        decoder.visit(&mut visitor);
        Self { path: path.to_owned(), tensors: visitor.tensors, values: visitor.values }
    }
}

impl<B: Backend> TensorSource for TrainedWeights<B> {
    fn path(&self) -> &Path {
        &self.path
    }

    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let problem = |what: String| {
            CheckpointError::malformed(&self.path, what, "this is an error of the device or of the program that asked")
        };
        let tensor = self.values.get(name).ok_or_else(|| problem(format!("the decoder has no tensor `{name}`")))?;
        let data = tensor.clone().try_into_data();
        let data = data.map_err(|e| problem(format!("tensor `{name}` cannot be read from the device: {e:?}")))?;
        data.convert::<f32>().into_vec().map_err(|e| problem(format!("tensor `{name}` is no list of floats: {e:?}")))
    }
}

struct Collector<B: Backend> {
    path: ParameterPath,
    tensors: Vec<TensorInfo>,
    values: HashMap<String, Tensor<B, 1>>,
}

impl<B: Backend> ModuleVisitor<B> for Collector<B> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let count = shape.iter().product::<usize>();
        let name = self.path.name();
        self.tensors.push(TensorInfo {
            name: name.clone(),
            shape,
            dtype: format!("{:?}", tensor.dtype()).to_uppercase(),
            bytes: (count * tensor.dtype().size()) as u64,
        });
        self.values.insert(name, tensor.reshape([count]));
    }
}
