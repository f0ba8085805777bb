//! Tokens that the small files beside a tokenizer.json name: its vocabulary may lack them, as fine-tunes leave it.

use super::limits;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use tokenizers::{AddedToken, Tokenizer};

/// The keys that name one special token in every vocabulary, in the order in which transformers adds them.
const NAMED: &[&str] = &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The files beside a tokenizer.json that say what its tokens are for. As in transformers an `added_tokens_decoder` of
/// tokenizer_config.json makes the other two count for nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct TokenizerConfig<'a> {
    /// tokenizer_config.json; `added_tokens_decoder` may be its JSON text, which takes far less memory than a tree.
    pub config: Option<&'a Value>,
    /// special_tokens_map.json, which outranks tokenizer_config.json.
    pub special_tokens_map: Option<&'a Value>,
    /// added_tokens.json: ids by token.
    pub added_tokens: Option<&'a Value>,
}

/// A token with its flags. `normalized` unsaid is what `special` leaves, whatever that becomes.
#[derive(Deserialize, Clone, PartialEq)]
struct Token {
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

impl Token {
    fn plain(content: String, special: bool) -> Token {
        Token { content, special, single_word: false, lstrip: false, rstrip: false, normalized: None }
    }

    fn known(token: AddedToken) -> Token {
        let AddedToken { content, single_word, lstrip, rstrip, normalized, special } = token;
        Token { content, single_word, lstrip, rstrip, normalized: Some(normalized), special }
    }

    fn finish(self) -> AddedToken {
        let Token { content, single_word, lstrip, rstrip, normalized, special } = self;
        let normalized = normalized.unwrap_or(!special);
        AddedToken { content, single_word, lstrip, rstrip, normalized, special }
    }
}

/// A token that some key names, by its text or by an object with flags: special, whatever its flags say.
fn special(value: &Value) -> Option<Token> {
    match value {
        Value::String(text) => Some(Token::plain(text.clone(), true)),
        Value::Object(_) => Token::deserialize(value).ok().map(|token| Token { special: true, ..token }),
        _ => None,
    }
}

/// A list of tokens that are all special.
fn tokens(list: &Value) -> Vec<Token> {
    list.as_array().into_iter().flatten().filter_map(special).collect()
}

/// What the files say.
pub(super) struct Added {
    /// Tokens for the library, in the order in which transformers gives them to it; ids follow from the order, as there.
    /// The library ignores those that it knows with the same flags.
    pub tokens: Vec<AddedToken>,
    /// Keys such as `bos_token` with the texts of their tokens.
    pub named: Vec<(String, String)>,
}

/// Tokens named by their keys (those of `NAMED`, then the model's own, such as `image_token`), then those without one.
#[derive(Default)]
struct Names {
    keyed: BTreeMap<&'static str, Token>,
    own: Vec<(String, Token)>,
    /// `extra_special_tokens`, else `additional_special_tokens`, its name in older files.
    extra: Option<Vec<Token>>,
    additional: Option<Vec<Token>>,
}

impl Names {
    /// What all files have in common.
    fn take(&mut self, file: &Value) {
        for key in NAMED {
            match special(&file[*key]) {
                Some(token) => drop(self.keyed.insert(key, token)),
                None if file.get(key).is_some_and(Value::is_null) => drop(self.keyed.remove(key)),
                None => {}
            }
        }
        let own = |key: &str| key.ends_with("_token") && !NAMED.contains(&key);
        let members = file.as_object().into_iter().flatten().filter(|(key, _)| own(key));
        for (key, value) in members.chain(file["extra_special_tokens"].as_object().into_iter().flatten()) {
            if let Some(token) = special(value) {
                self.own_token(key.clone(), token);
            }
        }
    }

    fn take_config(&mut self, file: &Value) {
        self.take(file);
        let list = |key: &str| file.get(key).filter(|list| !list.is_object()).map(tokens);
        self.extra = list("extra_special_tokens");
        self.additional = list("additional_special_tokens");
        let keyed = file["extra_special_tokens"].as_object().is_some_and(|keyed| !keyed.is_empty());
        if self.additional.is_some() && self.extra.as_ref().is_none_or(Vec::is_empty) && !keyed {
            self.extra = self.additional.take();
        }
    }

