//! The text side of a model: its tokenizer and chat template, when it came with them.

use crate::error::{Error, Result};
use crate::model::open::ModelFiles;
use crate::text::chat::{self, ChatTemplate, RenderOptions};
use crate::text::tokenizer::Tokenizer;
use serde_json::Value;

/// See the module.
pub struct Text {
    tokenizer: Option<Tokenizer>,
    template: Option<ChatTemplate>,
}

impl Text {
    /// A model without text: token ids in, token ids out.
    pub fn none() -> Text {
        Text { tokenizer: None, template: None }
    }

    /// From the files of a model: tokenizer.json, else the GGUF metadata.
    pub fn new(files: &ModelFiles) -> Result<Text> {
        let tokenizer = match (&files.tokenizer_json, &files.gguf) {
            (Some(json), _) => {
                Some(Tokenizer::from_json(json, files.tokenizer_config.as_ref(), files.special_tokens_map.as_ref())?)
            }
            (None, Some(meta)) if meta.str("tokenizer.ggml.model").is_some_and(|m| m != "none") => {
                Some(Tokenizer::from_gguf(meta)?)
            }
            _ => None,
        };
        let source =
            chat::find(files.chat_template_jinja.as_deref(), files.tokenizer_config.as_ref(), files.gguf.as_ref());
        let template = match (source, &tokenizer) {
            (Some(source), Some(t)) => {
                Some(ChatTemplate::new(&source, t.bos_text().as_deref(), t.eos_text().as_deref())?)
            }
            _ => None,
        };
        Ok(Text { tokenizer, template })
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

    /// Whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// A conversation as token ids, ending where the assistant's reply begins.
    pub fn chat(&self, messages: &Value, tools: &Value) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer()?;
        let template = self.template.as_ref().ok_or_else(|| {
            Error::UnsupportedModel(
                "this model came without a chat template: prompt it with plain text, or choose an instruction-tuned model"
                    .into(),
            )
        })?;
        let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
        // Templates write BOS themselves.
        tokenizer.encode(&template.render(messages, tools, &options)?, false)
    }
}
