//! Dropout is taken up exactly too. Alone in its file: a backend has one random state for the whole process.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod common;

use std::sync::atomic::AtomicBool;

use anllm_train::config::LoraSection;
use anllm_train::{Observer, Saved};
use common::{Trace, config, trainer};

#[test]
fn a_run_with_dropout_is_taken_up_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.lora = Some(LoraSection { rank: 4, dropout: 0.2, ..LoraSection::default() });
    let mut expected = Trace::default();
    trainer(&config, None).run(&mut expected, &AtomicBool::new(false)).unwrap();

    config.save.output = folder.path().join("resumed");
    let mut trace = Trace::default();
    let mut first = trainer(&config, None);
    for _ in 0..5 {
        trace.step(&first.step().unwrap());
    }
    first.save().unwrap();
    let saved = Saved::latest(&config.save.output).unwrap().unwrap();
    trainer(&config, Some(&saved)).run(&mut trace, &AtomicBool::new(false)).unwrap();
    assert_eq!(trace.losses, expected.losses);

    // The blocks' intermediate results are the same when they are made again.
    config.train.gradient_checkpointing = true;
    let again = trainer(&config, None).step().unwrap();
    assert_eq!(again.gradient_norm, expected.reports[0].gradient_norm);
}
