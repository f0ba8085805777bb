//! The tokens of a GGUF vocabulary and what each is for, with llama.cpp's corrections of files that say it wrongly.

use super::gguf_decode::Role;
use super::limits;
use super::spm::byte_of;
use crate::error::{Error, Result};
use crate::formats::gguf::{Metadata, Value as Meta};
use tokenizers::AddedToken;

/// Tokens of code completion: control tokens, whatever type the file gives them.
const FIM: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];

/// Tokens that divide a reply into channels: readers need to see them.
const CHANNELS: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// What the token `text` of a type is for. `ends` says whether it ends a reply.
fn role(kind: i64, text: &str, ends: bool) -> Role {
    match (kind, text) {
        (_, text) if CHANNELS.contains(&text) => Role::UserDefined,
        // It ends a channel, where something else ends the reply.
        (_, "<|end|>") if !ends => Role::UserDefined,
        // A tag of HTML, where something else ends the reply.
        (3, "</s>") if !ends => Role::Normal,
        (_, text) if ends || FIM.contains(&text) => Role::Special,
        (1, _) => Role::Normal,
        (2 | 3, _) => Role::Special,
        (4, _) => Role::UserDefined,
        (6, _) => Role::Byte,
        _ => Role::Unused,
    }
}

/// The vocabulary as it lies in the file.
pub(super) struct Table {
    /// Until the model takes them over.
    pub tokens: Vec<String>,
    pub n_tokens: usize,
    /// By id.
    pub roles: Vec<Role>,
    special_ids: Vec<(&'static str, Option<u32>)>,
    /// Tokens that end a reply.
    pub ends: Vec<u32>,
}

impl Table {
    pub fn read(meta: &mut Metadata) -> Result<Table> {
        let ends = meta.end_ids();
        let mut tokens = take(meta, "tokenizer.ggml.tokens").filter(|t| !t.is_empty()).ok_or_else(|| {
            Error::BadFile("the GGUF file has no tokenizer.ggml.tokens: expected the vocabulary as an array of strings; convert the model again".into())
        })?;
        limits::check(tokens.len(), 0, tokens.iter().map(String::len).sum())?;
        let types: Vec<i64> = match meta.get("tokenizer.ggml.token_type") {
            None => vec![1; tokens.len()],
            Some(Meta::Ints(types)) => per_token("token_type", types, tokens.len(), |t| t)?,
            Some(_) => return Err(no_numbers("token_type")),
        };
        let roles = tokens.iter().zip(types).enumerate();
        let roles = roles.map(|(id, (text, kind))| role(kind, text, ends.contains(&(id as u32)))).collect();
        // Empty and repeated spellings cannot be told apart in text; give them names that no text contains.
        let mut seen = std::collections::HashSet::with_capacity(tokens.len());
        let mut unusable = Vec::new();
        for (id, token) in tokens.iter().enumerate() {
            if token.is_empty() || !seen.insert(token.as_str()) {
                unusable.push(id);
            }
        }
        drop(seen);
        // An empty one prints as in llama.cpp.
        unusable.into_iter().for_each(|id| {
            let why = if tokens[id].is_empty() { "EMPTY" } else { "UNUSED" };
            tokens[id] = format!("[{why}_{id}]");
        });
        let special_ids = ["bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "cls"]
            .map(|name| {
                let id = meta.u32(&format!("tokenizer.ggml.{name}_token_id"));
                (name, id.filter(|&id| (id as usize) < tokens.len()))
            })
            .to_vec();
        Ok(Table { n_tokens: tokens.len(), tokens, roles, special_ids, ends })
    }

    pub fn id(&self, name: &str) -> Option<u32> {
        self.special_ids.iter().find(|(n, _)| *n == name).and_then(|(_, id)| *id)
    }

    /// The id if there is such a token.
    pub fn checked(&self, id: u32) -> Option<u32> {
        ((id as usize) < self.n_tokens).then_some(id)
    }

    /// The tokens, for the model; what is asked of the table afterwards does not need them.
    pub fn take_tokens(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tokens)
    }

    /// Tokens that are found in a text before anything else happens to it.
    pub fn added(&self, rstrip: impl Fn(&str) -> bool) -> Vec<AddedToken> {
        let roles = self.tokens.iter().zip(&self.roles);
        roles
            .filter(|(_, role)| matches!(role, Role::Special | Role::UserDefined))
            .map(|(token, role)| {
                AddedToken::from(token.clone(), *role == Role::Special).normalized(false).rstrip(rstrip(token))
            })
            .collect()
    }

    /// Takes pieces `<0xAB>` for bytes where the file marks none: some converters do not.
    pub fn find_bytes(&mut self) {
        if self.roles.contains(&Role::Byte) {
            return;
        }
        for (role, token) in self.roles.iter_mut().zip(&self.tokens) {
            if *role == Role::Normal && byte_of(token).is_some() {
                *role = Role::Byte;
            }
        }
    }
}

/// Takes a list of texts out of the metadata.
pub(super) fn take(meta: &mut Metadata, key: &str) -> Option<Vec<String>> {
    let (_, value) = meta.entries.iter_mut().find(|(k, _)| k == key)?;
    match value {
        Meta::Strings(list) => Some(std::mem::take(list)),
        _ => None,
    }
}

/// The entries of a list that belong to the `n` tokens; what comes after them belongs to none.
pub(super) fn per_token<T: Copy, U>(key: &str, list: &[T], n: usize, convert: impl Fn(T) -> U) -> Result<Vec<U>> {
    let Some(list) = list.get(..n) else {
        return Err(Error::BadFile(format!(
            "tokenizer.ggml.{key} has {} entries, expected one per token ({n}); convert the model again",
            list.len()
        )));
    };
    Ok(list.iter().map(|t| convert(*t)).collect())
}

pub(super) fn no_numbers(key: &str) -> Error {
    Error::BadFile(format!(
        "tokenizer.ggml.{key} is not a list of numbers, expected one per token; convert the model again"
    ))
}
