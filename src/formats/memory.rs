//! What the metadata of one model may take on the heap, whatever its files announce.

use super::{TensorFile, TensorInfo, UnreadTensor};
use crate::error::{Error, Result};

/// Most bytes that the headers of all files of a model may take, parsed and while they are parsed. With the window of a
/// reader and what a byte source keeps, the heap stays under 192 MiB. Real models need 1 to 60 MiB.
pub(super) const LIMIT: u64 = 144 << 20;

/// Most bytes of the table of tensors that stays: 100000 tensors take 17 MB.
const TABLE_LIMIT: u64 = 32 << 20;

/// Bookkeeping of an allocation by the allocator.
pub(super) const ALLOCATION: u64 = 16;

/// Longest name of a tensor: a hundred times what any model has, and short enough for a message.
pub(super) const MAX_NAME: usize = 1024;

/// Bytes promised so far. They are taken before they are allocated, so that a refusal costs nothing.
#[derive(Default)]
pub(super) struct Memory {
    used: u64,
}

impl Memory {
    /// Promises `bytes` to `file`; `bad-file` when the metadata would take more than [`LIMIT`].
    pub(super) fn take(&mut self, bytes: u64, file: &str) -> Result<()> {
        let used = self.used.saturating_add(bytes);
        if used > LIMIT {
            return Err(Error::BadFile(format!(
                "{file} has metadata that would take more than {used} bytes of memory; at most {} MiB are allowed, and \
                 no model needs that much: the file is damaged or made to harm",
                LIMIT >> 20
            )));
        }
        self.used = used;
        Ok(())
    }

    /// Gives back what is freed.
    pub(super) fn give(&mut self, bytes: u64) {
        self.used -= bytes;
    }

    /// Bytes promised now.
    pub(super) fn used(&self) -> u64 {
        self.used
    }
}

/// Frees what the table of tensors does not need; `bad-file` when it is larger than any model's, because it stays while
/// the vocabulary is read and the weights are uploaded.
pub(super) fn check_table(table: &mut TensorFile, file: &str) -> Result<()> {
    table.tensors.shrink_to_fit();
    table.unread.shrink_to_fit();
    let heap = |name: &str, shape: &[u64]| (name.len() + 8 * shape.len()) as u64 + 2 * ALLOCATION;
    let one = |t: &TensorInfo| size_of::<TensorInfo>() as u64 + heap(&t.name, &t.shape);
    let unread =
        |t: &UnreadTensor| (size_of::<UnreadTensor>() + t.dtype.len()) as u64 + ALLOCATION + heap(&t.name, &t.shape);
    let bytes: u64 = table.tensors.iter().map(one).chain(table.unread.iter().map(unread)).sum();
    if bytes > TABLE_LIMIT {
        return Err(Error::BadFile(format!(
            "{file} has {} tensors whose names and shapes take {bytes} bytes of memory; at most {} MiB are allowed",
            table.tensors.len() + table.unread.len(),
            TABLE_LIMIT >> 20
        )));
    }
    Ok(())
}

/// Bytes per element of a vector that grows by doubling: old and new buffer live side by side while it grows.
pub(super) const fn growing<T>() -> u64 {
    3 * size_of::<T>() as u64
}

/// The beginning and the end of a long message: the messages of parsers quote their input.
pub(super) fn brief(e: impl std::fmt::Display) -> String {
    const KEPT: usize = 150;
    let text = e.to_string();
    let head = text.char_indices().nth(KEPT).map(|(at, _)| at);
    let tail = text.char_indices().nth_back(KEPT).map(|(at, _)| at);
    match (head, tail) {
        (Some(head), Some(tail)) if head < tail => format!("{} ... {}", &text[..head], &text[tail..]),
        _ => text,
    }
}
