//! The text side of a model: its tokenizer and chat template, when it came with them.

use crate::error::{Error, Result};
use crate::model::open::TextFiles;
use crate::text::chat::{self, ChatTemplate, RenderOptions};
use crate::text::tokenizer::{Tokenizer, TokenizerConfig};
use serde_json::Value;

/// See the module.
pub struct Text {
    tokenizer: Option<Tokenizer>,
    /// A template that does not parse is an error for those who chat: a plain text does without.
    template: Option<Result<ChatTemplate>>,
    /// For conversations with tools, where it is another one.
    tool_template: Option<Result<ChatTemplate>>,
}

impl Text {
    /// A model without text: token ids in, token ids out.
    pub fn none() -> Text {
        Text { tokenizer: None, template: None, tool_template: None }
    }

    /// From the files of a model: tokenizer.json, else the GGUF metadata. The files end here: what is needed of them is
    /// taken over.
    pub fn new(files: TextFiles) -> Result<Text> {
        let TextFiles {
            gguf,
            tokenizer_json,
            tokenizer_config: config,
            special_tokens_map: map,
            added_tokens,
            chat_template_jinja,
        } = files;
        let find = |tools| chat::find(chat_template_jinja.as_deref(), config.as_ref(), gguf.as_ref(), tools);
        let (source, tool_source) = (find(false), find(true));
        let tool_source = tool_source.filter(|tools| source != Some(tools));
        // Checked before it is copied: this may be most of a file.
        let keep = |source: &str| chat::check_length(source).map(|()| source.to_string());
        let (source, tool_source) = (source.map(keep), tool_source.map(keep));
        let tokenizer = match (tokenizer_json, gguf) {
            (Some(json), _) => {
                let (config, special_tokens_map) = (config.as_ref(), map.as_ref());
                let files = TokenizerConfig { config, special_tokens_map, added_tokens: added_tokens.as_ref() };
                Some(Tokenizer::from_json(json, files)?)
            }
            (None, Some(meta))
                if meta.str("tokenizer.ggml.model").is_some_and(|m| !matches!(m, "none" | "no_vocab")) =>
            {
                Some(Tokenizer::from_gguf(meta)?)
            }
            _ => None,
        };
        let compile = |source: Option<Result<String>>| {
            let (source, tokenizer) = (source?, tokenizer.as_ref()?);
            let (bos, eos) = (tokenizer.bos_text(), tokenizer.eos_text());
            Some(source.and_then(|source| ChatTemplate::new(&source, bos.as_deref(), eos.as_deref())))
        };
        let (template, tool_template) = (compile(source), compile(tool_source));
        Ok(Text { tokenizer, template, tool_template })
    }

    /// The tokenizer, or an error that says how to do without.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            Error::UnsupportedModel(
                "this model came without a tokenizer (no tokenizer.json and none in the GGUF): prompt it with token ids"
                    .into(),
            )
        })
    }

    /// Whether there is a chat template, be it one that does not parse.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some() || self.tool_template.is_some()
    }

    /// A conversation as token ids, ending where the assistant's reply begins. Errors: `grammar-error` when the template
    /// does not parse, and those of [`ChatTemplate::render`].
    pub fn chat(&self, messages: &Value, tools: &Value) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer()?;
        let for_tools = self.tool_template.as_ref().filter(|_| !tools.is_null());
        let template = for_tools.or(self.template.as_ref()).ok_or_else(|| {
            Error::UnsupportedModel(
                "this model came without a chat template: prompt it with plain text, or choose an instruction-tuned model"
                    .into(),
            )
        })?;
        let template = template.as_ref().map_err(Error::clone)?;
        // BOS and EOS are there already; other names than these might be those of the template's arguments.
        let own = |key: &str| key.ends_with("_token") && !matches!(key, "bos_token" | "eos_token");
        let named = tokenizer.named_tokens().iter().filter(|(key, _)| own(key));
        let extra = named.map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect();
        let options = RenderOptions { add_generation_prompt: true, extra, ..RenderOptions::default() };
        tokenizer.encode_chat(&template.render(messages, tools, &options)?)
    }
}
