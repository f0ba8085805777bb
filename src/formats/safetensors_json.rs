//! The JSON of safetensors, parsed without a tree of values: each tensor is handed over as it is read.

use super::memory::{Memory, brief};
use crate::error::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Most dimensions of a tensor.
const MAX_DIMS: usize = 8;
/// Longest name of a type that is quoted.
const MAX_DTYPE: usize = 32;

/// What the header says of one tensor.
#[derive(serde::Deserialize)]
pub(super) struct Entry {
    /// At most `MAX_DTYPE` characters of it.
    #[serde(deserialize_with = "short_text")]
    pub dtype: String,
    #[serde(deserialize_with = "short_list")]
    pub shape: Vec<u64>,
    pub data_offsets: [u64; 2],
}

/// Bytes that parsing this text takes besides its result, at most: a string with escapes is copied, messages quote
/// strings that make no sense, and a skipped value costs one byte per level of nesting. Holds for any bytes.
pub(super) fn parse_bytes(text: &[u8]) -> u64 {
    let (mut longest, mut deepest, mut depth) = (0, 0, 0_usize);
    let (mut start, mut escaped) = (None, false);
    for (i, byte) in text.iter().enumerate() {
        match (start, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(from), b'"') => {
                longest = longest.max(i - from);
                start = None;
            }
            (Some(_), _) => {}
            (None, b'"') => start = Some(i),
            (None, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    longest = start.map_or(longest, |from| longest.max(text.len() - from));
    8 * longest as u64 + 3 * deepest as u64
}

/// Hands every tensor of a header to `each`, in the order of the file. An error of `each` ends the parse and is returned
/// as it is; names may repeat.
pub(super) fn parse_header(
    text: &[u8],
    file: &str,
    each: &mut dyn FnMut(&str, Entry) -> Result<()>,
) -> Result<(), Error> {
    let mut failed = None;
    parse(text, Table { each, failed: &mut failed }).map_err(|e| {
        failed.unwrap_or_else(|| {
            Error::BadFile(format!("{file} has a header that is not a table of tensors: {}", brief(e)))
        })
    })
}

/// The names of the shards in an index, sorted. Where it places single tensors is not believed, so not kept.
pub(super) fn parse_index(text: &[u8], file: &str, memory: &mut Memory) -> Result<Vec<String>> {
    // Editors put a byte order mark there, which JSON has not.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut failed = None;
    let mut shards = Shards { memory, file, names: HashSet::new() };
    match parse(text, WeightMap { shards: &mut shards, failed: &mut failed }) {
        Ok(true) => {}
        Ok(false) => return Err(Error::BadFile(format!("{file} is not an index of shards: it has no weight_map"))),
        Err(e) => {
            let bad = || Error::BadFile(format!("{file} is not an index of shards with a weight_map: {}", brief(e)));
            return Err(failed.unwrap_or_else(bad));
        }
    }
    let mut names: Vec<String> = shards.names.into_iter().collect();
    names.sort_unstable();
    Ok(names)
}

fn parse<'de, S: DeserializeSeed<'de>>(text: &'de [u8], seed: S) -> serde_json::Result<S::Value> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// The top level of a header.
struct Table<'a> {
    each: &'a mut dyn FnMut(&str, Entry) -> Result<()>,
    failed: &'a mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for Table<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensors")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let entry = map.next_value()?;
            if let Err(e) = (self.each)(&name, entry) {
                *self.failed = Some(e);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// The index as it is read.
struct Shards<'a> {
    memory: &'a mut Memory,
    file: &'a str,
    names: HashSet<String>,
}

impl Shards<'_> {
    fn add(&mut self, shard: String) -> Result<()> {
        if !self.names.contains(&shard) {
            // The name stands in a table and in a list, and its file is opened.
            self.memory.take(2 * shard.len() as u64 + 1024, self.file)?;
            self.names.insert(shard);
        }
        Ok(())
    }
}

/// The object around `weight_map`; true when it is there.
struct WeightMap<'a, 'b> {
    shards: &'a mut Shards<'b>,
    failed: &'a mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for WeightMap<'_, '_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WeightMap<'_, '_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with a weight_map")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "weight_map" && !found {
                map.next_value_seed(Tensors { shards: self.shards, failed: self.failed })?;
                found = true;
            } else if key == "weight_map" {
                return Err(A::Error::custom("weight_map stands there twice"));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The object `weight_map`.
struct Tensors<'a, 'b> {
    shards: &'a mut Shards<'b>,
    failed: &'a mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for Tensors<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Tensors<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of file names")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((_, shard)) = map.next_entry::<IgnoredAny, String>()? {
            if let Err(e) = self.shards.add(shard) {
                *self.failed = Some(e);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

fn short_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("the name of a type")
        }
        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.chars().take(MAX_DTYPE).collect())
        }
    }
    deserializer.deserialize_str(Text)
}

fn short_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<u64>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "a list of at most {MAX_DIMS} dimensions")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u64>, A::Error> {
            let mut dims = [0; MAX_DIMS];
            let mut n = 0;
            while let Some(dim) = list.next_element()? {
                *dims.get_mut(n).ok_or_else(|| A::Error::invalid_length(n + 1, &self))? = dim;
                n += 1;
            }
            Ok(dims[..n].to_vec())
        }
    }
    deserializer.deserialize_seq(List)
}
