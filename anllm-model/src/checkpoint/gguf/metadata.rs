//! The key/value part of a GGUF header: thirteen value types, kept as the file has them, and typed access that names
//! the key when it is missing or of another type.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::cursor::{Cursor, DAMAGED};
use crate::checkpoint::CheckpointError;

/// Arrays within arrays deeper than this are refused. No writer nests at all; the limit keeps a crafted header from
/// exhausting the stack.
const MAX_DEPTH: usize = 4;

/// Fewest bytes that a key with its value can take: the key's length, one byte of key, the type, one byte of value.
const MIN_ENTRY: u64 = 8 + 1 + 4 + 1;

/// Declares [`Value`], [`Array`] and their reading for the fixed-width types: `variant: type = id`.
macro_rules! value_types {
    ($($variant:ident: $ty:ty = $id:literal),* $(,)?) => {
        /// One metadata value, of the type that the file gives it.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum Value {
            $($variant($ty),)*
            Bool(bool),
            String(String),
            Array(Array),
        }

        /// An array of one element type.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum Array {
            $($variant(Vec<$ty>),)*
            Bool(Vec<bool>),
            String(Vec<String>),
            Array(Vec<Array>),
        }

        impl Array {
            /// Elements.
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(items) => items.len(),)*
                    Self::Bool(items) => items.len(),
                    Self::String(items) => items.len(),
                    Self::Array(items) => items.len(),
                }
            }

            /// The element type's name: `u8`, `string`, …
            fn element(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($ty),)*
                    Self::Bool(_) => "bool",
                    Self::String(_) => "string",
                    Self::Array(_) => "array",
                }
            }

            /// The elements as text, for [`Display`](fmt::Display); only the first `limit`.
            fn preview(&self, limit: usize) -> Vec<String> {
                match self {
                    $(Self::$variant(items) => items.iter().take(limit).map(<$ty>::to_string).collect(),)*
                    Self::Bool(items) => items.iter().take(limit).map(bool::to_string).collect(),
                    Self::String(items) => items.iter().take(limit).map(|s| format!("{s:?}")).collect(),
                    Self::Array(items) => items.iter().take(limit).map(Array::to_string).collect(),
                }
            }
        }

        impl Value {
            /// The type's name, for messages: `u32`, `string`, …
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($ty),)*
                    Self::Bool(_) => "bool",
                    Self::String(_) => "string",
                    Self::Array(_) => "array",
                }
            }
        }

        impl fmt::Display for Value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(value) => value.fmt(f),)*
                    Self::Bool(value) => value.fmt(f),
                    Self::String(value) => value.fmt(f),
                    Self::Array(value) => value.fmt(f),
                }
            }
        }

        fn read_value(cursor: &mut Cursor<'_>, id: u32, what: &str) -> Result<Value, CheckpointError> {
            Ok(match id {
                $($id => Value::$variant(<$ty>::from_le_bytes(cursor.fixed(what)?)),)*
                BOOL => Value::Bool(read_bool(cursor, what)?),
                STRING => Value::String(cursor.string(what)?),
                ARRAY => Value::Array(read_array(cursor, what, 1)?),
                _ => return Err(unknown_type(cursor, id, what)),
            })
        }

        fn read_array(cursor: &mut Cursor<'_>, what: &str, depth: usize) -> Result<Array, CheckpointError> {
            let id = cursor.u32(what)?;
            Ok(match id {
                $($id => {
                    const WIDTH: usize = size_of::<$ty>();
                    let count = cursor.count(WIDTH as u64, what)?;
                    let (items, _) = cursor.take(count * WIDTH as u64, what)?.as_chunks::<WIDTH>();
                    Array::$variant(items.iter().map(|bytes| <$ty>::from_le_bytes(*bytes)).collect())
                })*
                BOOL => {
                    let count = cursor.count(1, what)?;
                    Array::Bool((0..count).map(|_| read_bool(cursor, what)).collect::<Result<_, _>>()?)
                }
                STRING => {
                    let count = cursor.count(8, what)?;
                    Array::String((0..count).map(|_| cursor.string(what)).collect::<Result<_, _>>()?)
                }
                ARRAY if depth >= MAX_DEPTH => {
                    return Err(cursor.malformed(format!("{what} nests arrays more than {MAX_DEPTH} deep")));
                }
                ARRAY => {
                    let count = cursor.count(12, what)?;
                    Array::Array((0..count).map(|_| read_array(cursor, what, depth + 1)).collect::<Result<_, _>>()?)
                }
                _ => return Err(unknown_type(cursor, id, what)),
            })
        }
    };
}

const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

value_types! {
    U8: u8 = 0,
    I8: i8 = 1,
    U16: u16 = 2,
    I16: i16 = 3,
    U32: u32 = 4,
    I32: i32 = 5,
    F32: f32 = 6,
    U64: u64 = 10,
    I64: i64 = 11,
    F64: f64 = 12,
}

