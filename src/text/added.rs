//! Tokens that tokenizer_config.json knows and tokenizer.json lacks, as fine-tunes leave them.

use super::limits;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use tokenizers::{AddedToken, Tokenizer};

/// The keys that name one special token; `additional_special_tokens` is a list of them.
const NAMED: &[&str] = &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A token as the files write it: its text, or an object with flags.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Flags(Flags),
}

#[derive(Deserialize)]
struct Flags {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl Flags {
    fn token(self, special: bool) -> AddedToken {
        let special = special || self.special;
        AddedToken::from(self.content, special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!special))
    }
}

/// What to add to `library`, in the order in which transformers adds it: `added_tokens_decoder` by id, then the special
/// tokens that are named. Ids follow from the order, as there. special_tokens_map.json counts where there is no
/// `added_tokens_decoder`. Errors: `bad-file`.
pub(super) fn lacking(
    library: &Tokenizer,
    config: Option<&Value>,
    special_tokens_map: Option<&Value>,
) -> Result<Vec<AddedToken>> {
    let listed = listed(config)?;
    let maps = [config, special_tokens_map.filter(|_| listed.is_empty())];
    let mut named: Vec<AddedToken> = Vec::new();
    let mut keys = Vec::new();
    for file in maps.into_iter().flatten() {
        let values = NAMED.iter().map(|key| (*key, &file[*key]));
        let more = file["additional_special_tokens"].as_array().into_iter().flatten();
        for (key, value) in values.chain(more.map(|value| ("", value))) {
            // The first file that names a token wins.
            if !key.is_empty() && keys.contains(&key) {
                continue;
            }
            let token = match Written::deserialize(value) {
                Ok(Written::Text(text)) => AddedToken::from(text, true),
                Ok(Written::Flags(flags)) => flags.token(true),
                Err(_) => continue,
            };
            keys.push(key);
            named.push(token);
        }
    }
    let special: HashSet<String> = named.iter().map(|token| token.content.clone()).collect();
    let known = library.get_added_vocabulary();
    let mut seen = HashSet::new();
    let mut lacking = Vec::new();
    for mut token in listed.into_values().chain(named) {
        token.special |= special.contains(&token.content);
        let there = known.get_vocab().contains_key(&token.content);
        if (there && (!token.special || known.is_special_token(&token.content)))
            || token.content.is_empty()
            || !seen.insert(token.content.clone())
        {
            continue;
        }
        lacking.push(token);
    }
    limits::check(lacking.len(), 0, lacking.iter().map(|token| token.content.len()).sum())?;
    Ok(lacking)
}

/// `added_tokens_decoder`: an object, or its text, which takes far less memory.
fn listed(config: Option<&Value>) -> Result<BTreeMap<u32, AddedToken>> {
    let tokens: serde_json::Result<Option<BTreeMap<u32, Flags>>> =
        match config.map(|config| &config["added_tokens_decoder"]) {
            None => return Ok(BTreeMap::new()),
            Some(Value::String(text)) => serde_json::from_str(text),
            Some(value) => Option::deserialize(value),
        };
    let tokens = tokens.map_err(|e| {
        Error::BadFile(format!(
            "tokenizer_config.json: added_tokens_decoder is not a list of tokens by id ({e}); download it again"
        ))
    })?;
    Ok(tokens.into_iter().flatten().map(|(id, flags)| (id, flags.token(false))).collect())
}
