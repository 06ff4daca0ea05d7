//! A small run that tests share.

use std::fs;
use std::path::Path;

use anllm_train::config::{TrainConfig, read};
use anllm_train::{Observer, Saved, StepReport, Trainer};
use burn::backend::Autodiff;
use burn_flex::Flex;

pub(crate) type A = Autodiff<Flex>;

/// Writes down the loss of every step, to the last bit.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) losses: Vec<(usize, u64)>,
    pub(crate) reports: Vec<StepReport>,
}

impl Observer<Flex> for Trace {
    fn step(&mut self, report: &StepReport) {
        self.losses.push((report.step, report.loss.to_bits()));
        self.reports.push(report.clone());
    }
    fn validated(&mut self, _: usize, _: f64) {}
    fn saved(&mut self, _: &Path) {}
}

/// Forty short texts, and a run over them.
pub(crate) fn config(folder: &Path) -> TrainConfig {
    let texts: String = (0..40)
        .map(|n| format!("{{\"text\": \"The cat {n} sat down. It saw {n} birds. They flew away. The cat slept.\"}}\n"))
        .collect();
    let path = folder.join("text.jsonl");
    fs::write(&path, texts).unwrap();
    let text = format!(
        r#"
        seed = 3
        [model]
        tokenizer = 300
        anchors = "ep"
        [model.scratch]
        hidden_size = 32
        intermediate_size = 64
        num_hidden_layers = 2
        num_attention_heads = 4
        num_key_value_heads = 2
        max_position_embeddings = 128
        tie_word_embeddings = true
        [data]
        sources = [{{ path = {path:?} }}]
        validation_fraction = 0.1
        context = 64
        [train]
        steps = 12
        rows_per_step = 4
        rows_at_once = 2
        [optimizer]
        learning_rate = 0.01
        [save]
        output = {output:?}
        every = 4
        "#,
        path = path.display().to_string(),
        output = folder.join("run").display().to_string(),
    );
    read(&text, Path::new("run.toml")).unwrap()
}

pub(crate) fn trainer(config: &TrainConfig, saved: Option<&Saved>) -> Trainer<A> {
    Trainer::new(config.clone(), &Default::default(), saved).unwrap()
}
