//! Files of results, whole or not there.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// Writes a file by another name beside it, and gives it its own once it is on the disk.
pub(crate) fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        fill(&mut file)?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        // Temporary files are for their owner alone; results are files like any other.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path)?;
        Ok(())
    };
    written().with_context(|| {
        format!(
            "{}: cannot write the results\n  hint: name a place that can be written, on a disk with room",
            path.display()
        )
    })
}

/// Writes a line of JSON for each value.
pub(crate) fn lines(path: &Path, values: impl Iterator<Item = Value>) -> anyhow::Result<()> {
    write(path, |file| {
        for value in values {
            serde_json::to_writer(&mut *file, &value)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Makes a folder, with those above it.
pub(crate) fn folder(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::create_dir_all(path);
    made.with_context(|| format!("{}: cannot make this folder for results", path.display()))
}
