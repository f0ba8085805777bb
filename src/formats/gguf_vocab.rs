//! Which tokens of a GGUF vocabulary end a reply: the one list that the model and its tokenizer share.

use super::gguf::Metadata;

/// Texts of tokens that end a turn or a message in files that name only some of them by id, as llama.cpp knows them.
const END_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<turn|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<end_of_utterance>",
];

impl Metadata {
    /// Ids of the tokens that end a reply: those the file names (`eos` first, then `eot` and `eom`), then those with a
    /// text that ends a turn. Like in llama.cpp a text counts whatever type its token has: files often give it none.
    pub fn end_ids(&self) -> Vec<u32> {
        let tokens = self.strings("tokenizer.ggml.tokens").unwrap_or_default();
        let named = ["eos", "eot", "eom"].iter().filter_map(|k| self.u32(&format!("tokenizer.ggml.{k}_token_id")));
        let mut ids: Vec<u32> = Vec::new();
        for id in named.filter(|id| tokens.is_empty() || (*id as usize) < tokens.len()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let by_text = |text: &str| tokens.iter().position(|t| t == text).map(|id| id as u32);
        // With channels (gpt-oss), <|end|> only ends a channel: <|return|> and <|call|> end the reply.
        let channels = by_text("<|return|>").is_some() && by_text("<|call|>").is_some();
        for (id, token) in tokens.iter().enumerate() {
            let ends = END_TEXTS.contains(&token.as_str()) && !(channels && token == "<|end|>");
            if ends && !ids.contains(&(id as u32)) {
                ids.push(id as u32);
            }
        }
        ids
    }
}
