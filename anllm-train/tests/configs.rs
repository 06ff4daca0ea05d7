//! The configurations that the project ships are configurations.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::path::Path;

use anllm_train::config::{MaskMode, TrainConfig, TrainSection, read, read_with};

fn shipped() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_one_is_read_and_named_after_its_run() {
    let names: Vec<_> = shipped().iter().map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let expected = [
        "continual-ac",
        "continual-ep",
        "sft-alpaca",
        "sft-translation",
        "smollm2-lora-ac",
        "tiny-ac",
        "tiny-ep",
        "tiny-full",
        "tiny-twin-ac",
        "tiny-twin",
    ];
    assert_eq!(names, expected);
    for (path, name) in shipped().iter().zip(expected) {
        let config: TrainConfig = read(&std::fs::read_to_string(path).unwrap(), path).unwrap();
        assert_eq!(config.save.output, Path::new("runs").join(name));
        assert_eq!(config.model.from.is_some(), config.model.scratch.is_none(), "{name}: one start");
        // What is saved beside a run is the same configuration.
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<TrainConfig>(written).unwrap(), config);
    }
}

#[test]
fn the_story_tellers_differ_in_anchors_masks_and_teachers_alone() {
    let read = |name: &str, overrides: &[&str]| -> TrainConfig {
        let path = shipped().into_iter().find(|p| p.file_stem().unwrap() == name).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        read_with(&std::fs::read_to_string(&path).unwrap(), &path, &overrides).unwrap()
    };
    let [base, twin, twin_ac, ep] = ["tiny-full", "tiny-twin", "tiny-twin-ac", "tiny-ep"].map(|name| read(name, &[]));
    let end = |config: &TrainConfig| Some(config.save.output.join("final"));
    let anchors =
        ["model.anchors=ac", "model.add_ac=mean", "train.teacher=runs/tiny-twin-ac/final", "save.output=runs/tiny-ac"];
    assert_eq!(read("tiny-ep", &anchors), read("tiny-ac", &[]));
    let mut student = twin.clone();
    student.train = TrainSection { mask: MaskMode::Anchor, distill: 0.7, teacher: end(&twin), ..student.train };
    student.save.output = ep.save.output.clone();
    assert_eq!(student, ep, "the twin's budget is its own");
    assert_eq!((&ep.model.from, &ep.data), (&end(&base), &base.data));
    assert_eq!((&twin_ac.model.from, &read("tiny-ac", &[]).train.teacher), (&end(&twin), &end(&twin_ac)));
}
