//! TensorBoard event files.
//!
//! A file is a sequence of records: length (8 bytes, little endian), masked CRC-32C of the length, the bytes, masked
//! CRC-32C of the bytes. Each record is one protobuf `Event` of TensorFlow (`tensorflow/core/util/event.proto`). Three
//! of its messages are enough for curves and texts, so that they are encoded here by hand:
//!
//! ```text
//! Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
//! Summary { repeated Value value = 1; }
//! Value   { string tag = 1; float simple_value = 2; TensorProto tensor = 8; SummaryMetadata metadata = 9; }
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::LogError;

/// Writes one event file. TensorBoard merges all files of a folder, so that a run that goes on adds another.
///
/// Records are buffered: [`flush`](Self::flush) makes them visible to TensorBoard. Dropping the writer flushes too, but
/// then an error is lost.
#[derive(Debug)]
pub struct EventWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventWriter {
    /// Adds an event file to `folder`, which is created where there is none. Its name is
    /// `events.out.tfevents.<seconds>.<host>.<process>.<count>`.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be created or written.
    pub fn create(folder: &Path) -> Result<Self, LogError> {
        /// Two writers of one process in one second need two names.
        static COUNT: AtomicU32 = AtomicU32::new(0);

        fs::create_dir_all(folder).map_err(LogError::io(folder, "created"))?;
        let now = SystemTime::now();
        let host: String = gethostname::gethostname()
            .to_string_lossy()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("events.out.tfevents.{:010}.{host}.{}.{count}", seconds(now) as u64, std::process::id());
        let path = folder.join(name);
        let file =
            OpenOptions::new().write(true).create_new(true).open(&path).map_err(LogError::io(&path, "created"))?;
        let mut writer = Self { file: BufWriter::new(file), path };
        writer.event(now, 0, |event| event.bytes(3, b"brain.Event:2"))?;
        writer.flush()?;
        Ok(writer)
    }

    /// Adds an event file for a run that goes on before step `step`. TensorBoard then forgets what earlier files hold
    /// from that step on, written by a run that was killed after its last checkpoint.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn resume(folder: &Path, step: u64) -> Result<Self, LogError> {
        const START: u64 = 1;
        let mut writer = Self::create(folder)?;
        writer.event(SystemTime::now(), step, |event| event.message(7, |session| session.varint(1, START)))?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a point to the curve `tag`. A `/` in the tag groups curves: `train/loss`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f32, wall_time: SystemTime) -> Result<(), LogError> {
        self.event(wall_time, step, |event| {
            event.message(5, |summary| {
                summary.message(1, |v| {
                    v.bytes(1, tag.as_bytes());
                    v.float(2, value);
                });
            });
        })
    }

    /// Adds a text, which TensorBoard shows as Markdown.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn text(&mut self, step: u64, tag: &str, text: &str, wall_time: SystemTime) -> Result<(), LogError> {
        const DT_STRING: u64 = 7;
        self.event(wall_time, step, |event| {
            event.message(5, |summary| {
                summary.message(1, |v| {
                    v.bytes(1, tag.as_bytes());
                    v.message(8, |tensor| {
                        tensor.varint(1, DT_STRING);
                        tensor.message(2, |shape| shape.message(2, |dim| dim.varint(1, 1)));
                        tensor.bytes(8, text.as_bytes());
                    });
                    v.message(9, |metadata| metadata.message(1, |plugin| plugin.bytes(1, b"text")));
                });
            });
        })
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.file.flush().map_err(LogError::io(&self.path, "written"))
    }

    fn event(&mut self, time: SystemTime, step: u64, fill: impl FnOnce(&mut Message)) -> Result<(), LogError> {
        let mut event = Message::default();
        event.double(1, seconds(time));
        if step > 0 {
            event.varint(2, step);
        }
        fill(&mut event);
        self.file.write_all(&frame(&event.0)).map_err(LogError::io(&self.path, "written"))
    }
}

/// Seconds since 1970; times before count as that moment.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// One record of the file.
fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc(data).to_le_bytes());
    record
}

/// TFRecord's checksum: CRC-32C, rotated and shifted, because a CRC of data that holds CRCs is weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protobuf message as it grows.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire: u64) {
        self.number(field << 3 | wire);
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The records of a file, their checksums checked.
    fn records(path: &Path) -> Vec<Vec<u8>> {
        let all = fs::read(path).unwrap();
        let mut rest = &all[..];
        let mut out = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let data = &rest[12..12 + length];
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            assert_eq!(rest[12 + length..16 + length], masked_crc(data).to_le_bytes());
            out.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        out
    }

    #[test]
    fn a_scalar_has_the_bytes_of_its_message() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&folder.path().join("new/folder")).unwrap();
        writer.scalar(300, "a/b", 0.5, UNIX_EPOCH + Duration::from_millis(1500)).unwrap();
        writer.flush().unwrap();

        let records = records(writer.path());
        assert_eq!(records.len(), 2);
        assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        let expected = [
            &[0x09][..], // wall_time: 1.5
            &1.5_f64.to_le_bytes(),
            &[0x10, 0xac, 0x02],                               // step: 300
            &[0x2a, 12, 0x0a, 10],                             // summary, value
            &[0x0a, 3, b'a', b'/', b'b', 0x15, 0, 0, 0, 0x3f], // tag, simple_value: 0.5
        ]
        .concat();
        assert_eq!(records[1], expected);
    }

    #[test]
    fn checksums_are_those_of_tfrecord() {
        // The value is TensorBoard's own, for a length of 24 bytes.
        assert_eq!(masked_crc(&24_u64.to_le_bytes()), 0x224b_7fa3);
    }

    #[test]
    fn resuming_adds_a_file_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let first = EventWriter::create(folder.path()).unwrap();
        let second = EventWriter::resume(folder.path(), 7).unwrap();
        assert_ne!(first.path(), second.path());
        let records = records(second.path());
        assert!(records[1].ends_with(&[0x10, 7, 0x3a, 2, 0x08, 1]), "{:?}", records[1]);
    }

    #[test]
    fn a_text_names_its_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        writer.text(1, "sample", "It rained.", SystemTime::now()).unwrap();
        writer.flush().unwrap();
        let record = &records(writer.path())[1];
        assert!(record.windows(12).any(|w| w == b"\x42\x0aIt rained."));
        assert!(record.ends_with(b"\x4a\x08\x0a\x06\x0a\x04text"));
    }
}
