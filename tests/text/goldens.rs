//! Reads tests/goldens/tokenizers.

use serde_json::Value;
use std::path::Path;

pub fn golden(name: &str) -> Value {
    super::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers").join(name))
}

pub fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_string()).collect()
}

/// FNV-1a of the ids as little-endian 32-bit words.
pub fn hash(ids: &[u32]) -> String {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    format!("{:08x}", bytes.fold(0x811C9DC5u32, |h, byte| (h ^ byte as u32).wrapping_mul(0x01000193)))
}
