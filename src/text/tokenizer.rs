//! Text <-> ids, from a `tokenizer.json` or from GGUF metadata.

use super::byte_pieces;
use super::spm::Spm;
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;
use serde_json::Value;
use std::rc::Rc;
use tokenizers::{
    Decoder, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl,
};

/// A pipeline around the SentencePiece model of GGUF, which the `tokenizers` crate does not have.
pub(super) type SpmPipeline =
    TokenizerImpl<Spm, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Normalizer, pre-tokenizer, model and decoder.
pub(super) enum Pipeline {
    /// Everything that `tokenizers` knows.
    Library(Box<tokenizers::Tokenizer>),
    /// SentencePiece BPE by scores.
    Spm(Box<SpmPipeline>),
}

/// Runs the same call on either pipeline.
macro_rules! on_pipeline {
    ($pipeline:expr, $p:ident => $call:expr) => {
        match $pipeline {
            Pipeline::Library($p) => $call,
            Pipeline::Spm($p) => $call,
        }
    };
}

/// Who adds BOS and EOS.
pub(super) enum Specials {
    /// The post-processor of tokenizer.json.
    PostProcessor,
    /// These ids go before and after the text.
    Around(Vec<u32>, Vec<u32>),
}

/// What a [`Tokenizer`] shares with its clones.
pub(super) struct Inner {
    pub pipeline: Pipeline,
    pub specials: Specials,
    /// BOS of a GGUF that wants one before everything, prompts of chat templates included.
    pub always_bos: Option<u32>,
    pub vocab_size: usize,
    pub bos: Option<u32>,
    pub eos: Vec<u32>,
}

/// Text <-> token ids. Clones share the vocabulary.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: Rc<Inner>,
}

impl Tokenizer {
    /// From the bytes of a `tokenizer.json`; `config` is tokenizer_config.json and `special_tokens_map` the file of
    /// that name: they say which tokens are BOS and EOS, and may name tokens that tokenizer.json lacks. Errors: `bad-file`.
    pub fn from_json(
        bytes: impl AsRef<[u8]>,
        config: Option<&Value>,
        special_tokens_map: Option<&Value>,
    ) -> Result<Tokenizer> {
        let (mut library, mut vocab_size) = super::tokenizer_json::read(bytes)?;
        let added = super::added::lacking(&library, config, special_tokens_map)?;
        library.add_tokens(&added);
        let ids = added.iter().filter_map(|token| library.token_to_id(&token.content));
        vocab_size = ids.map(|id| id as usize + 1).fold(vocab_size, usize::max);
        // A file may carry the settings of some training run; a prompt is never cut or padded here.
        library
            .with_padding(None)
            .with_truncation(None)
            .map_err(|e| Error::BadFile(format!("tokenizer.json: truncation cannot be switched off: {e}")))?;
        let special = |key: &str| {
            [config, special_tokens_map].into_iter().flatten().find_map(|file| {
                let token = &file[key];
                token.as_str().or_else(|| token["content"].as_str()).and_then(|t| library.token_to_id(t))
            })
        };
        let (bos, eos) = (special("bos_token"), special("eos_token"));
        let specials = specials_of_config(config, bos, eos);
        let pipeline = Pipeline::Library(Box::new(library));
        let eos = eos.into_iter().collect();
        Ok(Tokenizer { inner: Rc::new(Inner { pipeline, specials, always_bos: None, vocab_size, bos, eos }) })
    }

    /// From the `tokenizer.*` keys of a GGUF file, whose lists are taken over or freed. Errors: `bad-file` when keys are missing or contradict each other,
    /// `unsupported-format` for vocabularies other than llama (SentencePiece), gpt2, gemma4 (BPE) and bert (WordPiece).
    pub fn from_gguf(meta: Metadata) -> Result<Tokenizer> {
        super::gguf::build(meta)
    }

