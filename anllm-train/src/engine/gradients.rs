//! The gradients of one step: summed over micro-batches, measured, and handed to the optimiser.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// One gradient for each parameter that has any, flattened.
#[derive(Debug)]
pub struct Gradients<B: Backend> {
    by_parameter: HashMap<ParamId, Tensor<B, 1>>,
    /// In the order in which they first came, so that sums over them do not depend on hashing.
    order: Vec<ParamId>,
}

impl<B: Backend> Default for Gradients<B> {
    fn default() -> Self {
        Self { by_parameter: HashMap::new(), order: Vec::new() }
    }
}

impl<B: Backend> Gradients<B> {
    /// Adds to a parameter's gradient.
    pub fn add<const D: usize>(&mut self, parameter: ParamId, gradient: Tensor<B, D>) {
        let count = gradient.shape().num_elements();
        let gradient = gradient.reshape([count]);
        let sum = match self.by_parameter.remove(&parameter) {
            Some(sum) => sum + gradient,
            None => {
                self.order.push(parameter);
                gradient
            }
        };
        self.by_parameter.insert(parameter, sum);
    }

    /// Takes what a backward pass found for the parameters of `module`.
    pub(crate) fn collect<A, M>(&mut self, module: &M, found: &mut A::Gradients)
    where
        A: AutodiffBackend<InnerBackend = B>,
        M: Module<A>,
    {
        module.visit(&mut Collector::<A> { found, into: self });
    }

    /// A parameter's gradient, flattened.
    pub fn get(&self, parameter: ParamId) -> Option<&Tensor<B, 1>> {
        self.by_parameter.get(&parameter)
    }

    pub(crate) fn take(&mut self, parameter: ParamId) -> Option<Tensor<B, 1>> {
        self.by_parameter.remove(&parameter)
    }

    /// The Euclidean norm over all of them; not finite if any value is not. One value crosses from the device.
    pub fn norm(&self) -> f64 {
        let squares = |id| self.by_parameter.get(id).map(|g: &Tensor<B, 1>| (g.clone() * g.clone()).sum());
        let sums: Vec<Tensor<B, 1>> = self.order.iter().filter_map(squares).collect();
        if sums.is_empty() {
            return 0.0;
        }
        let sums = Tensor::cat(sums, 0).into_data();
        sums.iter::<f64>().sum::<f64>().sqrt()
    }
}

struct Collector<'a, A: AutodiffBackend> {
    found: &'a mut A::Gradients,
    into: &'a mut Gradients<A::InnerBackend>,
}

impl<A: AutodiffBackend> ModuleVisitor<A> for Collector<'_, A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        if let Some(gradient) = param.val().grad_remove(self.found) {
            self.into.add(param.id, gradient);
        }
    }
}
