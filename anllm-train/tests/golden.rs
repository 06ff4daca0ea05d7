//! What PyTorch computes from each fixture: the loss under the anchor mask, gradients, and five steps of AdamW.
//!
//! `ANLLM_FIXTURES=DIR` checks other checkpoints of the same layout as well.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anllm_core::{AnchorPolicy, Segments};
use anllm_model::decoder::{ParameterPath, Sight};
use anllm_model::{Checkpoint, Decoder};
use anllm_train::engine::{
    DecayOn, Gradients, LossOptions, Optimizer, OptimizerConfig, Pass, PassOptions, Prepared, Recompute, TrainingRow,
};
use burn::backend::Autodiff;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor};
use burn_flex::Flex;
use safetensors::SafeTensors;

type A = Autodiff<Flex>;

struct Golden {
    checkpoint: Checkpoint,
    bytes: Vec<u8>,
}

impl Golden {
    fn open(folder: &Path) -> Self {
        Self {
            checkpoint: Checkpoint::open(folder).unwrap(),
            bytes: std::fs::read(folder.join("golden.safetensors")).unwrap(),
        }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = file.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = file.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn gradients(&self) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let names = file.names().into_iter().filter_map(|n| n.strip_prefix("grad.").map(str::to_owned));
        names.collect()
    }

    fn row(&self) -> TrainingRow {
        let ids: Vec<u32> = self.integers("input_ids").iter().map(|id| *id as u32).collect();
        let flags: Vec<bool> = self.integers("is_anchor").iter().map(|flag| *flag == 1).collect();
        TrainingRow { targets: vec![true; ids.len()], ids, segments: Segments::from_flags(&flags) }
    }

    fn decoder(&self) -> Decoder<A> {
        self.checkpoint.load(&Default::default(), DType::F32).unwrap()
    }
}

fn fixtures() -> Vec<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny");
    let others = std::env::var_os("ANLLM_FIXTURES").map(PathBuf::from);
    let folders = [Some(ours), others].into_iter().flatten();
    let mut found: Vec<_> = folders.flat_map(|f| std::fs::read_dir(f).unwrap().map(|e| e.unwrap().path())).collect();
    found.sort();
    found
}

fn options(questions: usize, recompute: Recompute) -> PassOptions<'static> {
    PassOptions {
        sight: Sight::Policy(&AnchorPolicy),
        recompute,
        compute: DType::F32,
        // Chunks so small that the loss takes several.
        loss: LossOptions { scale: 1.0 / questions as f64, chunk_bytes: 1 },
        seed: 0,
        row: None,
    }
}

/// Mean loss and gradients of `rows` as one batch.
fn backward(decoder: &Decoder<A>, rows: &[&TrainingRow], recompute: Recompute) -> (f64, Gradients<Flex>) {
    let rows = Prepared::new(rows);
    let mut gradients = Gradients::default();
    let pass = Pass { decoder };
    let losses = pass.backward(&rows, None, options(rows.asked(), recompute), &mut gradients);
    let sum: f64 = losses.cross_entropy.iter().map(|l| f64::from(*l)).sum();
    (sum / rows.asked() as f64, gradients)
}

/// Gradients by parameter name.
fn by_name(decoder: &Decoder<A>, gradients: &Gradients<Flex>) -> HashMap<String, Vec<f32>> {
    struct Names<'a>(ParameterPath, &'a Gradients<Flex>, HashMap<String, Vec<f32>>);
    impl<B: AutodiffBackend<InnerBackend = Flex>> ModuleVisitor<B> for Names<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.1.get(param.id) {
                self.2.insert(self.0.name(), gradient.clone().into_data().into_vec().unwrap());
            }
        }
    }
    let mut names = Names(ParameterPath::default(), gradients, HashMap::new());
    decoder.visit(&mut names);
    names.2
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn loss_and_gradients_are_pytorchs() {
    for folder in fixtures() {
        let golden = Golden::open(&folder);
        let decoder = golden.decoder();
        let (loss, gradients) = backward(&decoder, &[&golden.row()], Recompute::Never);
        let expected = golden.floats("loss_ansan")[0];
        assert!((loss - f64::from(expected)).abs() < 1e-4, "{}: loss {loss}, expected {expected}", folder.display());
        let found = by_name(&decoder, &gradients);
        assert_eq!(found.len(), golden.checkpoint.source().tensors().len(), "every parameter learns");
        let names = golden.gradients();
        assert!(!names.is_empty());
        for name in names {
            let off = distance(&found[&name], &golden.floats(&format!("grad.{name}")));
            assert!(off < 1e-4, "{}: gradient of {name} is off by {off}", folder.display());
        }
    }
}

#[test]
fn five_steps_of_adamw_are_pytorchs() {
    let config = OptimizerConfig {
        learning_rate: 1e-3,
        weight_decay: 0.01,
        decay_on: DecayOn::All,
        ..OptimizerConfig::default()
    };
    for folder in fixtures() {
        let golden = Golden::open(&folder);
        let row = golden.row();
        let mut decoder = golden.decoder();
        let mut optimizer = Optimizer::new(&config);
        for (step, expected) in golden.floats("adamw_losses").into_iter().enumerate() {
            let (loss, gradients) = backward(&decoder, &[&row], Recompute::Blocks);
            let off = (loss - f64::from(expected)).abs();
            assert!(off < 1e-4, "{}: step {step}: loss {loss}, expected {expected}", folder.display());
            decoder = optimizer.step(decoder, gradients, 1.0, config.learning_rate, None);
        }
    }
}

