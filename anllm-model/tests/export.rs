//! Writing a checkpoint and reading it back: shards, sizes, and what is left when writing fails.

#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::fs;
use std::path::{Path, PathBuf};

use anllm_model::Checkpoint;
use anllm_model::checkpoint::{AddedEmbedding, Export, StoredType, expected_tensors};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny").join(name)
}

fn export(shard_bytes: usize) -> Export {
    Export { dtype: StoredType::F32, anchors: None, shard_bytes }
}

#[test]
fn shards_hold_the_same_tensors_within_their_limit() {
    const LIMIT: usize = 20_000;
    let from = Checkpoint::open(&fixture("llama-gqa-tied")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("sharded");
    let report = export(LIMIT).write(&from, &to).unwrap();
    let weights: Vec<_> = report.files.iter().filter(|f| f.ends_with(".safetensors")).collect();
    assert!(weights.len() > 4, "{weights:?}");
    assert_eq!(weights[1], &format!("model-00002-of-{:05}.safetensors", weights.len()));
    assert!(!to.join("model.safetensors").exists());

    let index: Value = serde_json::from_slice(&fs::read(to.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 4 * from.config().parameters());
    let back = Checkpoint::open(&to).unwrap();
    let mut sizes = std::collections::BTreeMap::<&str, (usize, usize)>::new();
    for tensor in expected_tensors(from.config()) {
        let values = back.source().read_f32(&tensor.name).unwrap();
        assert_eq!(values, from.source().read_f32(&tensor.name).unwrap(), "{}", tensor.name);
        let (count, bytes) = sizes.entry(index["weight_map"][&tensor.name].as_str().unwrap()).or_default();
        (*count, *bytes) = (*count + 1, *bytes + 4 * values.len());
    }
    assert_eq!(sizes.len(), weights.len());
    // A tensor above the limit stands alone.
    assert!(sizes.values().all(|(count, bytes)| *bytes <= LIMIT || *count == 1), "{sizes:?}");
    assert!(sizes.values().any(|(count, _)| *count > 1), "{sizes:?}");
}

#[test]
fn an_added_row_is_the_same_in_shards() {
    let open = || Checkpoint::open(&fixture("llama-mha-untied")).unwrap();
    let from = open().with_added_token(&AddedEmbedding::Mean).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, shard_bytes: usize| {
        let to = folder.path().join(name);
        export(shard_bytes).write(&from, &to).unwrap();
        Checkpoint::open(&to).unwrap()
    };
    let (one, many) = (write("one", usize::MAX), write("many", 1));
    assert_eq!((one.config(), one.settings().tokenizer.as_ref()), (many.config(), many.settings().tokenizer.as_ref()));
    assert_eq!(one.config().vocab_size, 293);
    for tensor in expected_tensors(one.config()) {
        let values = one.source().read_f32(&tensor.name).unwrap();
        assert_eq!(values, many.source().read_f32(&tensor.name).unwrap(), "{}", tensor.name);
    }
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let from = Checkpoint::open(&fixture("llama-gqa-tied")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "kept").unwrap();
    let refused = export(1).write(&from, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("not empty") && refused.contains("hint: "), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // An empty one is used.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    export(usize::MAX).write(&from, &empty).unwrap();
    Checkpoint::open(&empty).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left behind");
}

#[cfg(unix)]
#[test]
fn a_finished_folder_is_readable_as_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let from = Checkpoint::open(&fixture("llama-gqa-tied")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    export(usize::MAX).write(&from, &to).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o755);
}