fn read_bool(cursor: &mut Cursor<'_>, what: &str) -> Result<bool, CheckpointError> {
    match cursor.fixed::<1>(what)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(cursor.malformed(format!("{what} is a bool with the value {other}, expected 0 or 1"))),
    }
}

fn unknown_type(cursor: &Cursor<'_>, id: u32, what: &str) -> CheckpointError {
    cursor.malformed(format!("{what} has value type {id}, expected 0 to 12"))
}

impl fmt::Display for Array {
    /// The element type and count, with the elements themselves where there are only a few.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let more = if self.len() > SHOWN { ", …" } else { "" };
        write!(f, "{}[{}] {{{}{more}}}", self.element(), self.len(), self.preview(SHOWN).join(", "))
    }
}

impl Array {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Value {
    /// Any of the integer types, when not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// Either float type. An `f32` becomes the shortest decimal that reads back as it, so that 1e-5 stays 1e-5.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.to_string().parse().unwrap_or_else(|_| f64::from(v))),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// A bool.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    /// An array of strings.
    pub fn as_strings(&self) -> Option<&[String]> {
        if let Self::Array(Array::String(items)) = self { Some(items) } else { None }
    }

    /// An array of any integer type, each as `i64`.
    pub fn as_integers(&self) -> Option<Vec<i64>> {
        fn widen<T: Copy + TryInto<i64>>(items: &[T]) -> Option<Vec<i64>> {
            items.iter().map(|v| (*v).try_into().ok()).collect()
        }
        let Self::Array(array) = self else { return None };
        match array {
            Array::U8(v) => widen(v),
            Array::I8(v) => widen(v),
            Array::U16(v) => widen(v),
            Array::I16(v) => widen(v),
            Array::U32(v) => widen(v),
            Array::I32(v) => widen(v),
            Array::U64(v) => widen(v),
            Array::I64(v) => widen(v),
            _ => None,
        }
    }

    /// An array of either float type, each as `f64`.
    pub fn as_floats(&self) -> Option<Vec<f64>> {
        match self {
            Self::Array(Array::F32(items)) => Some(items.iter().map(|v| f64::from(*v)).collect()),
            Self::Array(Array::F64(items)) => Some(items.clone()),
            _ => None,
        }
    }
}

/// All metadata of a file, in its order.
#[derive(Debug)]
pub struct Metadata {
    path: PathBuf,
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    pub(super) fn read(cursor: &mut Cursor<'_>, count: u64, path: &Path) -> Result<Self, CheckpointError> {
        cursor.check_count(count, MIN_ENTRY, "the number of metadata entries")?;
        let mut metadata = Self { path: path.to_owned(), entries: Vec::new(), index: HashMap::new() };
        for number in 0..count {
            let key = cursor.string(&format!("the key of metadata entry {number}"))?;
            let what = format!("metadata `{key}`");
            let id = cursor.u32(&what)?;
            let value = read_value(cursor, id, &what)?;
            if metadata.index.insert(key.clone(), metadata.entries.len()).is_some() {
                return Err(cursor.malformed(format!("{what} occurs twice")));
            }
            metadata.entries.push((key, value));
        }
        Ok(metadata)
    }

    /// The file, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The value of `key`, if the file has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|at| &self.entries[*at].1)
    }

    /// Every key with its value, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of `key` through `convert`, where `None` from it means another type than `expected`.
    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| {
            CheckpointError::malformed(
                &self.path,
                format!("metadata `{key}` is {} {value}, expected {expected}", value.type_name()),
                DAMAGED,
            )
        })
    }

    pub(super) fn uint(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        self.typed(key, "an integer that is not negative", Value::as_u64)
    }

    /// A finite float.
    pub(super) fn float(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        self.typed(key, "a finite float", |v| v.as_f64().filter(|v| v.is_finite()))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, CheckpointError> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, CheckpointError> {
        self.typed(key, "a bool", Value::as_bool)
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<&[String]>, CheckpointError> {
        self.typed(key, "an array of strings", Value::as_strings)
    }

    pub(super) fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, CheckpointError> {
        self.typed(key, "an array of integers", Value::as_integers)
    }

    pub(super) fn floats(&self, key: &str) -> Result<Option<Vec<f64>>, CheckpointError> {
        self.typed(key, "an array of floats", Value::as_floats)
    }

    /// The error for a key that must be there.
    pub(super) fn missing(&self, key: &str) -> CheckpointError {
        CheckpointError::malformed(
            &self.path,
            format!("metadata `{key}` is missing"),
            "the file was written by an incomplete converter: convert the model again with a current one",
        )
    }
}
