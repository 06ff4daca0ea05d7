//! Files that are whole or not there: written beside their target, seen to the disk, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;

/// What becomes of a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The new one takes its place.
    Replace,
    /// It stays, and writing is refused.
    Refuse,
}

/// Whether a file could be written here, for programs that have long work to do before they write it.
///
/// # Errors
/// When something has the name that is no file, or a file that must stay, or the folder is not there.
pub fn check_target(file: &Path, existing: Existing) -> Result<(), CheckpointError> {
    // These lead to what the shell redirected the program to, which must not be replaced while it is written.
    let stream = ["/dev", "/proc"].iter().any(|folder| file.starts_with(folder));
    let bad = |what: &str, hint: &str| Err(CheckpointError::malformed(file, what, hint));
    if stream || (file.exists() && !file.is_file()) || file.file_name().is_none() {
        return bad("cannot be written: it is not a file", "name another file");
    }
    if existing == Existing::Refuse && file.exists() {
        return bad("the file exists already", "name another file, or ask for it to be replaced");
    }
    let folder = folder_of(file);
    match folder.is_dir() {
        true => Ok(()),
        false => bad(&format!("there is no folder {}", folder.display()), "create the folder first"),
    }
}

/// Lets `fill` write a file beside `file`, and gives it the name once that is done and on the disk. A link stays one:
/// what it points to is replaced.
///
/// # Errors
/// Those of `fill` and of [`check_target`], and when the system refuses. What had the name keeps it then, and nothing
/// else is left.
pub fn write_file<T, E: From<CheckpointError>>(
    file: &Path,
    existing: Existing,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    check_target(file, existing)?;
    let io = |action| move |e| CheckpointError::io(file, action, e);
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let beside = beside(&target);
    let written = (|| {
        let handle = OpenOptions::new().write(true).create_new(true).open(&beside).map_err(io("create the file"))?;
        let mut out = BufWriter::with_capacity(1 << 20, handle);
        let value = fill(&mut out)?;
        let handle = out.into_inner().map_err(|e| io("write the file")(e.into_error()))?;
        handle.sync_all().map_err(io("write the file"))?;
        // It may have come into being meanwhile.
        check_target(file, existing)?;
        fs::rename(&beside, &target).map_err(io("give the file its name"))?;
        Ok(value)
    })();
    match &written {
        // The name should survive a power cut too; file systems without this say so, and lose nothing by it.
        Ok(_) => drop(File::open(folder_of(&target)).map(|folder| folder.sync_all())),
        // Nothing half-written stays; why writing failed is what the user must hear.
        Err(_) => drop(fs::remove_file(&beside)),
    }
    written
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name in the same folder that no other process takes.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(file: &Path, existing: Existing, text: &str) -> Result<(), CheckpointError> {
        write_file(file, existing, |out| {
            out.write_all(text.as_bytes()).map_err(|e| CheckpointError::io(file, "write", e))?;
            match text {
                "bad" => Err(CheckpointError::malformed(file, "full", "make room")),
                _ => Ok(()),
            }
        })
    }

    #[test]
    fn a_file_is_replaced_whole_or_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.cache");
        write(&file, Existing::Refuse, "one").unwrap();
        assert!(write(&file, Existing::Replace, "bad").is_err());
        let message = write(&file, Existing::Refuse, "two").unwrap_err().to_string();
        assert!(message.contains("a.cache") && message.contains("exists") && message.contains("hint: "), "{message}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        write(&file, Existing::Replace, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn refuses_a_folder_a_missing_folder_and_a_stream() {
        let folder = tempfile::tempdir().unwrap();
        let message = |file: &Path| write(file, Existing::Replace, "x").unwrap_err().to_string();
        assert!(message(folder.path()).contains("not a file"));
        assert!(message(&folder.path().join("none/a")).contains("no folder"));
        assert!(message(Path::new("/dev/stdout")).contains("not a file"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
