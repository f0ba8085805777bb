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

/// Tokens of code completion that end it: the key that names one, and the texts it has in files without the key.
const FIM_ENDS: &[(&str, &[&str])] = &[
    ("fim_pad", &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"]),
    ("fim_rep", &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"]),
    ("fim_sep", &["<|file_sep|>"]),
];

/// `tokenizer.ggml.token_type` of control tokens.
const CONTROL: i64 = 3;

impl Metadata {
    /// Ids of the tokens that end a reply: those the file names (`eos` first, then `eot` and `eom`), then those with a
    /// text that ends a turn or a completion. Like in llama.cpp a text counts whatever type its token has: files often give it none.
    pub fn end_ids(&self) -> Vec<u32> {
        let tokens = self.strings("tokenizer.ggml.tokens").unwrap_or_default();
        let control = |id: usize| match self.get("tokenizer.ggml.token_type") {
            Some(Value::Ints(types)) => types.get(id) == Some(&CONTROL),
            _ => false,
        };
        let named = |key: &str| {
            let id = self.u32(&format!("tokenizer.ggml.{key}_token_id"));
            id.filter(|id| tokens.is_empty() || (*id as usize) < tokens.len())
        };
        let mut ids: Vec<u32> = Vec::new();
        for id in ["eos", "eot", "eom"].into_iter().filter_map(named) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let by_text = |texts: &[&str]| tokens.iter().position(|t| texts.contains(&t.as_str())).map(|id| id as u32);
        let fim: Vec<u32> = FIM_ENDS.iter().filter_map(|(key, texts)| named(key).or_else(|| by_text(texts))).collect();
        let has = |text: &str| tokens.iter().any(|t| t == text);
        // With channels <|end|> only ends a channel (gpt-oss: <|return|> and <|call|> end the reply; Solar Open: <|flush|>
        // and <|calls|>).
        let calls = has("<|call|>") || has("<|calls|>");
        let channels = calls && (has("<|return|>") || has("<|flush|>"));
        for (id, token) in tokens.iter().enumerate() {
            let text = token.as_str();
            let ends = END_TEXTS.contains(&text) && !(channels && text == "<|end|>")
                || END_CONTROL_TEXTS.contains(&text) && control(id) && !has("<|tool_response>")
                || fim.contains(&(id as u32));
            if ends && !ids.contains(&(id as u32)) {
                ids.push(id as u32);
            }
        }
        ids
    }
}
