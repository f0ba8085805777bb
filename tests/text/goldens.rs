//! Reads tests/goldens/tokenizers.

use serde_json::Value;
use std::path::Path;

pub fn golden(name: &str) -> Value {
    super::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers").join(name))
}

pub fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_string()).collect()
}
