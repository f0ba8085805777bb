//! Files of the shared folder for tests/text.rs.

use lacewing::formats::gguf::{Metadata, Value as Meta};
use std::path::{Path, PathBuf};

/// A path under the shared folder; None, with a line that says so, when it is not here.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    println!("skipped: shared/{path} is not here");
    None
}

/// A JSON file.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

struct Cursor<'a>(&'a [u8]);
impl Cursor<'_> {
    fn take(&mut self, n: usize) -> &[u8] {
        let (head, tail) = self.0.split_at(n);
        self.0 = tail;
        head
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }
    fn string(&mut self) -> String {
        let n = self.u64() as usize;
        String::from_utf8(self.take(n).to_vec()).unwrap()
    }
    fn value(&mut self, kind: u32) -> Meta {
        match kind {
            0 => Meta::Int(self.take(1)[0].into()),
            4 => Meta::Int(self.u32().into()),
            5 => Meta::Int((self.u32() as i32).into()),
            6 => Meta::Float(f32::from_bits(self.u32()).into()),
            7 => Meta::Bool(self.take(1)[0] != 0),
            8 => Meta::String(self.string()),
            10 => Meta::Int(self.u64().into()),
            9 => {
                let (kind, n) = (self.u32(), self.u64());
                match kind {
                    8 => Meta::Strings((0..n).map(|_| self.string()).collect()),
                    6 => Meta::Floats((0..n).map(|_| f32::from_bits(self.u32())).collect()),
                    5 => Meta::Ints((0..n).map(|_| (self.u32() as i32).into()).collect()),
                    other => panic!("array of type {other}"),
                }
            }
            other => panic!("type {other}"),
        }
    }
}

/// The metadata of a GGUF file.
pub fn gguf_metadata(path: &Path) -> Metadata {
    let bytes = std::fs::read(path).unwrap();
    let mut cursor = Cursor(&bytes);
    assert_eq!(cursor.take(4), b"GGUF");
    cursor.take(12);
    let n = cursor.u64();
    let entries = (0..n)
        .map(|_| {
            let key = cursor.string();
            let kind = cursor.u32();
            (key, cursor.value(kind))
        })
        .collect();
    Metadata { entries }
}