    /// special_tokens_map.json outranks tokenizer_config.json, but for the model's own tokens.
    fn take_map(&mut self, file: &Value) {
        let own = std::mem::take(&mut self.own);
        self.take(file);
        own.into_iter().for_each(|(key, token)| self.own_token(key, token));
        if let Some(list) = file.get("additional_special_tokens") {
            self.additional = Some(tokens(list));
        }
        match file.get("extra_special_tokens") {
            Some(Value::Object(_)) => self.extra = None,
            Some(list) => self.extra.get_or_insert_default().extend(tokens(list)),
            None => {}
        }
    }

    /// Tokens of added_tokens.json, by id.
    fn added_tokens(&self, file: Option<&Value>) -> Result<BTreeMap<u32, Token>> {
        let named = self.keyed.values().chain(self.extra.iter().flatten());
        let special: HashSet<&String> = named.map(|token| &token.content).collect();
        let entry = |(text, id): (&String, &Value)| {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                Error::BadFile(format!("added_tokens.json: the id of {text:?} is {id}; download it again"))
            })?;
            let special = special.contains(text);
            Ok((id, Token { normalized: Some(!special), ..Token::plain(text.clone(), special) }))
        };
        file.and_then(Value::as_object).into_iter().flatten().map(entry).collect()
    }

    fn own_token(&mut self, key: String, token: Token) {
        match self.own.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = token,
            None => self.own.push((key, token)),
        }
    }
}

/// What the files add to `library`. Errors: `bad-file`.
pub(super) fn read(library: &Tokenizer, files: TokenizerConfig) -> Result<Added> {
    let mut names = Names::default();
    files.config.into_iter().for_each(|config| names.take_config(config));
    let present = library.get_added_tokens_decoder();
    let mut by_id = match listed(files.config)? {
        Some(listed) => listed,
        None => {
            files.special_tokens_map.into_iter().for_each(|map| names.take_map(map));
            let mut by_id = names.added_tokens(files.added_tokens)?;
            // Where both say something of an id, tokenizer.json does.
            by_id.extend(present.iter().map(|(id, token)| (*id, Token::known(token.clone()))));
            by_id
        }
    };
    let Names { mut keyed, own, extra, additional } = names;
    let flags: HashMap<&String, &Token> = by_id.values().map(|token| (&token.content, token)).collect();
    for token in keyed.values_mut() {
        if let Some(known) = flags.get(&token.content) {
            *token = (*known).clone();
        }
    }
    let mut named: Vec<(String, Token)> = Vec::new();
    named.extend(NAMED.iter().filter_map(|key| Some((key.to_string(), keyed.remove(key)?))));
    named.extend(own);
    let keys = named.iter().map(|(key, token)| (key.clone(), token.content.clone())).collect();
    let mut named: Vec<Token> = named.into_iter().map(|(_, token)| token).collect();
    let special: HashSet<&String> = named.iter().map(|token| &token.content).collect();
    by_id.values_mut().for_each(|token| token.special |= special.contains(&token.content));
    let mut tokens: Vec<Token> = by_id.into_values().collect();
    let texts = present.values().map(|token| &token.content).chain(tokens.iter().map(|token| &token.content));
    let known: HashSet<String> = texts.cloned().collect();
    named.extend(extra.or(additional).unwrap_or_default());
    for token in named.into_iter().filter(|token| !known.contains(&token.content)) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    let present: HashSet<AddedToken> = present.into_values().collect();
    let mut tokens: Vec<AddedToken> = tokens.into_iter().map(Token::finish).collect();
    tokens.retain(|token| !token.content.is_empty() && !present.contains(token));
    limits::check(tokens.len(), 0, tokens.iter().map(|token| token.content.len()).sum())?;
    Ok(Added { tokens, named: keys })
}

/// `added_tokens_decoder`, when the file has one.
fn listed(config: Option<&Value>) -> Result<Option<BTreeMap<u32, Token>>> {
    let tokens: serde_json::Result<Option<BTreeMap<u32, Token>>> =
        match config.map(|config| &config["added_tokens_decoder"]) {
            None => return Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text),
            Some(value) => Option::deserialize(value),
        };
    tokens.map_err(|e| {
        Error::BadFile(format!(
            "tokenizer_config.json: added_tokens_decoder is not a list of tokens by id ({e}); download it again"
        ))
    })
}
