//! Lacewing runs language models through WebGPU: in a browser tab, in Node, in Deno and natively.
//!
//! Data flow: `formats` turns bytes into named tensors and metadata; `model` turns metadata into a [`model::spec::ModelSpec`],
//! places every tensor in a device buffer of some `weights` layout, and plans a forward pass as a list of
//! [`kernels::Step`]s; an executor (`gpu::execute`, or `execute::cpu` with the naive references) runs that list;
//! `session` drives it: prompt -> ids (`text`) -> prefill -> decode -> pieces of text.
//!
//! Layers (each may use those to its right; `tests/layering.rs` checks it):
//! bin, web -> session -> {text, decode, state, clock} ; state -> model -> execute (the trait) ;
//! text -> {formats, clock} ; inspect -> {model, text} ;
//! gpu -> execute -> kernels -> weights -> formats ; bin, web -> gpu ; everything -> error.

pub mod clock;
pub mod decode;
pub mod error;
pub mod execute;
pub mod formats;
pub mod gpu;
pub mod inspect;
pub mod kernels;
pub mod model;
pub mod session;
pub mod state;
pub mod text;
#[cfg(target_arch = "wasm32")]
pub mod web;
pub mod weights;

pub use error::{Error, Result};

/// Compiles the Rust examples of the README.
#[cfg(all(doctest, not(target_arch = "wasm32")))]
#[doc = include_str!("../README.md")]
pub struct Readme;
