//! Text <-> ids, from a `tokenizer.json` or from GGUF metadata.

pub use super::added::TokenizerConfig;
use super::byte_pieces;
use super::gguf_decode;
use super::gguf_model::GgufModel;
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;
use std::rc::Rc;
use tokenizers::{
    Decoder, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl,
};

/// A pipeline around a model of GGUF that the `tokenizers` crate does not have.
pub(super) type GgufPipeline =
    TokenizerImpl<GgufModel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Normalizer, pre-tokenizer and model; of a tokenizer.json the decoder, too.
pub(super) enum Pipeline {
    /// Everything that `tokenizers` knows.
    Library(Box<tokenizers::Tokenizer>),
    /// SentencePiece BPE by scores, and GGUF's WordPiece.
    Gguf(Box<GgufPipeline>),
}

/// Runs the same call on either pipeline.
macro_rules! on_pipeline {
    ($pipeline:expr, $p:ident => $call:expr) => {
        match $pipeline {
            Pipeline::Library($p) => $call,
            Pipeline::Gguf($p) => $call,
        }
    };
}

/// Who adds BOS and EOS.
pub(super) enum Specials {
    /// The post-processor of tokenizer.json.
    PostProcessor,
    /// These ids go before and after the text.
    Around(Option<u32>, Option<u32>),
}

/// What a [`Tokenizer`] shares with its clones.
pub(super) struct Inner {
    pub pipeline: Pipeline,
    /// What makes text of the ids of a GGUF vocabulary.
    pub gguf: Option<gguf_decode::Decoder>,
    pub specials: Specials,
    /// BOS of a GGUF that wants one before everything, prompts of chat templates included.
    pub always_bos: Option<u32>,
    pub vocab_size: usize,
    pub bos: Option<u32>,
    pub eos: Vec<u32>,
    /// See [`Tokenizer::named_tokens`].
    pub named: Vec<(String, String)>,
}

/// Text <-> token ids. Clones share the vocabulary.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: Rc<Inner>,
}

impl Tokenizer {
    /// From the bytes of a `tokenizer.json` and the small files beside it: they say which tokens are BOS and EOS, and may
    /// name tokens that tokenizer.json lacks. Errors: `bad-file`.
    pub fn from_json(bytes: impl AsRef<[u8]>, files: TokenizerConfig) -> Result<Tokenizer> {
        let (mut library, mut vocab_size) = super::tokenizer_json::read(bytes)?;
        let added = super::added::read(&library, files)?;
        library.add_tokens(&added.tokens);
        let ids = added.tokens.iter().filter_map(|token| library.token_to_id(&token.content));
        vocab_size = ids.map(|id| id as usize + 1).fold(vocab_size, usize::max);
        // A file may carry the settings of some training run; a prompt is never cut or padded here.
        library
            .with_padding(None)
            .with_truncation(None)
            .map_err(|e| Error::BadFile(format!("tokenizer.json: truncation cannot be switched off: {e}")))?;
        let id = |key: &str| {
            let (_, text) = added.named.iter().find(|(known, _)| known == key)?;
            library.token_to_id(text)
        };
        let (bos, eos) = (id("bos_token"), id("eos_token").into_iter().collect());
        Ok(Tokenizer {
            inner: Rc::new(Inner {
                pipeline: Pipeline::Library(Box::new(library)),
                gguf: None,
                // Not add_bos_token of tokenizer_config.json, which transformers does not read beside a tokenizer.json.
                specials: Specials::PostProcessor,
                always_bos: None,
                vocab_size,
                bos,
                eos,
                named: added.named,
            }),
        })
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
        let fail = |e| Error::BadRequest(format!("the text cannot be tokenized: {e}"));
        let encoding = on_pipeline!(&self.inner.pipeline, p => p.encode_fast(text, false)).map_err(fail)?;
        let mut ids = encoding.get_ids().to_vec();
        if !add_special {
            return Ok(ids);
        }
        match &self.inner.specials {
            Specials::PostProcessor => {
                let written = self.leading_bos(&ids);
                let whole =
                    on_pipeline!(&self.inner.pipeline, p => p.post_process(encoding, None, true)).map_err(fail)?;
                ids = whole.get_ids().to_vec();
                if written > 0 && self.leading_bos(&ids) > written {
                    ids.remove(0);
                }
            }
            Specials::Around(before, after) => {
                if before.is_some() && before.as_ref() != ids.first() {
                    ids.splice(0..0, *before);
                }
                let own = ids.len() - usize::from(before.is_some());
                if after.is_some() && (own == 0 || after.as_ref() != ids.last()) {
                    ids.extend(*after);
                }
            }
        }
        Ok(ids)
    }

    /// How many BOS begin these ids.
    fn leading_bos(&self, ids: &[u32]) -> usize {
        ids.iter().take_while(|id| Some(**id) == self.inner.bos).count()
    }

    /// Ids of what a chat template gave. Templates of Hugging Face write BOS themselves, and like transformers nothing is
    /// added to them; a GGUF that adds BOS to texts gets exactly one, whether its template writes it or not, like
    /// llama.cpp.
    pub fn encode_chat(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(text, false)?;
        if let Some(bos) = self.inner.always_bos {
            ids.splice(..self.leading_bos(&ids), [bos]);
        }
        Ok(ids)
    }

    /// Text of ids; `skip_special` leaves out special tokens. Ids beyond the vocabulary give no text; bytes that are
    /// not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        if let Some(gguf) = &self.inner.gguf {
            return Ok(gguf.decode(ids, skip_special, |id| self.token_str(id)));
        }
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

    /// Whether the text of ids may change where it has been certain: WordPiece takes spaces away around what follows.
    pub(super) fn tidies(&self) -> bool {
        self.inner.gguf.as_ref().is_some_and(|gguf| gguf.spelled == gguf_decode::Spelled::Words)
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

    /// What tokenizer_config.json and special_tokens_map.json call some tokens: (`pad_token`, text) and the like. Chat
    /// templates may write them. None of a GGUF.
    pub fn named_tokens(&self) -> &[(String, String)] {
        &self.inner.named
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
