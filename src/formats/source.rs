//! Byte ranges of named files: memory, local files, HTTP with Range, or a JavaScript object.

use crate::error::{Error, Result};
use std::{future::Future, pin::Pin, rc::Rc};

#[cfg(not(target_arch = "wasm32"))]
pub use super::local::{DirFiles, open_files, open_files_with};

/// A future of this crate. Not `Send`: in a browser everything lives on one thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Random access to the bytes of one file.
pub trait ByteSource {
    /// Name for messages (file name or URL).
    fn name(&self) -> &str;
    /// Total length in bytes.
    fn len(&self) -> u64;
    /// Exactly `len` bytes at `offset`, or an error (`bad-file` when the range is outside the file).
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where the files of one model lie: a directory, a base URL, a list of `File`s or one file alone.
pub trait Files {
    /// The file the caller named, when it named one file; None for a directory.
    fn main(&self) -> Option<String>;
    /// Opens a file by its name within the directory (or beside the main file). The name is trusted: those that stand in
    /// files are checked first, see [`is_plain_name`]. None when there is no such file: over
    /// HTTP also when the answer is any 4xx, or a web page with status 200. `download-failed` when the main file itself
    /// is missing or a source answers with another error.
    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>>;
    /// Opens a file that cannot be done without: `download-failed` when there is none, with `why` it is needed or what
    /// the server said.
    fn need<'a>(&'a self, name: &'a str, why: &'a str) -> LocalFuture<'a, Result<Rc<dyn ByteSource>>> {
        Box::pin(async move { self.open(name).await?.ok_or_else(|| missing(name, why)) })
    }
}

/// The error for a file that has to be there; `why` begins with a conjunction.
pub(crate) fn missing(name: &str, why: &str) -> Error {
    Error::DownloadFailed(format!("{name} is missing, {why}"))
}

/// `len` as a length in memory, when `offset..offset + len` lies within a file of `total` bytes; else `bad-file`.
pub fn check_range(name: &str, total: u64, offset: u64, len: u64) -> Result<usize> {
    match offset.checked_add(len) {
        Some(end) if end <= total => usize::try_from(len)
            .map_err(|_| Error::OutOfMemory(format!("{name}: {len} bytes in one piece do not fit this address space"))),
        _ => Err(Error::BadFile(format!(
            "{name} ends at byte {total}, but {len} bytes at byte {offset} are needed: the file is cut; get it again"
        ))),
    }
}

/// Whether a name that stands in a file (an index of shards) names a file of the same folder: no separators, no drive
/// letters, not `.` or `..`.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}

/// Bytes at the beginning of a file that tell whether it is a web page.
#[cfg(not(target_arch = "wasm32"))]
pub(super) const PAGE_HEAD: u64 = 1024;

/// Whether a file that begins like this is a page of HTML or XML. Chat templates may begin with a tag too (`<s>`), so only
/// what begins a document counts; no JSON begins with a tag.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn is_page(name: &str, head: &[u8]) -> bool {
    let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if rest.starts_with(b"<") && name.ends_with(".json") {
        return true;
    }
    while let Some(comment) = rest.strip_prefix(b"<!--") {
        let Some(end) = comment.windows(3).position(|w| w == b"-->") else { break };
        rest = comment[end + 3..].trim_ascii_start();
    }
    let tag = |name: &&str| {
        let (start, end) = rest.split_at_checked(name.len()).unwrap_or((&[], &[]));
        start.eq_ignore_ascii_case(name.as_bytes())
            && end.first().is_some_and(|b| b.is_ascii_whitespace() || *b == b'>')
    };
    ["<!doctype", "<html", "<head", "<?xml", "<error"].iter().any(tag)
}

/// A small file as a whole; None when there is none. `bad-file` when it is longer than `limit` bytes.
pub async fn read_whole(files: &dyn Files, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(source) = files.open(name).await? else { return Ok(None) };
    if source.len() > limit {
        return Err(Error::BadFile(format!("{name} has {} bytes; at most {limit} are expected", source.len())));
    }
    Ok(Some(source.read(0, source.len()).await?))
}

/// A file in memory.
pub struct MemorySource {
    name: String,
    bytes: Rc<[u8]>,
}

impl MemorySource {
    /// A source over `bytes`, called `name` in messages.
    pub fn new(name: impl Into<String>, bytes: impl Into<Rc<[u8]>>) -> MemorySource {
        MemorySource { name: name.into(), bytes: bytes.into() }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let n = check_range(&self.name, self.len(), offset, len)?;
            Ok(self.bytes[offset as usize..][..n].to_vec())
        })
    }
}

/// Files in memory: a GGUF given as bytes, or a directory built in a test.
#[derive(Default)]
pub struct MemoryFiles {
    main: Option<String>,
    files: Vec<(String, Rc<dyn ByteSource>)>,
}

impl MemoryFiles {
    /// A directory, empty so far.
    pub fn new() -> MemoryFiles {
        MemoryFiles::default()
    }

    /// One file that the caller named.
    pub fn single(name: &str, bytes: impl Into<Rc<[u8]>>) -> MemoryFiles {
        let mut files = MemoryFiles::new().with(name, bytes);
        files.main = Some(name.to_string());
        files
    }

    /// The same with one more file.
    pub fn with(mut self, name: &str, bytes: impl Into<Rc<[u8]>>) -> MemoryFiles {
        self.files.push((name.to_string(), Rc::new(MemorySource::new(name, bytes))));
        self
    }
}

impl Files for MemoryFiles {
    fn main(&self) -> Option<String> {
        self.main.clone()
    }
    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move { Ok(self.files.iter().find(|(n, _)| n == name).map(|(_, s)| s.clone())) })
    }
}
