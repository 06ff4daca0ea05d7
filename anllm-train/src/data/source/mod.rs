//! Reading documents, whatever they are stored in.
//!
//! [`Sources::open`] finds the files and checks what can be checked before a run starts; [`Source::documents`] then reads
//! them one record at a time. The order is that of the files' paths and of the records in them, so that two runs read
//! the same. Mixing sources by their weights is left to the caller.

mod chat;
mod config;
mod document;
mod error;
mod files;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anllm_model::ChatTemplate;
pub use chat::ChatError;
pub use config::{Format, Shape, SourceConfig, Split};
pub use document::{Document, Origin, Piece, Place};
pub use error::DataError;
use files::{Input, STDIN};

/// What reading needs beside the files.
#[derive(Clone, Debug, Default)]
pub struct SourceContext {
    /// How chats are written; without it, a record of messages is an error.
    pub chat: Option<ChatTemplate>,
}

/// Several sources of documents; never none.
#[derive(Debug)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Finds the files of each source.
    ///
    /// # Errors
    ///
    /// If there is no source, a weight is not above 0, a path has no usable file, or standard input is named twice.
    pub fn open(configs: &[SourceConfig], context: SourceContext) -> Result<Self, DataError> {
        if configs.is_empty() {
            return Err(DataError::NoSources);
        }
        if configs.iter().filter(|config| config.path == STDIN).count() > 1 {
            return Err(DataError::StdinAgain);
        }
        let context = Arc::new(context);
        let open = |config: &SourceConfig| {
            if !(config.weight.is_finite() && config.weight > 0.0) {
                return Err(DataError::Weight { path: config.path.clone(), weight: config.weight });
            }
            let files = files::find(config)?;
            Ok(Source {
                config: Arc::new(config.clone()),
                context: Arc::clone(&context),
                files,
                read: AtomicBool::new(false),
            })
        };
        configs.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The sources, in the order of their configurations.
    pub fn iter(&self) -> std::slice::Iter<'_, Source> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Sources {
    type Item = &'a Source;
    type IntoIter = std::slice::Iter<'a, Source>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One source, with its files found.
#[derive(Debug)]
pub struct Source {
    config: Arc<SourceConfig>,
    context: Arc<SourceContext>,
    files: Vec<Input>,
    /// Whether documents were asked for: standard input gives them once.
    read: AtomicBool,
}

impl Source {
    /// What it was opened from.
    #[must_use]
    pub fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// How often it is drawn from, in relation to the others.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.config.weight
    }

    /// The files, in the order in which they are read; `-` is standard input.
    pub fn files(&self) -> impl Iterator<Item = &std::path::Path> {
        self.files.iter().map(|input| &*input.file)
    }

    /// Reads the documents, from the first.
    #[must_use]
    pub fn documents(&self) -> Documents {
        let again = self.read.swap(true, Ordering::Relaxed) && self.config.path == STDIN;
        Documents {
            config: Arc::clone(&self.config),
            context: Arc::clone(&self.context),
            files: self.files.clone().into_iter(),
            current: again.then(|| Box::new(std::iter::once(Err(DataError::StdinAgain))) as Stream),
            skipped: 0,
        }
    }
}

type Stream = Box<dyn Iterator<Item = Result<Document, DataError>> + Send>;

/// The documents of a source. After an error there are none.
pub struct Documents {
    config: Arc<SourceConfig>,
    context: Arc<SourceContext>,
    files: std::vec::IntoIter<Input>,
    current: Option<Stream>,
    skipped: u64,
}

impl Documents {
    /// How many documents were left out so far, because they hold nothing to learn: no target but white space.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn open(&self, Input { file, format }: &Input) -> Result<Stream, DataError> {
        Ok(match format {
            Format::Text => text::documents(file, self.config.split)?,
            Format::Jsonl => self.convert(json::records(file)?),
            #[cfg(feature = "parquet")]
            Format::Parquet => self.convert(parquet::records(file, &record::wanted(&self.config))?),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => return Err(DataError::ParquetMissing { file: file.to_path_buf() }),
        })
    }

    fn convert(&self, records: impl Iterator<Item = Result<json::Record, DataError>> + Send + 'static) -> Stream {
        let (config, context) = (Arc::clone(&self.config), Arc::clone(&self.context));
        Box::new(records.map(move |record| {
            let (origin, fields) = record?;
            record::document(fields, origin, &config, &context)
        }))
    }

    fn fail(&mut self, error: DataError) -> Option<Result<Document, DataError>> {
        self.files = Vec::new().into_iter();
        self.current = None;
        Some(Err(error))
    }
}

impl Iterator for Documents {
    type Item = Result<Document, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(stream) = &mut self.current else {
                let input = self.files.next()?;
                match self.open(&input) {
                    Ok(stream) => self.current = Some(stream),
                    Err(error) => return self.fail(error),
                }
                continue;
            };
            match stream.next() {
                None => self.current = None,
                Some(Err(error)) => return self.fail(error),
                Some(Ok(mut document)) => {
                    document.pieces.retain(|piece| !piece.text.is_empty());
                    if document.pieces.iter().any(|piece| piece.target && !piece.text.trim().is_empty()) {
                        return Some(Ok(document));
                    }
                    self.skipped += 1;
                }
            }
        }
    }
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents")
            .field("config", &self.config)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}
