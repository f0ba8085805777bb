//! What a model is (`spec`), which ones are known (`archs`), where its weights go (`load`) and what it computes (`plan`).
//!
//! `open` reads the small files and the tensor headers; `config` and `gguf_config` turn either dialect into an
//! [`config::ArchInfo`]; `build` makes a [`spec::ModelSpec`] of it and of the tensors' shapes.

pub mod archs;
pub mod buffers;
pub mod build;
pub mod config;
mod gguf_config;
mod json;
pub mod load;
pub mod open;
mod placer;
pub mod plan;
pub mod rope;
mod rope_config;
pub mod spec;
pub mod tensors;
pub mod upload;