#[test]
fn recomputing_changes_no_bit() {
    let golden = Golden::open(&fixtures()[0]);
    let decoder = golden.decoder();
    let row = golden.row();
    let (loss, kept) = backward(&decoder, &[&row], Recompute::Never);
    let (again, recomputed) = backward(&decoder, &[&row], Recompute::Blocks);
    assert_eq!(loss.to_bits(), again.to_bits());
    assert_eq!(by_name(&decoder, &kept), by_name(&decoder, &recomputed));
}

/// Mixed precision: a brain float has eight bits of a number, so that losses agree to a hundredth, and gradients point
/// the same way.
#[test]
fn activations_of_sixteen_bits_learn_nearly_the_same() {
    for folder in fixtures() {
        let golden = Golden::open(&folder);
        let decoder = golden.decoder();
        let prepared = Prepared::new(&[&golden.row()]);
        let run = |compute: DType| {
            let mut gradients = Gradients::default();
            let options = PassOptions { compute, ..options(prepared.asked(), Recompute::Never) };
            let losses = Pass { decoder: &decoder }.backward(&prepared, None, options, &mut gradients);
            let sum: f32 = losses.cross_entropy.iter().sum();
            (sum / prepared.asked() as f32, by_name(&decoder, &gradients))
        };
        let ((exact, gradients), (loss, rounded)) = (run(DType::F32), run(DType::BF16));
        assert!(loss != exact && (loss - exact).abs() < 0.01 * exact, "{}: {loss}, {exact}", folder.display());
        assert_eq!(rounded.len(), gradients.len());
        for (name, exact) in &gradients {
            let rounded = &rounded[name];
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let cosine = product(exact, rounded) / (product(exact, exact) * product(rounded, rounded)).sqrt();
            assert!(cosine > 0.99, "{}: gradient of {name}: cosine {cosine}", folder.display());
        }
    }
}

#[test]
fn the_gradient_of_one_row_is_that_row_of_the_whole_gradient() {
    for folder in fixtures() {
        let golden = Golden::open(&folder);
        let decoder = golden.decoder();
        let row = golden.row();
        let (_, whole) = backward(&decoder, &[&row], Recompute::Never);
        let frozen = decoder.clone().no_grad();
        let token = row.ids[5];
        let prepared = Prepared::new(&[&row]);
        let mut alone = Gradients::default();
        let options = PassOptions { row: Some(token), ..options(prepared.asked(), Recompute::Blocks) };
        Pass { decoder: &frozen }.backward(&prepared, None, options, &mut alone);
        for matrix in [&decoder.embedding, decoder.output_weight()].map(|weight| weight.parameter().unwrap()) {
            let values = |gradients: &Gradients<Flex>| -> Vec<f32> {
                gradients.get(matrix.id).unwrap().clone().into_data().into_vec().unwrap()
            };
            let width = matrix.val().dims()[1];
            let expected = &values(&whole)[token as usize * width..(token as usize + 1) * width];
            let off = distance(&values(&alone), expected);
            assert!(off < 1e-5, "{}: off by {off}", folder.display());
        }
        assert_eq!(by_name(&decoder, &alone).len(), 1 + usize::from(decoder.head.is_some()), "nothing else learns");
    }
}

#[test]
fn a_padded_batch_is_the_sum_of_its_rows() {
    let golden = Golden::open(&fixtures()[0]);
    let decoder = golden.decoder();
    let long = golden.row();
    let flags: Vec<bool> = long.segments.places()[..30].iter().map(|p| p.anchor).collect();
    let short =
        TrainingRow { ids: long.ids[..30].to_vec(), segments: Segments::from_flags(&flags), targets: vec![true; 30] };
    // Two documents packed in one row are two rows.
    let both = TrainingRow {
        ids: [&long.ids[..], &short.ids[..]].concat(),
        segments: Segments::from_documents([
            &long.segments.places().iter().map(|p| p.anchor).collect::<Vec<_>>()[..],
            &flags[..],
        ]),
        targets: vec![true; long.ids.len() + 30],
    };
    let (padded, of_padded) = backward(&decoder, &[&long, &short], Recompute::Never);
    let (packed, of_packed) = backward(&decoder, &[&both], Recompute::Never);
    let (alone_long, _) = backward(&decoder, &[&long], Recompute::Never);
    let (alone_short, _) = backward(&decoder, &[&short], Recompute::Never);
    let (n, m) = (long.ids.len() as f64 - 1.0, 29.0);
    let expected = (alone_long * n + alone_short * m) / (n + m);
    assert!((padded - expected).abs() < 1e-5 && (packed - expected).abs() < 1e-5, "{padded} {packed} {expected}");
    let (of_padded, of_packed) = (by_name(&decoder, &of_padded), by_name(&decoder, &of_packed));
    for (name, gradient) in &of_padded {
        let off = distance(gradient, &of_packed[name]);
        assert!(off < 1e-5, "{name}: {off}");
    }
}
