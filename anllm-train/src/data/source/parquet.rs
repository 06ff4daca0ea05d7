//! Parquet files: each row is a record.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::document::{Origin, Place};
use super::error::DataError;
use super::json::Record;

/// The records of a file, with those of the `wanted` columns that it has. Others are not even read from the disk.
pub(super) fn records(
    file: &Arc<Path>,
    wanted: &[&str],
) -> Result<impl Iterator<Item = Result<Record, DataError>> + Send + use<>, DataError> {
    let failed = |e: ParquetError| DataError::Parquet { file: Arc::clone(file), message: e.to_string() };
    let handle = File::open(file).map_err(DataError::io(file, "opened"))?;
    let reader = SerializedFileReader::new(handle).map_err(failed)?;

    let schema = reader.metadata().file_metadata().schema();
    let columns: Vec<_> = schema.get_fields().iter().filter(|c| wanted.contains(&c.name())).map(Arc::clone).collect();
    if columns.is_empty() {
        let origin = Origin { file: Arc::clone(file), place: Place::Whole };
        let list = |names: Vec<&str>| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let found = list(schema.get_fields().iter().map(|c| c.name()).collect());
        return Err(DataError::Fields { origin, found, expected: format!("some of {}", list(wanted.to_vec())) });
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(columns).build().map_err(failed)?;
    let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection)).map_err(failed)?;

    let file = Arc::clone(file);
    Ok((1..).zip(rows).map(move |(number, row)| {
        let origin = Origin { file: Arc::clone(&file), place: Place::Row(number) };
        let row = row.map_err(|e| DataError::Parquet { file: Arc::clone(&file), message: e.to_string() })?;
        let fields = fields(&row, &origin)?;
        Ok((origin, fields))
    }))
}

fn fields(row: &Row, origin: &Origin) -> Result<Map<String, Value>, DataError> {
    let mut fields = Map::new();
    for (name, value) in row.get_column_iter() {
        // Bytes would become base64, which is no text to learn.
        if let Field::Bytes(_) = value {
            let (field, found) = (name.clone(), "bytes without the annotation that they are text");
            return Err(DataError::FieldType { origin: origin.clone(), field, found, expected: "a string" });
        }
        fields.insert(name.clone(), value.to_json_value());
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::{SourceConfig, SourceContext, Sources};
    use super::*;

    /// A file of text columns.
    fn write(path: &Path, schema: &str, columns: &[&[&str]]) {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let values: Vec<ByteArray> = column.iter().map(|v| ByteArray::from(*v)).collect();
            let mut out = group.next_column().unwrap().unwrap();
            out.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            out.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn rows_are_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let schema = "message m { required binary id (UTF8); required binary text (UTF8); }";
        write(&path, schema, &[&["1", "2"], &["It rained.", "We stayed."]]);
        let sources =
            Sources::open(&[SourceConfig::new(path.display().to_string())], SourceContext::default()).unwrap();
        let documents: Vec<_> = sources.iter().next().unwrap().documents().map(Result::unwrap).collect();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1].pieces[0].text, "We stayed.");
        assert!(documents[1].origin.to_string().ends_with("a.parquet, row 2"));
    }

    #[test]
    fn errors_name_columns_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let error = || {
            let config = SourceConfig::new(path.display().to_string());
            let sources = Sources::open(&[config], SourceContext::default()).unwrap();
            sources.iter().next().unwrap().documents().next().unwrap().unwrap_err().to_string()
        };
        write(&path, "message m { required binary body (UTF8); }", &[&["x"]]);
        assert!(error().contains("has the fields `body`, expected some of `text`, `prompt`"), "{}", error());
        write(&path, "message m { required binary text; }", &[&["x"]]);
        assert!(error().contains("a.parquet, row 1: text is bytes"), "{}", error());
        std::fs::write(&path, "not parquet").unwrap();
        assert!(error().contains("a.parquet: this Parquet file cannot be read"), "{}", error());
    }
}
