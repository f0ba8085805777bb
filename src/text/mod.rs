//! Text <-> token ids: tokenizer, chat template, incremental detokenizer.

mod added;
mod byte_pieces;
pub mod chat;
mod gguf;
mod gguf_decode;
mod gguf_model;
mod gguf_table;
mod jinja;
mod limits;
mod pretokenizer;
mod spm;
pub mod stream;
pub mod tokenizer;
mod tokenizer_check;
mod tokenizer_json;

pub use chat::{ChatTemplate, RenderOptions};
pub use stream::Detokenizer;
pub use tokenizer::{Tokenizer, TokenizerConfig};
