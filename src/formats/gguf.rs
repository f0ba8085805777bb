//! GGUF v2/v3, single and split files (spec: ggml/docs/gguf.md).

/// A metadata value. Integers of any width are one kind: files in the wild use several types for the same key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// U8..U64, I8..I64
    Int(i128),
    /// F32, F64
    Float(f64),
    /// BOOL
    Bool(bool),
    /// STRING
    String(String),
    /// ARRAY of any integer type
    Ints(Vec<i64>),
    /// ARRAY of F32 or F64
    Floats(Vec<f32>),
    /// ARRAY of BOOL
    Bools(Vec<bool>),
    /// ARRAY of STRING
    Strings(Vec<String>),
}

/// Metadata of a GGUF file, in file order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Key, value.
    pub entries: Vec<(String, Value)>,
}

impl Metadata {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
    /// A string value.
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::String(s) => Some(s),
            _ => None,
        }
    }
    /// An integer value of any width that fits u32.
    pub fn u32(&self, key: &str) -> Option<u32> {
        match self.get(key)? {
            Value::Int(i) => u32::try_from(*i).ok(),
            _ => None,
        }
    }
    /// A float (or integer) value.
    pub fn f64(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Value::Float(f) => Some(*f),
            Value::Int(i) => Some(*i as f64),
            _ => None,
        }
    }
    /// A bool value.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }
    /// An array of strings.
    pub fn strings(&self, key: &str) -> Option<&[String]> {
        match self.get(key)? {
            Value::Strings(s) => Some(s),
            _ => None,
        }
    }
    /// An array of integers.
    pub fn ints(&self, key: &str) -> Option<&[i64]> {
        match self.get(key)? {
            Value::Ints(i) => Some(i),
            _ => None,
        }
    }
    /// An array of floats.
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.get(key)? {
            Value::Floats(f) => Some(f),
            _ => None,
        }
    }
}
