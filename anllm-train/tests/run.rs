//! Whole runs on a small text: what a user would miss if it broke.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anllm_core::AnchorRule;
use anllm_model::Checkpoint;
use anllm_train::config::{LoraSection, MaskMode, TrainConfig};
use anllm_train::{Observer, Saved, Trainer};
use common::{A, Trace, config, trainer};

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
fn a_length_in_tokens_or_rounds_becomes_steps_when_the_data_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let good = config(folder.path());
    let with = |tokens: Option<usize>, epochs: Option<f64>| {
        let mut config = good.clone();
        (config.train.steps, config.train.tokens, config.train.epochs) = (Some(0), tokens, epochs);
        config
    };
    // 36 rows are not held out; 4 make a step.
    assert_eq!(trainer(&with(None, Some(2.0)), None).steps(), 18);
    assert_eq!(trainer(&with(None, Some(0.01)), None).steps(), 1);

    let mut trace = Trace::default();
    let config = with(Some(300), None);
    let mut run = trainer(&config, None);
    assert_eq!(run.config().train.steps, Some(run.steps()));
    assert_eq!((run.config().train.tokens, run.config().train.epochs), (None, None));
    let outcome = run.run(&mut trace, &AtomicBool::new(false)).unwrap();
    let tokens: Vec<usize> = trace.reports.iter().map(|report| report.tokens).collect();
    assert!(
        outcome.tokens >= 300 && tokens[tokens.len() - 2] < 300,
        "the step that reaches them is the last: {tokens:?}"
    );

    // Taken up again, the length is the same, and so is every loss.
    let mut parts = config.clone();
    parts.save.output = folder.path().join("parts");
    let mut first = trainer(&parts, None);
    let mut again = Trace::default();
    again.step(&first.step().unwrap());
    first.save().unwrap();
    let saved = Saved::latest(&parts.save.output).unwrap().unwrap();
    trainer(&parts, Some(&saved)).run(&mut again, &AtomicBool::new(false)).unwrap();
    assert_eq!(again.losses, trace.losses);
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
fn another_checkpoint_teaches_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let base = trainer(&config, None).run(&mut Trace::default(), &AtomicBool::new(false)).unwrap().checkpoint;
    config.model.from = Some(base.clone());
    (config.model.scratch, config.model.tokenizer) = (None, None);
    config.save.output = folder.path().join("student");
    config.train.mask = MaskMode::Full;
    config.train.distill = 0.5;
    config.train.teacher = Some(base.clone());
    let mut student = trainer(&config, None);
    let divergences: Vec<f64> = (0..4).map(|_| student.step().unwrap().divergence.unwrap()).collect();
    assert!(divergences[0].abs() < 1e-6, "at first both are the same: {divergences:?}");
    assert!(divergences[3] > 1e-5, "then the student moves on: {divergences:?}");

    let refused = |config: &TrainConfig| Trainer::<A>::new(config.clone(), &Default::default(), None).unwrap_err();
    config.train.distill = 0.0;
    assert!(refused(&config).to_string().contains("train.distill is 0"));
    config.train.distill = 0.5;
    config.model.add_ac = Some("mean".to_owned());
    config.model.anchors = None;
    let error = refused(&config).to_string();
    assert!(error.contains("the model that learns has") && error.contains("hint: "), "{error}");
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
fn adapters_learn_alone_and_merge_into_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let base = trainer(&config, None).run(&mut Trace::default(), &AtomicBool::new(false)).unwrap().checkpoint;
    config.model.from = Some(base.clone());
    (config.model.scratch, config.model.tokenizer) = (None, None);
    config.lora = Some(LoraSection { rank: 4, ..LoraSection::default() });
    config.train.distill = 0.3;
    let run = |name: &str, stop_at: Option<usize>| {
        let mut config = config.clone();
        config.save.output = folder.path().join(name);
        let mut trace = Trace::default();
        let mut first = trainer(&config, None);
        for _ in 0..stop_at.unwrap_or(0) {
            trace.step(&first.step().unwrap());
        }
        let outcome = match stop_at {
            None => first.run(&mut trace, &AtomicBool::new(false)).unwrap(),
            Some(_) => {
                first.save().unwrap();
                let saved = Saved::latest(&config.save.output).unwrap().unwrap();
                trainer(&config, Some(&saved)).run(&mut trace, &AtomicBool::new(false)).unwrap()
            }
        };
        (trace.losses, outcome.checkpoint)
    };
    let (losses, merged) = run("whole", None);
    assert_eq!(run("resumed", Some(5)).0, losses);

    // The merged model is the base and its adapters: their difference is B·A, scaled.
    let read = |path: &Path, name: &str| Checkpoint::open(path).unwrap().source().read_f32(name).unwrap();
    let name = "model.layers.1.mlp.up_proj";
    let (before, after) = (read(&base, &format!("{name}.weight")), read(&merged, &format!("{name}.weight")));
    let bytes = fs::read(merged.join("adapter/adapter_model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let part = |part: &str| -> Vec<f32> {
        let tensor = file.tensor(&format!("base_model.model.{name}.{part}.weight")).unwrap();
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let (a, b) = (part("lora_A"), part("lora_B"));
    let (rank, input) = (4, 32);
    let mut moved = 0.0f32;
    for (i, (before, after)) in before.iter().zip(&after).enumerate() {
        let (row, column) = (i / input, i % input);
        let delta: f32 = (0..rank).map(|r| b[row * rank + r] * a[r * input + column]).sum::<f32>() * 32.0 / 4.0;
        assert!((after - before - delta).abs() < 1e-5);
        moved = moved.max(delta.abs());
    }
    assert!(moved > 1e-3, "the adapters moved");
    assert_eq!(read(&base, "model.norm.weight"), read(&merged, "model.norm.weight"), "the rest is frozen");
}

#[test]
fn the_row_of_an_added_token_learns_beside_adapters_and_is_taken_up_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let base = trainer(&config, None).run(&mut Trace::default(), &AtomicBool::new(false)).unwrap().checkpoint;
    config.model.from = Some(base);
    (config.model.scratch, config.model.tokenizer, config.model.anchors) = (None, None, None);
    config.model.add_ac = Some("mean".to_owned());
    config.lora = Some(LoraSection { rank: 2, ..LoraSection::default() });
    config.optimizer.weight_decay = 0.1;
    let mut expected = Trace::default();
    config.save.output = folder.path().join("whole");
    trainer(&config, None).run(&mut expected, &AtomicBool::new(false)).unwrap();

    config.save.output = folder.path().join("parts");
    let mut trace = Trace::default();
    let mut first = trainer(&config, None);
    for _ in 0..5 {
        trace.step(&first.step().unwrap());
    }
    first.save().unwrap();
    let saved = Saved::latest(&config.save.output).unwrap().unwrap();
    trainer(&config, Some(&saved)).run(&mut trace, &AtomicBool::new(false)).unwrap();
    assert_eq!(trace.losses, expected.losses);

    config.save.output = folder.path().join("frozen");
    config.lora = config.lora.map(|lora| LoraSection { train_ac: false, ..lora });
    let mut frozen = Trace::default();
    trainer(&config, None).run(&mut frozen, &AtomicBool::new(false)).unwrap();
    let last = |trace: &Trace| trace.reports[11].loss_on_anchors.unwrap();
    assert!(last(&expected) < last(&frozen), "{} with its row, {} without", last(&expected), last(&frozen));
}

#[test]
fn a_begin_token_that_the_text_writes_itself_comes_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let path = folder.path().join("chat.jsonl");
    fs::write(&path, "{\"prompt\": \"<s>Who sat?\", \"completion\": \" The cat sat.\"}\n").unwrap();
    config.data.sources[0].path = path.display().to_string();
    config.data.validation_fraction = 0.0;
    let row = trainer(&config, None).data().row(0, 0);
    assert_eq!(row.ids.iter().filter(|id| **id == 0).count(), 1, "{:?}", row.ids);
    assert_eq!(row.ids.last(), Some(&1), "the end token ends it");
    let first = row.targets.iter().position(|target| *target).unwrap();
    assert!(first >= 2 && row.targets[first..].iter().all(|target| *target), "the prompt is read, not learned");
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
    assert!(refused(&|c| c.train.steps = None).contains("how long to train"));
    assert!(refused(&|c| c.train.tokens = Some(9)).contains("train.steps = 12, train.tokens = 9"));
    assert!(refused(&|c| c.log.sample_every = 2).contains("sample_prompts"));
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
