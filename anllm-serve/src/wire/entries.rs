//! Objects whose order matters: likeliest tokens first.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Names with values, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entries(pub(crate) Vec<(String, f32)>);

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
