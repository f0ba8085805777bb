//! Reads the sizes of layers from the shapes of their tensors, and checks them against what the whole model shares.

use super::super::archs::Arch;
use super::super::config::ArchInfo;
use super::super::tensors::{Dialect, Dim, Index, Need, Role, Wanted};
use super::{MAX_D_FF, MAX_HEADS, MAX_VOCAB, bounded, in_fours};
use crate::error::{Error, Result};
use crate::formats::Weight;
use std::collections::HashMap;

/// Sizes of one layer as its tensors have them.
pub(super) struct Sizes {
    pub n_heads: u32,
    pub n_kv_heads: u32,
    pub d_ff: u32,
}

pub(super) struct Shapes<'a> {
    pub index: Index<'a>,
    pub arch: &'static Arch,
    pub dialect: Dialect,
    pub info: &'a ArchInfo,
    pub d_model: u32,
    pub head_dim: u32,
}

/// Sizes found so far, and the tensor each comes from.
type Known = HashMap<Dim, (u64, String)>;

impl Shapes<'_> {
    fn known(&self) -> Known {
        let shared = [(Dim::Model, self.d_model), (Dim::Head, self.head_dim)];
        shared.into_iter().map(|(dim, n)| (dim, (u64::from(n), String::new()))).collect()
    }

    /// Requires the tensor's shape to agree with the known sizes, and learns the others from it.
    fn learn(&self, known: &mut Known, t: &Weight, wanted: &Wanted) -> Result<()> {
        let agrees = t.shape.len() == wanted.shape.len()
            && t.shape.iter().zip(wanted.shape).all(|(n, dim)| *n > 0 && known.get(dim).is_none_or(|(k, _)| k == n));
        if !agrees {
            let expected: Vec<String> = wanted.shape.iter().map(|dim| size_text(known, *dim)).collect();
            return Err(Error::BadFile(format!(
                "{} has shape {:?}, expected [{}], since the metadata says a residual width of {} and heads of {} \
                 dimensions: metadata and weights do not belong together",
                t.name,
                t.shape,
                expected.join(", "),
                self.d_model,
                self.head_dim
            )));
        }
        for (n, dim) in t.shape.iter().zip(wanted.shape) {
            known.entry(*dim).or_insert_with(|| (*n, t.name.clone()));
        }
        Ok(())
    }

    fn find(&self, role: Role, layer: usize) -> Option<&Weight> {
        self.index.get(&self.arch.tensor(role)?.name(self.dialect, layer))
    }

    /// Vocabulary and whether one matrix serves as embedding and output.
    pub(super) fn embeddings(&self) -> Result<(u32, bool)> {
        let mut known = self.known();
        for wanted in self.arch.wanted().filter(|w| !w.per_layer()) {
            let name = wanted.name(self.dialect, 0);
            // Only a config.json can say that embedding and output are two: then both must be there.
            let both = self.info.tied_embeddings == Some(false);
            let spared = matches!(wanted.need, Need::Unless(other) if !both && self.find(other, 0).is_some());
            match self.index.get(&name) {
                None if spared => {}
                None => return Err(self.index.need(&name).err().unwrap_or_else(|| Error::MissingTensor(name))),
                Some(t) => self.learn(&mut known, t, wanted)?,
            }
        }
        let has = |role| self.find(role, 0).is_some();
        let tied = self.info.tied_embeddings.unwrap_or(false) || !has(Role::Embed) || !has(Role::Output);
        let (rows, name) = known.remove(&Dim::Vocab).unwrap_or_default();
        let vocab = bounded("the vocabulary size", u32::try_from(rows).ok(), MAX_VOCAB)?;
        match self.info.vocab_size {
            Some(said) if said != vocab => Err(Error::BadFile(format!(
                "{name} has {vocab} rows, but the metadata says a vocabulary of {said} tokens: metadata and weights do \
                 not belong together"
            ))),
            _ => Ok((vocab, tied)),
        }
    }

    /// Sizes of a layer, from all of its tensors.
    pub(super) fn layer(&self, i: usize) -> Result<Sizes> {
        let mut known = self.known();
        for wanted in self.arch.wanted().filter(|w| w.per_layer()) {
            let name = wanted.name(self.dialect, i);
            let spared = match wanted.need {
                Need::Always => false,
                Need::Optional => true,
                Need::Unless(other) => self.find(other, i).is_some(),
            };
            match self.index.get(&name) {
                None if spared => {}
                None => return Err(self.index.need(&name).err().unwrap_or_else(|| Error::MissingTensor(name))),
                Some(t) => self.learn(&mut known, t, wanted)?,
            }
        }
        self.declared_biases(i)?;
        let heads = |dim: Dim| {
            let (rows, name) = known.get(&dim).cloned().unwrap_or_default();
            let n = rows / u64::from(self.head_dim);
            if !rows.is_multiple_of(u64::from(self.head_dim)) || n == 0 || n > u64::from(MAX_HEADS) {
                return Err(Error::BadFile(format!(
                    "{name} has {rows} rows, expected 1 to {MAX_HEADS} heads of {} dimensions (head_dim in the metadata)",
                    self.head_dim
                )));
            }
            Ok(n as u32)
        };
        let n_heads = heads(Dim::Q)?;
        let n_kv_heads = if known.contains_key(&Dim::Qkv) {
            let all = heads(Dim::Qkv)?;
            if all <= n_heads || !(all - n_heads).is_multiple_of(2) {
                let name = known.get(&Dim::Qkv).map(|(_, name)| name.as_str()).unwrap_or_default();
                return Err(Error::BadFile(format!(
                    "{name} has {all} heads of q, k and v, of which {n_heads} are q's"
                )));
            }
            (all - n_heads) / 2
        } else {
            heads(Dim::Kv)?
        };
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(Error::BadFile(format!(
                "layer {i} has {n_heads} query heads and {n_kv_heads} key heads: expected a multiple of the key heads"
            )));
        }
        let d_ff = known.get(&Dim::Ff).and_then(|(n, _)| u32::try_from(*n).ok());
        let d_ff = in_fours("an FFN", bounded("the FFN's width", d_ff, MAX_D_FF)?)?;
        Ok(Sizes { n_heads, n_kv_heads, d_ff })
    }

    /// Biases that config.json promises must be there.
    fn declared_biases(&self, i: usize) -> Result<()> {
        let bias = |role: Role| self.arch.tensor(role).map(|w| w.bias(self.dialect, i));
        for (key, promised, roles) in [
            ("attention_bias", self.info.attention_bias, &[Role::Q, Role::K, Role::V, Role::Qkv][..]),
            ("mlp_bias", self.info.mlp_bias, &[Role::Gate, Role::Up, Role::Down]),
        ] {
            let names: Vec<String> = roles.iter().filter_map(|r| bias(*r)).collect();
            if promised == Some(true) && !names.iter().any(|n| self.index.get(n).is_some()) {
                let name = names.first().map(String::as_str).unwrap_or_default();
                return Err(Error::MissingTensor(format!(
                    "config.json says {key}, but the model has no tensor {name}: the file is incomplete"
                ))
                .with("tensor", name));
            }
        }
        Ok(())
    }
}

fn size_text(known: &Known, dim: Dim) -> String {
    match known.get(&dim) {
        Some((n, name)) if name.is_empty() => n.to_string(),
        Some((n, name)) => format!("{n} as {name}"),
        None => "any".into(),
    }
}