    /// Ids of a text. Special tokens written out in the text become their ids, as chat templates need it.
    ///
    /// `add_special` adds what the model expects around a plain text (BOS, for some EOS). Use `false` for the output of
    /// a chat template, or [`Tokenizer::encode_chat`]. A text that already begins with BOS (or ends with EOS) does not get a second one.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let library = add_special && matches!(self.inner.specials, Specials::PostProcessor);
        let encoding = on_pipeline!(&self.inner.pipeline, p => p.encode_fast(text, library))
            .map_err(|e| Error::BadRequest(format!("the text cannot be tokenized: {e}")))?;
        let mut ids = encoding.get_ids().to_vec();
        if !add_special {
            return Ok(ids);
        }
        if let Specials::Around(before, after) = &self.inner.specials {
            if !(before.len() == 1 && ids.first() == before.first()) {
                ids.splice(0..0, before.iter().copied());
            }
            if !(after.len() == 1 && ids.len() > before.len() && ids.last() == after.last()) {
                ids.extend(after);
            }
        } else if ids.len() > 1 && ids[0] == ids[1] && Some(ids[0]) == self.inner.bos {
            ids.remove(0);
        }
        Ok(ids)
    }

    /// Ids of what a chat template gave. Templates of Hugging Face write BOS themselves, and like transformers nothing is
    /// added to them; a GGUF that adds BOS to texts gets exactly one, whether its template writes it or not, like
    /// llama.cpp.
    pub fn encode_chat(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(text, false)?;
        if let Some(bos) = self.inner.always_bos {
            let written = ids.iter().take_while(|id| **id == bos).count();
            ids.splice(..written, [bos]);
        }
        Ok(ids)
    }

    /// Text of ids; `skip_special` leaves out special tokens. Ids beyond the vocabulary give no text; bytes that are
    /// not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        on_pipeline!(&self.inner.pipeline, p => match p.get_decoder() {
            Some(decoder) if byte_pieces::has_fallback(decoder) => {
                let special = |id: &u32| skip_special && self.is_special(*id);
                let mut pieces: Vec<String> =
                    ids.iter().filter(|id| !special(id)).filter_map(|id| self.token_str(*id)).collect();
                byte_pieces::replace_broken(&mut pieces);
                decoder.decode(pieces)
            }
            _ => p.decode(ids, skip_special),
        })
        .map_err(|e| Error::BadRequest(format!("these ids cannot be turned into text: {e}")))
    }

    /// One more than the largest id. A model's embedding may have more rows (padding).
    pub fn vocab_size(&self) -> usize {
        self.inner.vocab_size
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.inner.bos
    }

    /// The tokens that end a reply as far as the tokenizer knows: end of sequence, of turn and of message.
    /// `generation_config.json` may know more.
    pub fn eos_ids(&self) -> Vec<u32> {
        self.inner.eos.clone()
    }

    /// A token as the vocabulary spells it (with `Ġ` or `▁` for spaces); None beyond the vocabulary.
    pub fn token_str(&self, id: u32) -> Option<String> {
        on_pipeline!(&self.inner.pipeline, p => p.id_to_token(id))
    }

    /// The id of a token as the vocabulary spells it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        on_pipeline!(&self.inner.pipeline, p => p.token_to_id(token))
    }

    /// Whether a token is special: not part of the text that a reader sees.
    pub fn is_special(&self, id: u32) -> bool {
        let Some(token) = self.token_str(id) else { return false };
        on_pipeline!(&self.inner.pipeline, p => p.get_added_vocabulary().is_special_token(&token))
    }

    /// `bos_token` for chat templates.
    pub fn bos_text(&self) -> Option<String> {
        self.inner.bos.and_then(|id| self.token_str(id))
    }

    /// `eos_token` for chat templates.
    pub fn eos_text(&self) -> Option<String> {
        self.inner.eos.first().and_then(|&id| self.token_str(id))
    }
}

/// transformers rebuilds the post-processor of some classes from `add_bos_token` and `add_eos_token`.
fn specials_of_config(config: Option<&Value>, bos: Option<u32>, eos: Option<u32>) -> Specials {
    let Some(config) = config else { return Specials::PostProcessor };
    let class = config["tokenizer_class"].as_str().unwrap_or_default();
    let rebuilt = ["LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer"]
        .iter()
        .any(|name| class.strip_suffix("Fast").unwrap_or(class) == *name);
    let (add_bos, add_eos) = (config["add_bos_token"].as_bool(), config["add_eos_token"].as_bool());
    if !rebuilt || (add_bos.is_none() && add_eos.is_none()) {
        return Specials::PostProcessor;
    }
    let pick = |add: bool, id: Option<u32>| id.filter(|_| add).into_iter().collect();
    Specials::Around(pick(add_bos.unwrap_or(true), bos), pick(add_eos.unwrap_or(false), eos))
}
