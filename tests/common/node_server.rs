//! `tests/platform/server.mjs`, the server with the habits of real ones, as a child of the tests.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A running server; it ends with its stdin, and so with this process.
pub struct Server {
    /// Ends in `/`.
    pub url: String,
    _child: Child,
}

/// The one server of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut child = Command::new("node")
            .arg(tests.join("platform/server.mjs"))
            .arg(format!("goldens={}", tests.join("goldens").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed, as the package's tests need it");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url).expect("the server prints its address");
        assert!(url.starts_with("http://"), "the server printed {url:?}");
        Server { url: url.trim().to_string(), _child: child }
    })
}

impl Server {
    /// The requests whose query says `case=id`: method, path with query, range.
    pub fn log(&self, id: &str) -> Vec<[String; 3]> {
        let text = ureq::get(format!("{}log?case={id}", self.url)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// `tests/goldens/http/cases.json`.
pub fn cases() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/http/cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The bytes of a file of the trees in cases.json; `bytesOf` of the server.
pub fn bytes_of(content: &Value) -> Vec<u8> {
    if let Some(text) = content.as_str() {
        return text.into();
    }
    let byte = |i: u32| {
        let hash = i.wrapping_mul(0x9e37_79b1);
        let hash = (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b);
        (hash >> 13) as u8
    };
    let mut bytes: Vec<u8> = (0..content.as_u64().expect("text or a length") as u32).map(byte).collect();
    bytes[..4].copy_from_slice(b"GGUF");
    bytes
}
