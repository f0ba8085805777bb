//! Chat templates: conversations -> prompts, byte for byte as transformers renders them with Jinja.

use super::jinja::{self, Bounds, Fault, Kind};
use crate::clock;
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;
use serde_json::Value as Json;

/// Longest template; real ones have at most 30 kB.
const MOST_SOURCE: usize = 1 << 20;
/// Levels of lists and objects in messages and tools.
const MOST_DEPTH: usize = 128;

/// A compiled chat template.
pub struct ChatTemplate {
    template: jinja::Template,
    bos: Option<String>,
    eos: Option<String>,
}

/// What a template gets besides messages and tools.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// Whether the prompt ends where the assistant's reply begins.
    pub add_generation_prompt: bool,
    /// Seconds since 1970-01-01 00:00 on the user's clock (local time), for `strftime_now`. None: now, by
    /// [`clock::local_seconds`], natively as in JavaScript.
    pub now: Option<i64>,
    /// More variables, such as `enable_thinking` or `documents`.
    pub extra: serde_json::Map<String, Json>,
}

impl ChatTemplate {
    /// Compiles a template. `bos` and `eos` are the texts of these tokens. Errors: `grammar-error`.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<ChatTemplate> {
        check_length(source)?;
        let template = jinja::parse(source).map_err(|fault| {
            let Fault { message, line, .. } = *fault;
            Error::GrammarError(format!("the chat template is not valid Jinja in line {line}: {message}"))
        })?;
        Ok(ChatTemplate { template, bos: bos.map(str::to_string), eos: eos.map(str::to_string) })
    }

    /// The prompt for a conversation: `messages` is an array of `{role, content, ...}`, `tools` an array or null.
    /// Errors: `bad-request` when the template refuses the conversation (with its own words) or fails on it,
    /// `grammar-error` when it does not end or builds values beyond all reason.
    pub fn render(&self, messages: &Json, tools: &Json, options: &RenderOptions) -> Result<String> {
        if !messages.is_array() || !(tools.is_array() || tools.is_null()) {
            return Err(Error::BadRequest(
                "expected messages as an array of {role, content} and tools as an array or null".into(),
            ));
        }
        let (mut values, mut bytes) = (0, 0);
        for input in [messages, tools].into_iter().chain(options.extra.values()) {
            measure(input, 0, &mut values, &mut bytes)?;
        }
        let token = |text: &Option<String>| text.as_ref().map(|text| Json::from(text.as_str()));
        let (bos, eos) = (token(&self.bos), token(&self.eos));
        let generate = Json::from(options.add_generation_prompt);
        let mut variables = vec![
            ("messages", messages),
            ("tools", tools),
            ("documents", &Json::Null),
            ("add_generation_prompt", &generate),
        ];
        variables.extend(bos.as_ref().map(|bos| ("bos_token", bos)));
        variables.extend(eos.as_ref().map(|eos| ("eos_token", eos)));
        variables.extend(options.extra.iter().map(|(name, value)| (name.as_str(), value)));
        let now = options.now.unwrap_or_else(clock::local_seconds);
        jinja::render(&self.template, variables, now, bounds(values, bytes)).map_err(|fault| explain(*fault))
    }
}

/// What a template may use for `values` values of `bytes` bytes. Real templates compare every message with every other
/// at most, and copy what they have printed so far for each message.
fn bounds(values: u64, bytes: usize) -> Bounds {
    let (values, bytes) = (values.min(1 << 20), bytes as u64);
    Bounds {
        steps: 2_000_000 + 2_000 * values + 8 * values * values,
        work: (64 << 20) + bytes.saturating_mul(64 + values),
        held: (4 << 20) + 32 * bytes as usize,
        depth: 120,
    }
}

/// `grammar-error` for a template that is longer than any.
pub fn check_length(source: &str) -> Result<()> {
    if source.len() > MOST_SOURCE {
        let bytes = source.len();
        return Err(Error::GrammarError(format!("the chat template has {bytes} bytes; at most 1 MiB is allowed")));
    }
    Ok(())
}

/// Counts values and bytes of texts; refuses nesting that would overflow the stack.
fn measure(input: &Json, depth: usize, values: &mut u64, bytes: &mut usize) -> Result<()> {
    if depth > MOST_DEPTH {
        return Err(Error::BadRequest("messages and tools may nest at most 128 levels deep".into()));
    }
    *values += 1;
    *bytes += 8;
    match input {
        Json::String(text) => *bytes += text.len(),
        Json::Array(items) => items.iter().try_for_each(|item| measure(item, depth + 1, values, bytes))?,
        Json::Object(members) => {
            for (key, value) in members {
                *bytes += key.len();
                measure(value, depth + 1, values, bytes)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn explain(fault: Fault) -> Error {
    let Fault { kind, message, line } = fault;
    match kind {
        Kind::Refused => Error::BadRequest(message),
        Kind::Stopped => Error::GrammarError(format!(
            "the chat template was stopped in line {line}: {message}. Expected one that ends after a few steps per message"
        )),
        Kind::Failed | Kind::Syntax => {
            Error::BadRequest(format!("the chat template failed on this conversation in line {line}: {message}"))
        }
    }
}

/// The chat template of a model for conversations with or without tools: `chat_template.jinja` before
/// tokenizer_config.json's `chat_template` (a text, or a list of `{name, template}`) before GGUF's
/// `tokenizer.chat_template`. Of several, as in transformers, the one named `tool_use` where there are tools, else
/// `default`.
pub fn find<'a>(
    jinja: Option<&'a str>,
    config: Option<&'a Json>,
    gguf: Option<&'a Metadata>,
    tools: bool,
) -> Option<&'a str> {
    if jinja.is_some() {
        return jinja;
    }
    let names = if tools { &["tool_use", "default"][..] } else { &["default"] };
    let from_config = config.and_then(|config| match &config["chat_template"] {
        Json::String(template) => Some(template.as_str()),
        Json::Array(list) => {
            let named = |name: &&str| list.iter().find(|t| t["name"] == *name)?["template"].as_str();
            names.iter().find_map(named)
        }
        _ => None,
    });
    let from_gguf = || {
        let gguf = gguf?;
        let named = names.iter().find_map(|name| gguf.str(&format!("tokenizer.chat_template.{name}")));
        named.or_else(|| gguf.str("tokenizer.chat_template"))
    };
    from_config.or_else(from_gguf)
}
