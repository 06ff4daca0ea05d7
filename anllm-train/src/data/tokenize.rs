//! From documents to token files: anchors inserted where the rule wants them, text encoded on all cores, the result
//! kept under a hash of everything it depends on.

use std::path::{Path, PathBuf};

use anllm_core::AnchorInserter;
use anllm_model::{Framing, Tokenizer};
use rayon::prelude::*;
use serde::Serialize;

use super::source::{Document, Source};
use super::tokens::{TokenDocument, TokenFile, TokenWriter, VERSION};
use crate::error::TrainError;

/// How documents become tokens.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// What the tokenizer's file says, for the hash.
    pub tokenizer_json: &'a str,
    /// Puts `<AC>` behind sentences; none where the anchors are in the text already.
    pub inserter: Option<&'a AnchorInserter>,
    /// The token that begins a text. A chat template may write it, and the tokenizer add it: it is taken once.
    pub begin: Option<u32>,
    /// The token that ends a document.
    pub end: Option<u32>,
}

/// Documents that are encoded at a time.
const AT_ONCE: usize = 1024;

impl Reading<'_> {
    /// The tokens of `source`, from `folder` if they were made before.
    ///
    /// # Errors
    /// When a document cannot be read or encoded, or the file cannot be written.
    pub fn tokens(&self, source: &Source, folder: &Path) -> Result<TokenFile, TrainError> {
        let path = match self.key(source)? {
            Some(key) => folder.join(format!("{key}.tokens")),
            // Standard input is not there to be hashed before it is read.
            None => folder.join(format!("stdin-{}.tokens", std::process::id())),
        };
        if path.is_file() {
            match TokenFile::open(&path) {
                Ok(file) => return Ok(file),
                Err(error) => tracing::warn!("{error}; reading the text again"),
            }
        }
        let mut writer = TokenWriter::create(&path)?;
        let mut documents = source.documents();
        loop {
            let some: Vec<Document> = documents.by_ref().take(AT_ONCE).collect::<Result<_, _>>()?;
            if some.is_empty() {
                break;
            }
            let encoded = some.par_iter().map(|document| self.encode(document)).collect::<Result<Vec<_>, _>>()?;
            encoded.iter().try_for_each(|document| writer.push(document))?;
        }
        writer.finish()?;
        TokenFile::open(&path)
    }

    /// One document: framed at its start as the tokenizer frames a text, ended by the end token.
    pub(crate) fn encode(&self, document: &Document) -> Result<TokenDocument, TrainError> {
        let mut tokens = TokenDocument::default();
        for (number, piece) in document.pieces.iter().enumerate() {
            let framing = if number == 0 { Framing::Framed } else { Framing::Bare };
            let ids = match self.inserter {
                Some(inserter) => self.tokenizer.encode(&inserter.insert(&piece.text), framing)?,
                None => self.tokenizer.encode(&piece.text, framing)?,
            };
            tokens.targets.resize(tokens.targets.len() + ids.len(), piece.target);
            tokens.ids.extend(ids);
        }
        if self.begin.is_some_and(|begin| tokens.ids.starts_with(&[begin, begin])) {
            tokens.ids.remove(0);
            tokens.targets.remove(0);
        }
        if let Some(end) = self.end.filter(|end| tokens.ids.last() != Some(end)) {
            tokens.ids.push(end);
            tokens.targets.push(document.pieces.last().is_some_and(|piece| piece.target));
        }
        Ok(tokens)
    }

    /// What the tokens depend on: text, settings, tokenizer, insertion, end.
    fn key(&self, source: &Source) -> Result<Option<String>, TrainError> {
        #[derive(Serialize)]
        struct Settings<'a> {
            version: u64,
            source: &'a super::source::SourceConfig,
            inserter: Option<String>,
            begin: Option<u32>,
            end: Option<u32>,
        }
        let mut hasher = blake3::Hasher::new();
        let inserter = self.inserter.map(|i| format!("{i:?}"));
        let settings =
            Settings { version: VERSION, source: source.config(), inserter, begin: self.begin, end: self.end };
        hasher.update(serde_json::to_string(&settings).unwrap_or_default().as_bytes());
        hasher.update(self.tokenizer_json.as_bytes());
        let files: Vec<PathBuf> = source.files().map(Path::to_owned).collect();
        for file in files {
            if file == Path::new("-") {
                return Ok(None);
            }
            hasher.update(file.to_string_lossy().as_bytes());
            let open = std::fs::File::open(&file).map_err(|e| TrainError::io(&file, "read the text", e))?;
            hasher.update_reader(open).map_err(|e| TrainError::io(&file, "read the text", e))?;
        }
        Ok(Some(hasher.finalize().to_hex()[..32].to_owned()))
    }
}
