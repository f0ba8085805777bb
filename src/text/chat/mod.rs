//! Chat templates: conversations -> prompts, byte for byte as transformers renders them with Jinja.

mod budget;
mod date;
mod filters;
mod guard;
mod operators;
mod printf;
mod python;

use crate::clock;
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior};
use serde_json::Value as Json;
use std::sync::Arc;

/// Instructions for a template alone, and for each value in messages and tools.
const FUEL: u64 = 200_000;
const FUEL_PER_VALUE: u64 = 2_000;
/// Bytes of values that a template may build, and how many for each byte of the input.
const BUDGET: usize = 4 << 20;
const BUDGET_PER_BYTE: usize = 64;
/// Bytes that text between tags may come to when it is repeated.
const MOST_TEXT: u64 = 256 << 20;
/// Longest template; real ones have at most 30 kB.
const MOST_SOURCE: usize = 1 << 20;
/// Frames; a call of a macro takes about ten. Low enough for the stack of a browser.
const MOST_FRAMES: usize = 200;

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    longest_text: usize,
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

/// The template's own refusal (`raise_exception`).
#[derive(Debug)]
struct Refusal(String);
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Refusal {}

impl ChatTemplate {
    /// Compiles a template. `bos` and `eos` are the texts of these tokens. Errors: `grammar-error`.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<ChatTemplate> {
        check_length(source)?;
        // As Jinja2 reads every template.
        let source = &source.replace("\r\n", "\n").replace('\r', "\n");
        let guarded = guard::rewrite(source)?;
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_undefined_behavior(UndefinedBehavior::Lenient);
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        env.set_recursion_limit(MOST_FRAMES);
        env.set_unknown_method_callback(python::method);
        env.set_formatter(|out, state, value| {
            let text = python::str(state, value)?;
            out.write_str(&text).map_err(minijinja::Error::from)
        });
        budget::install(&mut env);
        env.add_filter("tojson", python::to_json);
        filters::install(&mut env);
        env.add_function("raise_exception", |message: Option<&Value>| -> Result<Value, minijinja::Error> {
            let message = message.map_or_else(String::new, Value::to_string);
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
        });
        env.add_template_owned("chat", guarded.source).map_err(|e| {
            // The rewritten text must not show up in messages: name the fault of the original, if it has one.
            let original = Environment::new().template_from_str(source).err().unwrap_or(e);
            let line = original.line().map_or_else(String::new, |n| format!(" in line {n}"));
            let detail = original.detail().map_or_else(|| original.kind().to_string(), str::to_string);
            Error::GrammarError(format!("the chat template is not valid Jinja{line}: {detail}"))
        })?;
        let (bos, eos) = (bos.map(str::to_string), eos.map(str::to_string));
        Ok(ChatTemplate { environment: env, longest_text: guarded.longest_text, bos, eos })
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
        let fuel = FUEL + FUEL_PER_VALUE * values;
        let fuel = fuel.min(MOST_TEXT * 3 / (self.longest_text as u64).max(1)).min(i32::MAX as u64);
        let budget = budget::Budget::new(BUDGET + BUDGET_PER_BYTE * bytes);
        let mut env = self.environment.clone();
        env.set_fuel(Some(fuel));
        let mut context: Vec<(Arc<str>, Value)> = vec![
            ("messages".into(), Value::from_serialize(messages)),
            ("tools".into(), Value::from_serialize(tools)),
            ("documents".into(), Value::from(())),
            ("add_generation_prompt".into(), Value::from(options.add_generation_prompt)),
            (budget::KEY.into(), Value::from_object(budget)),
        ];
        for (name, text) in [("bos_token", &self.bos), ("eos_token", &self.eos)] {
            context.extend(text.as_ref().map(|text| (name.into(), Value::from(text.as_str()))));
        }
        let now = options.now;
        let strftime = move |state: &State, format: &str| {
            budget::spend(state, format.len() * 16)?;
            date::strftime(now.unwrap_or_else(clock::local_seconds), format)
        };
        context.push(("strftime_now".into(), Value::from_function(strftime)));
        let extra = options.extra.iter().filter(|(name, _)| *name != budget::KEY);
        context.extend(extra.map(|(name, value)| (name.as_str().into(), Value::from_serialize(value))));
        let template = env.get_template("chat").map_err(explain)?;
        template.render(context.into_iter().collect::<Value>()).map_err(explain)
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
    if depth > 2 * budget::MOST_DEPTH {
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

/// minijinja's error as one of ours.
fn explain(error: minijinja::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(this) = cause {
        if let Some(Refusal(message)) = this.downcast_ref() {
            return Error::BadRequest(message.clone());
        }
        cause = this.source();
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    let line = error.line().map_or_else(String::new, |n| format!(" in line {n}"));
    match error.kind() {
        ErrorKind::OutOfFuel => Error::GrammarError(format!(
            "the chat template was stopped{line}: {detail}. Expected one that ends after a few steps per message"
        )),
        _ if detail.contains("recursion limit") => {
            Error::GrammarError(format!("the chat template was stopped{line}: it calls itself too deeply"))
        }
        _ => Error::BadRequest(format!("the chat template failed on this conversation{line}: {detail}")),
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
