//! Files that are whole or not there: written beside their target, then renamed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Writes `content` to `file`, replacing what was there.
///
/// # Errors
/// When the folder does not take the file, or `file` is something other than a file. What was there stays.
pub(super) fn write(file: &Path, content: &str) -> anyhow::Result<()> {
    let target = target(file)?;
    let beside = beside(&target);
    let written = fill(&beside, content).and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        // Nothing half-written stays; why writing failed is what the user must hear.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| {
        format!("{}: cannot be written\n  hint: the folder must exist and let you create files", file.display())
    })
}

/// Says early what [`write()`] would say late: for files that stand at the end of long work.
///
/// # Errors
/// When the folder is not there, or `file` is something other than a file.
pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    let target = target(file)?;
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(
        folder.is_dir(),
        "{}: cannot be written: there is no folder {}\n  hint: create it first, or name another file",
        file.display(),
        folder.display()
    );
    Ok(())
}

/// The file to replace.
fn target(file: &Path) -> anyhow::Result<PathBuf> {
    // A link stays one: what it points to is replaced.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    // These lead to what the shell redirected the program to, which must not be replaced while it is written.
    let stream = ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|s| file.starts_with(s));
    anyhow::ensure!(
        !stream && (!target.exists() || target.is_file()),
        "{}: cannot be written: it exists and is not a file\n  hint: name another file",
        file.display()
    );
    Ok(target)
}

fn fill(file: &Path, content: &str) -> io::Result<()> {
    let mut handle = OpenOptions::new().write(true).create_new(true).open(file)?;
    handle.write_all(content.as_bytes())?;
    handle.sync_all()
}

/// A name in the same folder that no other process takes.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.svg");
        write(&file, "one").unwrap();
        write(&file, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_a_folder_a_missing_folder_and_a_stream() {
        let folder = tempfile::tempdir().unwrap();
        let message = write(folder.path(), "x").unwrap_err().to_string();
        assert!(message.contains("not a file") && message.contains("hint: "), "{message}");
        let message = write(&folder.path().join("none/a.svg"), "x").unwrap_err().to_string();
        assert!(message.contains("a.svg") && message.contains("hint: "), "{message}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(write(Path::new("/dev/stdout"), "x").unwrap_err().to_string().contains("not a file"));
    }
}
