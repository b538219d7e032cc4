//! JSON as the runtime specification wants it: a name stands once in an object (glossary.md), which serde_json's own
//! `Value` does not check. And no more of it than a config can need: a value takes a hundred times the memory of its text.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Values of a document, lists and objects and all that is in them. The largest configs of engines have some thousands.
const MOST_VALUES: usize = 500_000;

/// Parses `text`; a name that stands twice in one object is an error with its line and column.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let left = Cell::new(MOST_VALUES);
    let mut input = serde_json::Deserializer::from_str(text);
    let value = Unique(&left).deserialize(&mut input)?;
    input.end()?;
    Ok(value)
}

/// What makes one value; it counts how many more there may be.
#[derive(Clone, Copy)]
struct Unique<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| D::Error::custom(format!("more than {MOST_VALUES} values")))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("{name:?} stands twice in one object")));
            }
            object.insert(name, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_may_stand_once_in_an_object() {
        assert_eq!(parse(r#"{"a":[1,-2,0.5,null,true,"x"]}"#).unwrap()["a"][3], serde_json::Value::Null);
        let error = parse("{\"a\":{\"b\":1,\n\"b\":2}}").unwrap_err().to_string();
        assert!(error.contains("\"b\" stands twice") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn there_are_only_so_many_values() {
        let list = |length: usize| format!("[{}0]", "0,".repeat(length - 1));
        assert!(parse(&list(499_999)).is_ok());
        assert!(parse(&list(500_000)).unwrap_err().to_string().contains("more than 500000 values"));
        assert!(parse("{} {}").unwrap_err().to_string().contains("trailing"));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(200_000);
        assert!(parse(&deep).unwrap_err().to_string().contains("recursion limit"));
    }
}
