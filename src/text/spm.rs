//! SentencePiece BPE as GGUF stores it: pieces with scores and no merges. The neighbours whose union has the highest
//! score are joined first (the leftmost on a tie), characters without a piece fall back to byte pieces. This is what
//! llama.cpp does, to the id.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// What joins and falls back, next to the ids of the pieces.
pub(super) struct Spm {
    scores: Vec<f32>,
    /// The id of each byte piece.
    bytes: Vec<Option<u32>>,
}

/// A run of text that is one symbol so far: a doubly linked list over the text.
struct Symbol {
    start: usize,
    len: usize,
    prev: usize,
    next: usize,
}

/// No neighbour.
const NONE: usize = usize::MAX;

/// A possible join of two neighbours.
struct Join {
    score: f32,
    left: usize,
    right: usize,
    len: usize,
}

impl Ord for Join {
    fn cmp(&self, other: &Join) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}
impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Join) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Join {
    fn eq(&self, other: &Join) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Join {}

impl Spm {
    /// `scores` is as long as `pieces`.
    pub(super) fn new(pieces: &[String], scores: Vec<f32>) -> Spm {
        let mut bytes = vec![None; 256];
        for (id, piece) in pieces.iter().enumerate() {
            if let Some(byte) = byte_of(piece) {
                bytes[usize::from(byte)] = Some(id as u32);
            }
        }
        Spm { scores, bytes }
    }

    /// Hands out the ids of a text with the places of their pieces.
    pub(super) fn tokenize(
        &self,
        ids: &HashMap<String, u32>,
        unknown: Option<u32>,
        text: &str,
        mut push: impl FnMut(u32, usize, usize),
    ) {
        for symbol in self.merge(ids, text).iter().filter(|s| s.len > 0) {
            let (start, end) = (symbol.start, symbol.start + symbol.len);
            let part = &text[start..end];
            if let Some(&id) = ids.get(part) {
                push(id, start, end);
                continue;
            }
            for byte in part.bytes() {
                if let Some(id) = self.bytes[usize::from(byte)].or(unknown) {
                    push(id, start, end);
                }
            }
        }
    }

    fn merge(&self, ids: &HashMap<String, u32>, text: &str) -> Vec<Symbol> {
        let push_join = |heap: &mut BinaryHeap<Join>, symbols: &[Symbol], left: usize, right: usize| {
            if left == NONE || right == NONE {
                return;
            }
            let len = symbols[left].len + symbols[right].len;
            let start = symbols[left].start;
            if let Some(&id) = ids.get(&text[start..start + len]) {
                heap.push(Join { score: self.scores[id as usize], left, right, len });
            }
        };
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, c))| Symbol { start, len: c.len_utf8(), prev: i.wrapping_sub(1), next: i + 1 })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let mut heap = BinaryHeap::new();
        for right in 1..symbols.len() {
            push_join(&mut heap, &symbols, right - 1, right);
        }
        while let Some(Join { left, right, len, .. }) = heap.pop() {
            // Stale when either side has been joined to something else meanwhile.
            if symbols[left].len == 0 || symbols[right].len == 0 || symbols[left].len + symbols[right].len != len {
                continue;
            }
            symbols[left].len = len;
            symbols[right].len = 0;
            let next = symbols[right].next;
            symbols[left].next = next;
            if next != NONE {
                symbols[next].prev = left;
            }
            push_join(&mut heap, &symbols, symbols[left].prev, left);
            push_join(&mut heap, &symbols, left, next);
        }
        symbols
    }
}

/// The byte of a piece `<0xAB>`.
pub(super) fn byte_of(piece: &str) -> Option<u8> {
    u8::from_str_radix(piece.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}
