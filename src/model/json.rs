//! Small JSON files of a model, held to a number of values: a value in memory takes many times its text.

use crate::error::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Most values of one file. The largest config.json of real models have some 10000; a value takes up to 300 bytes.
const MAX_VALUES: usize = 200_000;

/// Parses a JSON file. Python writes the bare words NaN, Infinity and -Infinity, which JSON has not: they are read as
/// `{"__float__": ...}`.
pub fn parse_json(name: &str, bytes: &[u8]) -> Result<Value> {
    let text = utf8(name, bytes)?;
    check_values(name, text)?;
    let parsed = serde_json::from_str(text).or_else(|e| serde_json::from_str(&tag_floats(text)).map_err(|_| e));
    parsed.map_err(|e| Error::BadFile(format!("{name} is not valid JSON: {e}; download it again")))
}

/// The members of a JSON file that is one object whose keys are `wanted`, as an object; the other members are skipped.
/// Those that are in `unparsed`, too, come as their JSON text.
pub(super) fn parse_keys(name: &str, bytes: &[u8], wanted: fn(&str) -> bool, unparsed: &[&str]) -> Result<Value> {
    let text = utf8(name, bytes)?;
    let bad =
        |e: serde_json::Error| Error::BadFile(format!("{name} is not a valid JSON object: {e}; download it again"));
    // Python's bare NaN and Infinity: no file has them where it matters here, but they must not refuse it.
    let tagged = serde_json::from_str::<IgnoredAny>(text).is_err().then(|| tag_floats(text));
    let mut json = serde_json::Deserializer::from_str(tagged.as_deref().unwrap_or(text));
    let members = Members(wanted).deserialize(&mut json).map_err(bad)?;
    json.end().map_err(bad)?;
    let mut kept = Map::new();
    for (key, raw) in members {
        if unparsed.contains(&key.as_str()) && raw.get() != "null" {
            kept.insert(key, Value::String(raw.get().into()));
            continue;
        }
        check_values(name, raw.get())?;
        kept.insert(key, serde_json::from_str(raw.get()).map_err(bad)?);
    }
    Ok(Value::Object(kept))
}

/// The members of the names that are wanted, unparsed.
struct Members(fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;
    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Self::Value = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if (self.0)(&key) && found.iter().all(|(k, _)| *k != key) {
                found.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::BadFile(format!("{name} is not UTF-8 text: {e}")))?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// `bad-file` when a text holds more than `MAX_VALUES` values.
fn check_values(name: &str, text: &str) -> Result<()> {
    let (mut n, mut quoted, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            // Each of these is followed by at most one value that no other of them precedes.
            b'[' | b'{' | b',' if !quoted => n += 1,
            _ => {}
        }
    }
    if n > MAX_VALUES {
        return Err(Error::BadFile(format!(
            "{name} holds {n} values; at most {MAX_VALUES} are allowed, far more than any model needs"
        )));
    }
    Ok(())
}

fn tag_floats(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|w| !quoted && rest.starts_with(w));
        let step = match (word, c) {
            (Some(word), _) => {
                out += &format!("{{\"__float__\":\"{word}\"}}");
                word.len()
            }
            (None, '\\') if quoted => {
                let n = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out += &rest[..n];
                n
            }
            (None, c) => {
                quoted ^= c == '"';
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    out
}
