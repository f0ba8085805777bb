//! SentencePiece BPE as GGUF stores it: pieces with scores and no merges. The neighbours whose union has the highest
//! score are joined first (the leftmost on a tie), characters without a piece fall back to byte pieces. This is what
//! llama.cpp does, to the id.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{Model, Result, Token};

/// The vocabulary and its merge loop, as a model of the `tokenizers` pipeline.
pub(super) struct Spm {
    pieces: Vec<String>,
    scores: Vec<f32>,
    ids: HashMap<String, u32>,
    /// The id of each byte piece.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
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
    /// `scores` is as long as `pieces`; `byte_pieces` says which pieces may stand for a byte.
    pub(super) fn new(
        pieces: Vec<String>,
        scores: Vec<f32>,
        is_byte: impl Fn(usize) -> bool,
        unknown: Option<u32>,
    ) -> Spm {
        let mut bytes = vec![None; 256];
        for (id, piece) in pieces.iter().enumerate() {
            if let Some(byte) = is_byte(id).then(|| byte_of(piece)).flatten() {
                bytes[usize::from(byte)] = Some(id as u32);
            }
        }
        let ids = pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), id as u32)).collect();
        Spm { pieces, scores, ids, bytes, unknown }
    }

    fn push_join(&self, heap: &mut BinaryHeap<Join>, text: &str, symbols: &[Symbol], left: usize, right: usize) {
        if left == NONE || right == NONE {
            return;
        }
        let len = symbols[left].len + symbols[right].len;
        let start = symbols[left].start;
        if let Some(&id) = self.ids.get(&text[start..start + len]) {
            heap.push(Join { score: self.scores[id as usize], left, right, len });
        }
    }

    fn merge(&self, text: &str) -> Vec<Symbol> {
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
            self.push_join(&mut heap, text, &symbols, right - 1, right);
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
            self.push_join(&mut heap, text, &symbols, symbols[left].prev, left);
            self.push_join(&mut heap, text, &symbols, left, next);
        }
        symbols
    }
}

/// The byte of a piece `<0xAB>`.
fn byte_of(piece: &str) -> Option<u8> {
    u8::from_str_radix(piece.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

impl Model for Spm {
    // Required by the trait; nothing here trains.
    type Trainer = BpeTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        for symbol in self.merge(text).iter().filter(|s| s.len > 0) {
            let (start, end) = (symbol.start, symbol.start + symbol.len);
            let part = &text[start..end];
            let mut push = |id: u32| tokens.push(Token::new(id, self.pieces[id as usize].clone(), (start, end)));
            if let Some(&id) = self.ids.get(part) {
                push(id);
                continue;
            }
            for byte in part.bytes() {
                if let Some(id) = self.bytes[usize::from(byte)].or(self.unknown) {
                    push(id);
                }
            }
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.pieces.get(id as usize).cloned()
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        self.ids.clone()
    }

    fn get_vocab_size(&self) -> usize {
        self.pieces.len()
    }

    fn save(&self, _folder: &Path, _prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a vocabulary read from GGUF is not written back".into())
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}
