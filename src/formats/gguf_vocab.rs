//! Which tokens of a GGUF vocabulary end a reply: the one list that the model and its tokenizer share.

use super::gguf::{Metadata, Value};

/// Texts of tokens that end a turn or a message in files that name only some of them by id, as llama.cpp knows them.
const END_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<turn|>",
    "<|tool_response>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<end_of_utterance>",
    "[e~[",
];

/// Texts that ordinary vocabularies hold, too (a tag of HTML): they end a reply as control tokens only.
const END_CONTROL_TEXTS: &[&str] = &["</s>"];

/// `tokenizer.ggml.token_type` of control tokens.
const CONTROL: i64 = 3;

impl Metadata {
    /// Ids of the tokens that end a reply: those the file names (`eos` first, then `eot` and `eom`), then those with a
    /// text that ends a turn. Like in llama.cpp a text counts whatever type its token has: files often give it none.
    pub fn end_ids(&self) -> Vec<u32> {
        let tokens = self.strings("tokenizer.ggml.tokens").unwrap_or_default();
        let control = |id: usize| match self.get("tokenizer.ggml.token_type") {
            Some(Value::Ints(types)) => types.get(id) == Some(&CONTROL),
            _ => false,
        };
        let named = ["eos", "eot", "eom"].iter().filter_map(|k| self.u32(&format!("tokenizer.ggml.{k}_token_id")));
        let mut ids: Vec<u32> = Vec::new();
        for id in named.filter(|id| tokens.is_empty() || (*id as usize) < tokens.len()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let has = |text: &str| tokens.iter().any(|t| t == text);
        // With channels <|end|> only ends a channel (gpt-oss: <|return|> and <|call|> end the reply; Solar Open: <|flush|>
        // and <|calls|>).
        let calls = has("<|call|>") || has("<|calls|>");
        let channels = calls && (has("<|return|>") || has("<|flush|>"));
        for (id, token) in tokens.iter().enumerate() {
            let text = token.as_str();
            let ends = END_TEXTS.contains(&text) && !(channels && text == "<|end|>")
                || END_CONTROL_TEXTS.contains(&text) && control(id);
            if ends && !ids.contains(&(id as u32)) {
                ids.push(id as u32);
            }
        }
        ids
    }
}
