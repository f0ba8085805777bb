//! Activations, step state and outputs of a model: one set of buffers that all its plans share.

use super::spec::{LayerSpec, ModelSpec};
use crate::error::Result;
use crate::execute::{BufferUse, Executor};
use crate::kernels::{Bind, sample_reduce};
use crate::weights::UNIT;

/// Largest number of tokens in one pass of prefill: long enough to be bound by arithmetic on a discrete GPU, short
/// enough to stay far below watchdogs and to leave an abort a chance.
pub const MAX_CHUNK: u32 = 256;

/// Tokens per pass for which plans are made. One more plan costs bind groups, not weights.
pub const BUCKETS: &[u32] = &[1, 2, 4, 8, 32, MAX_CHUNK];

/// The smallest bucket that holds `n_tokens` (at most [`MAX_CHUNK`]).
pub fn bucket(n_tokens: u32) -> u32 {
    *BUCKETS.iter().find(|b| **b >= n_tokens).unwrap_or(&MAX_CHUNK)
}

/// Most splits of the keys in decode attention.
pub(super) const MAX_SPLITS: u32 = 16;

/// Words of the ring of drawn ids.
pub(super) const RING: u32 = 64;

/// Activations, state and outputs, shared by all plans of a model.
#[derive(Debug, Clone)]
pub struct Buffers {
    /// u32 `[MAX_CHUNK]`
    pub ids: Bind,
    /// [`crate::kernels::StepState`]
    pub state: Bind,
    /// [`sample_reduce::Sampling`]
    pub sampling: Bind,
    /// u32 `[vocab_size]`
    pub seen: Bind,
    /// f32 `[logit_rows, vocab_size]`
    pub logits: Bind,
    /// Rows of `logits`.
    pub logit_rows: u32,
    /// Tokens that fit in the activations.
    pub max_tokens: u32,
    pub(super) x: Bind,
    pub(super) normed: Bind,
    pub(super) qkv: Bind,
    pub(super) attended: Bind,
    pub(super) gate_up: Bind,
    pub(super) activated: Bind,
    /// u32 `[n_kv_heads]` of the layer with most, zeros: no layer has lost rows.
    pub(super) gone: Bind,
    pub(super) partials: Bind,
    pub(super) stats: Bind,
    pub(super) chunks: Bind,
    pub(super) ring: Bind,
    pub(super) widths: Widths,
}

/// Row strides of the activations in elements: the widest layer, padded to whole units so that a shader may read a
/// unit past the last column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    pub model: u32,
    pub qkv: u32,
    pub attended: u32,
    pub gate_up: u32,
    pub ff: u32,
}

impl Widths {
    fn of(spec: &ModelSpec) -> Widths {
        let widest =
            |f: &dyn Fn(&LayerSpec) -> u32| spec.layers.iter().map(f).max().unwrap_or(0).max(1).next_multiple_of(UNIT);
        Widths {
            model: spec.d_model.next_multiple_of(UNIT),
            qkv: widest(&|l| (l.n_heads + 2 * l.n_kv_heads) * l.head_dim),
            attended: widest(&|l| l.n_heads * l.head_dim),
            gate_up: widest(&|l| 2 * l.d_ff),
            ff: widest(&|l| l.d_ff),
        }
    }
}

impl Buffers {
    /// Allocates for passes of up to `max_tokens` tokens, logits of up to `logit_rows` positions.
    pub fn new(spec: &ModelSpec, max_tokens: u32, executor: &mut dyn Executor) -> Result<Buffers> {
        let w = Widths::of(spec);
        let mut make = |label: &str, words: u32, usage| {
            let bytes = (u64::from(words) * 4).next_multiple_of(16);
            let buffer = executor.create_buffer(label, bytes, usage)?;
            Ok(Bind { buffer, offset: 0, bytes })
        };
        let heads = spec.layers.iter().map(|l| l.n_heads).max().unwrap_or(1);
        let (scratch, state) = (BufferUse::Scratch, BufferUse::State);
        Ok(Buffers {
            ids: make("ids", MAX_CHUNK, state)?,
            state: make("state", 8, state)?,
            sampling: make("sampling", 8, state)?,
            seen: make("seen", spec.vocab_size, state)?,
            logits: make("logits", spec.vocab_size, scratch)?,
            logit_rows: 1,
            max_tokens,
            x: make("x", max_tokens * w.model, scratch)?,
            normed: make("normed", max_tokens * w.model, scratch)?,
            qkv: make("qkv", max_tokens * w.qkv, scratch)?,
            attended: make("attended", max_tokens * w.attended, scratch)?,
            gate_up: make("gate_up", max_tokens * w.gate_up, scratch)?,
            activated: make("activated", max_tokens * w.ff, scratch)?,
            gone: make("gone", spec.layers.iter().map(|l| l.n_kv_heads).max().unwrap_or(1), state)?,
            partials: make("partials", MAX_SPLITS * w.attended, scratch)?,
            stats: make("stats", MAX_SPLITS * heads * 2, scratch)?,
            chunks: make("chunks", spec.vocab_size.div_ceil(sample_reduce::CHUNK) * 4, scratch)?,
            ring: make("ring", RING, state)?,
            widths: w,
        })
    }

    /// Replaces `logits` by a buffer of at least `rows` rows (plans that use it must be compiled anew).
    /// True when it was replaced.
    pub async fn ensure_logit_rows(&mut self, rows: u32, vocab_size: u32, executor: &mut dyn Executor) -> Result<bool> {
        if rows <= self.logit_rows {
            return Ok(false);
        }
        let bytes = (u64::from(rows) * u64::from(vocab_size) * 4).next_multiple_of(16);
        let buffer = executor.create_buffer("logits", bytes, BufferUse::Scratch)?;
        // On the web a failed allocation is known only now: before the old buffer is given up.
        if let Err(e) = executor.flush().await {
            executor.destroy_buffer(buffer);
            return Err(e);
        }
        executor.destroy_buffer(self.logits.buffer);
        self.logits = Bind { buffer, offset: 0, bytes };
        self.logit_rows = rows;
        Ok(true)
    }
}
