//! Whole runs on a small text: what a user would miss if it broke.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anllm_core::AnchorRule;
use anllm_model::Checkpoint;
use anllm_train::config::{MaskMode, TrainConfig, read};
use anllm_train::{Observer, Saved, StepReport, Trainer};
use burn::backend::Autodiff;
use burn_flex::Flex;

type A = Autodiff<Flex>;

/// Writes down the loss of every step, to the last bit.
#[derive(Default)]
struct Trace {
    losses: Vec<(usize, u64)>,
    reports: Vec<StepReport>,
}

impl Observer for Trace {
    fn step(&mut self, report: &StepReport) {
        self.losses.push((report.step, report.loss.to_bits()));
        self.reports.push(report.clone());
    }
    fn validated(&mut self, _: usize, _: f64) {}
    fn saved(&mut self, _: &Path) {}
}

/// Forty short texts, and a run over them.
fn config(folder: &Path) -> TrainConfig {
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

fn trainer(config: &TrainConfig, saved: Option<&Saved>) -> Trainer<A> {
    Trainer::new(config.clone(), &Default::default(), saved).unwrap()
}

#[test]
fn a_run_learns_and_writes_a_model_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut trace = Trace::default();
    let outcome = trainer(&config, None).run(&mut trace, &AtomicBool::new(false)).unwrap();
    let (first, last) = (&trace.reports[0], &trace.reports[11]);
    assert!(last.loss < first.loss - 1.0, "{} to {}", first.loss, last.loss);
    assert_eq!((outcome.step, outcome.interrupted), (12, false));
    assert!(outcome.val_loss.unwrap() < first.loss);
    assert!(first.anchors_per_thousand > 50.0 && first.loss_after_anchors.is_some());

    let model = Checkpoint::open(&outcome.checkpoint).unwrap();
    assert_eq!(model.config().anchors, Some(AnchorRule::Endpoint));
    assert_eq!(model.tokenizer().unwrap().decode(&[2]).unwrap(), "!");
    // Two checkpoints stay, and the best and the final model.
    let mut steps: Vec<_> =
        fs::read_dir(folder.path().join("run/checkpoints")).unwrap().map(|e| e.unwrap().file_name()).collect();
    steps.sort();
    assert_eq!(steps, ["step-000008", "step-000012"]);
    assert!(folder.path().join("run/best/model.safetensors").is_file());
}

#[test]
fn a_run_taken_up_again_does_what_it_would_have_done() {
    let whole = tempfile::tempdir().unwrap();
    let mut expected = Trace::default();
    trainer(&config(whole.path()), None).run(&mut expected, &AtomicBool::new(false)).unwrap();

    // Stopped after every checkpoint, as if killed, and once by the user between checkpoints.
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut trace = Trace::default();
    let mut first = trainer(&config, None);
    for _ in 0..6 {
        trace.step(&first.step().unwrap());
    }
    let stop = AtomicBool::new(true);
    let outcome = first.run(&mut trace, &stop).unwrap();
    assert!(outcome.interrupted && outcome.step == 6);
    drop(first);
    let saved = Saved::latest(&config.save.output).unwrap().unwrap();
    assert_eq!(saved.step(), 6);
    let outcome = trainer(&config, Some(&saved)).run(&mut trace, &AtomicBool::new(false)).unwrap();
    assert_eq!(trace.losses, expected.losses);

    let weights = |folder: &Path| fs::read(folder.join("run/final/model.safetensors")).unwrap();
    assert_eq!(outcome.step, 12);
    assert!(weights(folder.path()) == weights(whole.path()), "the finished models differ");
}

#[test]
fn recomputing_and_the_number_of_rows_at_once_do_not_change_what_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let two = trainer(&config, None).step().unwrap();
    config.train.gradient_checkpointing = true;
    let again = trainer(&config, None).step().unwrap();
    assert_eq!((again.loss, again.gradient_norm), (two.loss, two.gradient_norm));
    config.train.rows_at_once = 4;
    let four = trainer(&config, None).step().unwrap();
    assert!((four.loss - two.loss).abs() < 1e-6 && (four.gradient_norm / two.gradient_norm - 1.0).abs() < 1e-4);
}

