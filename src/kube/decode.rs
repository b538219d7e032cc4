//! From a JSON value to a typed Kubernetes object, with every field that the type does not know named.

use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::{Number, Value};

use super::Problem;

/// A typed object and the paths of the fields that it has no place for.
#[derive(Debug)]
pub struct Typed<T> {
    /// The object.
    pub object: T,
    /// Fields that are not in Kubernetes 1.36's type, as paths: `spec.containers[0].cpu`.
    pub unknown: Vec<String>,
}

/// Types `value` as `T`; quantities may be numbers, as in Kubernetes' own decoder.
///
/// The error names the field whose type is wrong.
pub fn typed<T: DeserializeOwned>(mut value: Value) -> Result<Typed<T>, Problem> {
    write_out_quantities(&mut value);
    let mut unknown = Vec::new();
    let mut note = |path: Path<'_>| unknown.push(field_path(&path));
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let object = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    match object {
        Ok(object) => Ok(Typed { object, unknown }),
        Err(error) => {
            let path = track.path().to_string();
            let field = if path == "." { String::new() } else { path };
            Err(Problem::new(field, format!("Invalid value: {error}")))
        }
    }
}

fn field_path(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => {
            let before = field_path(parent);
            if before.is_empty() { key.clone() } else { format!("{before}.{key}") }
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => field_path(parent),
    }
}

/// Turns numbers and nulls into text where a quantity stands, as `Quantity.UnmarshalJSON` does.
fn write_out_quantities(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_out_quantities),
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match (key.as_str(), &mut *inner) {
                    ("limits" | "requests" | "overhead" | "capacity" | "allocatable", Value::Object(list)) => {
                        list.values_mut().for_each(write_out_quantity);
                    }
                    ("sizeLimit" | "divisor", Value::Number(_) | Value::String(_)) => write_out_quantity(inner),
                    _ => write_out_quantities(inner),
                }
            }
        }
        _ => {}
    }
}

fn write_out_quantity(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(as_go_writes(number)),
        Value::String(text) => *text = text.trim().to_string(),
        // A key whose value is null is there, and is zero.
        Value::Null => *value = Value::String("0".into()),
        _ => {}
    }
}

/// A number as Go's encoding/json writes it: an exponent below 1e-6 and from 1e21 on.
fn as_go_writes(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let size = float.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) { format!("{float:e}") } else { format!("{float}") }
        }
        _ => number.to_string(),
    }
}
