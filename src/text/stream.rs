//! Ids -> pieces of text as they come, each of whole characters.

use super::tokenizer::Tokenizer;
use crate::error::Result;

/// What decoding puts for bytes that are not UTF-8 (yet).
const REPLACEMENT: char = '\u{FFFD}';

/// After this many tokens without a whole character the bytes are taken for broken, not for incomplete.
const MOST_PENDING: usize = 8;

/// No character has more tokens still to come than this.
const CHAR_TOKENS: usize = 3;

/// Turns a stream of ids into pieces of text; the pieces together are what [`Tokenizer::decode`] gives for all ids
/// (special tokens left out). The cost of a token does not depend on how many went before.
///
/// What a token adds depends on the tokens before it (the space at the beginning, bytes of one character), so the last
/// tokens that gave text are decoded again together with the new ones, and the difference is the piece.
pub struct Detokenizer {
    tokenizer: Tokenizer,
    /// Tokens behind the last piece.
    context: Vec<u32>,
    /// Their text.
    context_text: String,
    /// Tokens that have not given text yet.
    pending: Vec<u32>,
}

impl Detokenizer {
    /// At the beginning of a reply.
    pub fn new(tokenizer: &Tokenizer) -> Detokenizer {
        Detokenizer {
            tokenizer: tokenizer.clone(),
            context: Vec::new(),
            context_text: String::new(),
            pending: Vec::new(),
        }
    }

    /// Behind a prompt: a reply that goes on with its text keeps the space that its first word begins with, which
    /// `decode` drops at the beginning of a text. Behind a special token (the end of a chat template) a text begins.
    pub fn after(tokenizer: &Tokenizer, prompt: &[u32]) -> Result<Detokenizer> {
        let mut detokenizer = Detokenizer::new(tokenizer);
        let plain = prompt.iter().rev().take(CHAR_TOKENS).take_while(|id| !tokenizer.is_special(**id)).count();
        let context = &prompt[prompt.len() - plain..];
        let text = tokenizer.decode(context, true)?;
        if !text.is_empty() && !text.ends_with(REPLACEMENT) {
            detokenizer.context = context.to_vec();
            detokenizer.context_text = text;
        }
        Ok(detokenizer)
    }

    /// Takes the next id and returns the text that is certain now: whole characters, often none.
    pub fn push(&mut self, id: u32) -> Result<String> {
        if self.tokenizer.is_special(id) || self.tokenizer.token_str(id).is_none() {
            return Ok(String::new());
        }
        self.pending.push(id);
        if self.tokenizer.tidies() {
            return Ok(String::new());
        }
        let text = self.text(self.pending.len())?;
        if text.is_empty() {
            return Ok(text);
        }
        if !text.ends_with(REPLACEMENT) {
            return self.emit(self.pending.len(), text);
        }
        if self.pending.len() <= MOST_PENDING {
            return Ok(String::new());
        }
        let whole = self.pending.len() - CHAR_TOKENS;
        let text = self.text(whole)?;
        self.emit(whole, text)
    }

    /// The text still held back, at the end of a reply.
    pub fn finish(&mut self) -> Result<String> {
        let text = self.text(self.pending.len())?;
        self.emit(self.pending.len(), text)
    }

    /// What the first `n` pending tokens add to the context.
    fn text(&self, n: usize) -> Result<String> {
        let mut ids = self.context.clone();
        ids.extend(&self.pending[..n]);
        let text = self.tokenizer.decode(&ids, true)?;
        match text.strip_prefix(&self.context_text) {
            Some(rest) => Ok(rest.to_string()),
            // Broken bytes among the new tokens took a character of the context with them.
            None => self.tokenizer.decode(&self.pending[..n], true),
        }
    }

    fn emit(&mut self, n: usize, text: String) -> Result<String> {
        let mut context: Vec<u32> = self.pending.drain(..n).collect();
        let mut context_text = self.tokenizer.decode(&context, true)?;
        // Where only spaces came, which a text does not begin with, the tokens before them have to stay.
        if context_text.is_empty() {
            context.splice(0..0, self.context.drain(..));
            context_text = self.tokenizer.decode(&context, true)?;
        }
        self.context = context;
        self.context_text = context_text;
        Ok(text)
    }
}