#[test]
fn the_mask_closes_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let loss = |config: &TrainConfig| trainer(config, None).step().unwrap().loss;
    let anchor = loss(&config);
    config.train.mask = MaskMode::Full;
    let full = loss(&config);
    config.train.mask = MaskMode::Anneal;
    config.train.anneal_steps = 5;
    assert!((loss(&config) - full).abs() < 1e-6, "it starts open");
    config.train.anneal_steps = 0;
    assert_eq!(loss(&config), anchor, "and ends as the anchor mask");
    assert_ne!(anchor, full);
}

#[test]
fn a_teacher_that_sees_everything_teaches_nothing_where_nothing_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.train.distill = 0.5;
    let under_mask = trainer(&config, None).step().unwrap();
    assert!(under_mask.divergence.unwrap() > 0.0);
    let mixed = 0.5 * under_mask.cross_entropy + 0.5 * under_mask.divergence.unwrap();
    assert!((under_mask.loss - mixed).abs() < 1e-12);
    config.train.mask = MaskMode::Full;
    let open = trainer(&config, None).step().unwrap();
    assert!(open.divergence.unwrap().abs() < 1e-6, "{:?}", open.divergence);
}

#[test]
fn the_added_token_is_inserted_and_learned() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let base = trainer(&config, None).run(&mut Trace::default(), &AtomicBool::new(false)).unwrap().checkpoint;
    let grown = Checkpoint::open(&base).unwrap().config().vocab_size + 1;
    config.model.from = Some(base);
    (config.model.scratch, config.model.tokenizer) = (None, None);
    config.model.add_ac = Some("copy:.".to_owned());
    config.model.anchors = None;
    config.save.output = folder.path().join("ac");
    let mut trace = Trace::default();
    let outcome = trainer(&config, None).run(&mut trace, &AtomicBool::new(false)).unwrap();
    let model = Checkpoint::open(&outcome.checkpoint).unwrap();
    assert_eq!(model.config().anchors, Some(AnchorRule::Added));
    assert_eq!(model.config().vocab_size, grown);
    assert!(trace.reports[0].anchors_per_thousand > 50.0);
    assert!(trace.reports[11].loss_on_anchors < trace.reports[0].loss_on_anchors);
}

#[test]
fn what_cannot_be_trained_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let good = config(folder.path());
    let refused = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = good.clone();
        change(&mut config);
        let error = Trainer::<A>::new(config, &Default::default(), None).unwrap_err().to_string();
        assert!(error.contains("hint: "), "{error}");
        error
    };
    assert!(refused(&|c| c.model.anchors = Some(AnchorRule::None)).contains("no anchor in"));
    assert!(refused(&|c| c.model.anchors = None).contains("anchor rule"));
    assert!(refused(&|c| c.data.context = 4000).contains("positions for 128"));
    assert!(refused(&|c| c.train.steps = 0).contains("train.steps"));
    assert!(refused(&|c| c.model.from = Some("nowhere".into())).contains("one start"));
    assert!(refused(&|c| c.train.distill = 2.0).contains("distill"));

    // A run that had another seed, or another text, is not gone on with.
    trainer(&good, None).run(&mut Trace::default(), &AtomicBool::new(false)).unwrap();
    let saved = Saved::latest(&good.save.output).unwrap().unwrap();
    let mut other = good.clone();
    other.seed = 4;
    let error = Trainer::<A>::new(other, &Default::default(), Some(&saved)).unwrap_err().to_string();
    assert!(error.contains("another seed: saved 3, now 4"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_before_the_weights_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.optimizer.learning_rate = 1e30;
    config.schedule.warmup_steps = 0;
    let mut trainer = trainer(&config, None);
    let error = (0..12).find_map(|_| trainer.step().err()).unwrap().to_string();
    assert!(error.contains("rows of the step: 0:") && error.contains("learning_rate"), "{error}");
    let taken = trainer.steps_taken();
    assert!(trainer.step().is_err() && trainer.steps_taken() == taken);
}
