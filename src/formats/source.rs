//! Byte ranges of named files: memory, local files, HTTP with Range, or a JavaScript object.

use crate::error::Result;
use std::{future::Future, pin::Pin, rc::Rc};

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
    /// The file the caller named, when it named one file (a `.gguf`); None for a directory.
    fn main(&self) -> Option<String>;
    /// Opens a file by its name within the directory (or beside the main file). None when there is no such file.
    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>>;
}
