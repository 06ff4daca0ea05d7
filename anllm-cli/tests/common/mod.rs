//! What the tests of the real program share: running it, its fixtures, and broken copies of them.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anllm_model::{Checkpoint, Framing};
use assert_cmd::Command;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::Value;
use tempfile::TempDir;

/// The text whose tokens every golden file starts from.
pub(crate) const PROMPT: &str =
    "The tide went out. The boats lay on the sand.. The gulls came down. A boy ran to the boats, and the tide";

/// The checkpoint for tests that need any.
pub(crate) const ANY: &str = "tiny/llama-gqa-tied";

/// A checkpoint of `testdata`, by its path there.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// The program, free of the caller's own settings. A hanging command is an error, not a wait.
pub(crate) fn anllm<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::from_std(plain());
    command.args(args).timeout(Duration::from_secs(300));
    command
}

/// The program as a command of the standard library, for tests that hold its pipes.
pub(crate) fn plain() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_anllm"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ANLLM_") {
            command.env_remove(name);
        }
    }
    command.current_dir(working_folder());
    // Without a session's folder, graphics drivers complain on standard error, where tests count messages.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command.env("NO_COLOR", "1").env("COLUMNS", "100").env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
    command
}

/// Where commands run. GPU backends look here for their settings, which let processes share the shaders that one of
/// them has compiled: that takes a software GPU most of its time.
fn working_folder() -> PathBuf {
    const SETTINGS: &str = "\
        [compilation]\ncache = \"local\"\n\
        [autotune]\ncache = \"local\"\nlevel = \"minimal\"\n";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("working-folder");
    let file = folder.join("cubecl.toml");
    if fs::read_to_string(&file).ok().as_deref() != Some(SETTINGS) {
        fs::create_dir_all(&folder).unwrap();
        // Tests run at the same time: none may read half of it.
        let whole = tempfile::NamedTempFile::new_in(&folder).unwrap();
        fs::write(whole.path(), SETTINGS).unwrap();
        whole.persist(file).unwrap();
    }
    folder
}

/// A command on the model at `path`.
pub(crate) fn on_model(command: &str, path: &Path) -> Command {
    let mut command = anllm(command.split(' '));
    command.arg("--model").arg(path);
    command
}

/// Runs a command that must succeed and returns its standard output.
#[track_caller]
pub(crate) fn text(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// Runs a command with `--json` and returns the one object that it must print, on one line.
#[track_caller]
pub(crate) fn object(command: &mut Command) -> Value {
    let out = text(command.arg("--json"));
    assert_eq!((out.matches('\n').count(), out.ends_with('\n')), (1, true), "one line: {out:?}");
    let value: Value = serde_json::from_str(&out).unwrap();
    assert!(value.is_object(), "{out:?}");
    value
}

/// The keys of an object.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// An object has all of these keys.
#[track_caller]
pub(crate) fn has_keys(value: &Value, expected: &[&str]) {
    for key in expected {
        assert!(value.get(key).is_some(), "no {key:?} among {:?}", keys(value));
    }
}

/// An array of numbers.
#[track_caller]
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

/// An array of token ids.
#[track_caller]
pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect()
}

/// Token ids as `--ids` takes them.
pub(crate) fn list(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// A text's tokens by the checkpoint's own tokenizer.
pub(crate) fn encode(model: &Path, text: &str) -> Vec<u32> {
    Checkpoint::open(model).unwrap().tokenizer().unwrap().encode(text, Framing::Framed).unwrap()
}

/// The scores `[T, V]` of `ids`, row-major.
#[track_caller]
pub(crate) fn logits(model: &Path, ids: &[u32], options: &[&str]) -> Vec<f64> {
    let found = object(on_model("logits", model).args(["--ids", &list(ids)]).args(options));
    let vocab = Checkpoint::open(model).unwrap().config().vocab_size;
    assert_eq!(found["shape"], serde_json::json!([ids.len(), vocab]));
    let scores = numbers(&found["logits"]);
    assert_eq!(scores.len(), ids.len() * vocab);
    scores
}

/// The largest distance of two lists of the same length; a NaN is infinitely far.
#[track_caller]
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let gap = |(a, b): (&f64, &f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
    a.iter().zip(b).map(gap).fold(0.0, f64::max)
}

/// The golden tensors of a checkpoint.
pub(crate) struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// Reads the file beside the checkpoint.
    pub(crate) fn read(folder: &Path) -> Self {
        Self { bytes: fs::read(folder.join("golden.safetensors")).unwrap() }
    }

    /// A tensor of floats.
    pub(crate) fn floats(&self, name: &str) -> Vec<f64> {
        self.values(name, Dtype::F32, |b| f64::from(f32::from_le_bytes(b)))
    }

    /// A tensor of token ids.
    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        self.values(name, Dtype::I64, |b| u32::try_from(i64::from_le_bytes(b)).unwrap())
    }

    fn values<T, const N: usize>(&self, name: &str, dtype: Dtype, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), dtype, "{name}");
        tensor.data().as_chunks::<N>().0.iter().map(|b| read(*b)).collect()
    }
}

/// A copy of a fixture that a test may damage.
pub(crate) struct Copy {
    folder: TempDir,
    file: Option<String>,
}

impl Copy {
    /// Copies a folder or a file.
    pub(crate) fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = fixture(name);
        if from.is_file() {
            let file = from.file_name().unwrap().to_str().unwrap().to_owned();
            fs::copy(&from, folder.path().join(&file)).unwrap();
            return Self { folder, file: Some(file) };
        }
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self { folder, file: None }
    }

    /// What `--model` takes.
    pub(crate) fn path(&self) -> PathBuf {
        self.file.as_ref().map_or_else(|| self.folder.path().to_owned(), |file| self.folder.path().join(file))
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a file's bytes by what `change` makes of them.
    pub(crate) fn bytes(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.file(name)).unwrap();
        change(&mut bytes);
        fs::write(self.file(name), bytes).unwrap();
    }

    /// Changes a JSON file.
    pub(crate) fn json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut json = serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap();
        change(&mut json);
        fs::write(self.file(name), json.to_string()).unwrap();
    }

    /// Rewrites `model.safetensors` with `change` applied to the name, type, shape and bytes of each tensor.
    pub(crate) fn tensors(&self, change: impl Fn(&mut String, &mut Dtype, &mut Vec<usize>, &mut Vec<u8>)) {
        let path = self.file("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let mut all = Vec::new();
        for (mut name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let (mut dtype, mut shape, mut data) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            change(&mut name, &mut dtype, &mut shape, &mut data);
            all.push((name, dtype, shape, data));
        }
        let views = all
            .iter()
            .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
        serialize_to_file(views, None, &path).unwrap();
    }
}
