//! A log of one JSON object per line.
//!
//! Each line is flushed as it is written, so that a killed run loses at most the line it was writing. Whoever opens the
//! file next removes that torn line.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::LogError;

/// Appends records to a file, one JSON object per line.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
}

/// The one field that resuming looks at.
#[derive(Deserialize)]
struct Stamp {
    step: Option<u64>,
}

impl JsonLines {
    /// Opens `path` to write at its end; creates it where there is none. A torn last line, of a writer that was killed,
    /// is cut off.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, read or cut.
    pub fn append(path: &Path) -> Result<Self, LogError> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(LogError::io(path, "opened for writing"))?;
        mend(&mut file).map_err(LogError::io(path, "mended at its end"))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Opens `path` for a run that goes on before step `step`: lines whose `step` is `step` or later come from a run
    /// that was killed after its last checkpoint; they will be written again, so they are cut. Lines without `step`
    /// stay. The file is replaced as a whole: whoever reads it sees the old or the new one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or replaced, or a line before the last is not a JSON object.
    pub fn resume(path: &Path, step: u64) -> Result<Self, LogError> {
        match File::open(path) {
            Ok(file) => cut(path, file, step)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(LogError::io(path, "opened for reading")(e)),
        }
        Self::append(path)
    }

    /// Writes one record, and flushes it.
    ///
    /// # Errors
    ///
    /// If the record has no JSON form, or the file cannot be written.
    pub fn write(&mut self, record: &impl Serialize) -> Result<(), LogError> {
        let mut line =
            serde_json::to_vec(record).map_err(|source| LogError::Record { file: self.path.clone(), source })?;
        line.push(b'\n');
        // One call for the whole line, unbuffered: readers that follow the file see whole lines.
        self.file.write_all(&line).map_err(LogError::io(&self.path, "written"))
    }
}

/// Leaves the file empty or with a line end as its last byte.
fn mend(file: &mut File) -> std::io::Result<()> {
    const BLOCK: u64 = 4096;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; (end - start) as usize];
        file.read_exact(&mut block)?;
        if let Some(at) = block.iter().rposition(|&b| b == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(())
}

/// Writes the lines before `step` beside the file, then takes its place.
fn cut(path: &Path, file: File, step: u64) -> Result<(), LogError> {
    let permissions = file.metadata().map_err(LogError::io(path, "read"))?.permissions();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = NamedTempFile::new_in(folder).map_err(LogError::io(path, "rewritten"))?;
    let mut kept = BufWriter::new(aside);

    let mut input = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        input.read_until(b'\n', &mut line).map_err(LogError::io(path, "read"))?;
        if line.last() != Some(&b'\n') {
            break; // the end, or a torn line
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let stamp: Stamp = serde_json::from_slice(&line).map_err(|source| LogError::Line {
            file: path.to_path_buf(),
            line: number,
            source,
        })?;
        if stamp.step.is_none_or(|at| at < step) {
            kept.write_all(&line).map_err(LogError::io(path, "rewritten"))?;
        }
    }

    let aside = kept.into_inner().map_err(|e| LogError::io(path, "rewritten")(e.into_error()))?;
    aside.as_file().sync_all().map_err(LogError::io(path, "rewritten"))?;
    fs::set_permissions(aside.path(), permissions).map_err(LogError::io(path, "rewritten"))?;
    aside.persist(path).map_err(|e| LogError::io(path, "replaced")(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_record_is_a_line_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = JsonLines::append(&path).unwrap();
        log.write(&json!({"step": 1, "loss": 2.5})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1,\"loss\":2.5}\n");

        let mut again = JsonLines::append(&path).unwrap();
        again.write(&json!({"step": 2})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn resuming_cuts_what_will_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let text = "{\"run\":\"a\"}\n{\"step\":9}\n{\"step\":10}\n{\"step\":9,\"late\":true}\n{\"step\":11}\n{\"st";
        fs::write(&path, text).unwrap();
        JsonLines::resume(&path, 10).unwrap().write(&json!({"step": 10, "new": true})).unwrap();
        let expected = "{\"run\":\"a\"}\n{\"step\":9}\n{\"step\":9,\"late\":true}\n{\"step\":10,\"new\":true}\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the log");
    }

    #[test]
    fn appending_cuts_a_torn_line_even_a_long_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        for torn in ["{\"ste".to_owned(), "x".repeat(10_000)] {
            fs::write(&path, format!("{{\"step\":1}}\n{torn}")).unwrap();
            JsonLines::append(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n");
        }
        fs::write(&path, "{\"step").unwrap();
        JsonLines::append(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_foreign_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(&path, "{\"step\":1}\nhello\n{\"step\":2}\n").unwrap();
        let error = JsonLines::resume(&path, 1).unwrap_err().to_string();
        assert!(error.contains("log.jsonl:2: expected one JSON object"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn resuming_without_a_log_starts_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        JsonLines::resume(&path, 5).unwrap().write(&json!({"step": 5})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":5}\n");
    }
}
