//! Plain text files.

use std::path::Path;
use std::sync::Arc;

use super::config::Split;
use super::document::{Document, Origin, Piece, Place};
use super::error::DataError;
use super::reader::Reader;

type Item = Result<Document, DataError>;

/// The documents of a text file; also those without text, which the caller leaves out.
pub(super) fn documents(file: &Arc<Path>, split: Split) -> Result<Box<dyn Iterator<Item = Item> + Send>, DataError> {
    let mut reader = Reader::open(file)?;
    let file = Arc::clone(file);
    let document = move |text: String, place| Document {
        pieces: vec![Piece::target(text)],
        origin: Origin { file: Arc::clone(&file), place },
    };
    Ok(match split {
        Split::File => {
            let mut reader = Some(reader);
            Box::new(std::iter::from_fn(move || Some(reader.take()?.rest().map(|t| document(t, Place::Whole)))))
        }
        Split::Lines => Box::new(std::iter::from_fn(move || {
            let line = reader.line;
            let text = reader.line().map(|text| text.map(str::to_owned)).transpose()?;
            Some(text.map(|text| document(text, Place::Line(line))))
        })),
        Split::Paragraphs => Box::new(std::iter::from_fn(move || {
            let paragraph = paragraph(&mut reader).transpose()?;
            Some(paragraph.map(|(line, text)| document(text, Place::Line(line))))
        })),
    })
}

/// The lines up to the next blank one, and the number of the first.
fn paragraph(reader: &mut Reader) -> Result<Option<(u64, String)>, DataError> {
    let mut first = 0;
    let mut text = String::new();
    loop {
        let number = reader.line;
        match reader.line()? {
            Some(line) if !line.trim().is_empty() => {
                if text.is_empty() {
                    first = number;
                } else {
                    text.push('\n');
                }
                text.push_str(line);
            }
            Some(_) if text.is_empty() => {}
            None if text.is_empty() => return Ok(None),
            _ => return Ok(Some((first, text))),
        }
    }
}
