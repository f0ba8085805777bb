//! The vocabularies of GGUF that the `tokenizers` library has no model for, as models of its pipeline: SentencePiece BPE
//! by scores, and WordPiece with the beginnings of words marked.

use super::spm::Spm;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{Model, Result, Token};

/// How a text becomes pieces.
pub(super) enum Algorithm {
    Spm(Spm),
    /// The longest piece that fits, again and again; a word that does not end with one is unknown as a whole. U+2581
    /// stands before a word.
    WordPiece,
}

/// Pieces, their ids and what is done with them.
pub(super) struct GgufModel {
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    /// In bytes.
    longest: usize,
    unknown: Option<u32>,
    algorithm: Algorithm,
}

impl GgufModel {
    pub(super) fn new(pieces: Vec<String>, unknown: Option<u32>, algorithm: Algorithm) -> GgufModel {
        let ids = pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), id as u32)).collect();
        let longest = pieces.iter().map(String::len).max().unwrap_or(0);
        GgufModel { pieces, ids, longest, unknown, algorithm }
    }

    /// Ids of one word; None when no pieces fit.
    fn word(&self, word: &str) -> Option<Vec<u32>> {
        let word = format!("\u{2581}{word}");
        let (mut ids, mut start) = (Vec::new(), 0);
        while start < word.len() {
            let ends = (start + 1..=word.len().min(start + self.longest)).rev();
            let fit = |end: usize| Some((end, *self.ids.get(word.get(start..end)?)?));
            let (end, id) = ends.into_iter().find_map(fit)?;
            ids.push(id);
            start = end;
        }
        Some(ids)
    }
}

impl Model for GgufModel {
    // Required by the trait; nothing here trains.
    type Trainer = BpeTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut push =
            |id: u32, start, end| tokens.push(Token::new(id, self.pieces[id as usize].clone(), (start, end)));
        match &self.algorithm {
            Algorithm::Spm(spm) => spm.tokenize(&self.ids, self.unknown, text, push),
            Algorithm::WordPiece => {
                let ids = self.word(text).unwrap_or_else(|| self.unknown.into_iter().collect());
                ids.into_iter().for_each(|id| push(id, 0, text.len()));
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
