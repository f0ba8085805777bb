//! Element types of the KV cache: one row each. Their reads and writes in shaders are `shaders/lib/kv.wgsl` and
//! `kv_pair.wgsl`, chosen by the row's flag.

use super::{Caps, OutputKind, Slot, Variant};
use half::f16;

/// Element type of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvType {
    /// Two per word; the default.
    F16,
    /// For checks.
    F32,
}

/// What is to be known of a type.
struct Row {
    /// The name that options use.
    name: &'static str,
    /// The flag that shaders test; None for the default.
    flag: Option<&'static str>,
    /// Bytes of an element.
    bytes: u32,
    /// Shaders read it with f16 types where there are some.
    f16: bool,
    /// What a kernel that writes f32 first and then keys and values writes.
    outputs: OutputKind,
    /// How far a stored value may be off, relatively. f16: WGSL leaves the direction of rounding open, one unit in the
    /// last of 11 bits; f32: the roundings of the arithmetic before.
    rounding: f32,
    /// Element i of the words.
    load: fn(&[u32], usize) -> f64,
    /// Stores values at an even element of the words; their number is even, too.
    store: fn(&mut [u32], usize, &[f64]),
}

const F16: Row = Row {
    name: "f16",
    flag: None,
    bytes: 2,
    f16: true,
    outputs: OutputKind::F32ThenF16,
    rounding: 1.05e-3,
    load: |words, i| f16::from_bits((words[i / 2] >> (16 * (i % 2))) as u16).into(),
    store: |words, start, values| {
        for (out, pair) in words[start / 2..].iter_mut().zip(values.chunks_exact(2)) {
            *out = pack_f16(pair[0], pair[1]);
        }
    },
};

const F32: Row = Row {
    name: "f32",
    flag: Some("KV_F32"),
    bytes: 4,
    f16: false,
    outputs: OutputKind::F32,
    rounding: 2e-6,
    load: |words, i| f32::from_bits(words[i]).into(),
    store: |words, start, values| {
        for (out, value) in words[start..].iter_mut().zip(values) {
            *out = (*value as f32).to_bits();
        }
    },
};

/// Two f16 in a word, the first in the low half; beyond the range of f16 the largest of its sign.
fn pack_f16(lo: f64, hi: f64) -> u32 {
    let bits = |x: f64| u32::from(f16::from_f64(x.clamp(-65504.0, 65504.0)).to_bits());
    bits(lo) | bits(hi) << 16
}

impl KvType {
    /// Every type, the default first.
    pub const EACH: [KvType; 2] = [KvType::F16, KvType::F32];

    const fn row(self) -> &'static Row {
        match self {
            KvType::F16 => &F16,
            KvType::F32 => &F32,
        }
    }

    /// The name that options use.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The type of that name; `bad-request` with the names there are for another.
    pub fn parse(name: &str) -> crate::Result<KvType> {
        KvType::EACH.into_iter().find(|t| t.name() == name).ok_or_else(|| {
            let names = KvType::EACH.map(KvType::name).join(" or ");
            crate::Error::BadRequest(format!("kv storage is {name:?}; it must be {names}"))
        })
    }

    /// The type that a variant was made for.
    pub fn of(variant: &Variant) -> KvType {
        let flagged = |t: &KvType| t.row().flag.is_some_and(|flag| variant.has(flag));
        KvType::EACH.into_iter().find(flagged).unwrap_or(KvType::F16)
    }

    /// Sets the type's flag.
    pub fn define(self, variant: Variant) -> Variant {
        match self.row().flag {
            Some(flag) => variant.flag(flag, true),
            None => variant,
        }
    }

    /// The part of `caps` that changes a text which reads the cache, so that tiers share pipelines.
    pub fn caps_used(self, caps: &Caps) -> Caps {
        Caps { f16: caps.f16 && self.row().f16, subgroups: false, ..*caps }
    }

    /// Bytes of `n` elements, an even number.
    pub fn bytes(self, n: u64) -> u64 {
        n * u64::from(self.row().bytes)
    }

    /// What a kernel that writes f32 first and then keys and values writes.
    pub fn outputs(self) -> OutputKind {
        self.row().outputs
    }

    /// How far a stored value may be off, relatively.
    pub fn rounding(self) -> f32 {
        self.row().rounding
    }

    /// Element `i` of a cache.
    pub fn load(self, words: &[u32], i: usize) -> f64 {
        (self.row().load)(words, i)
    }

    /// Stores `values` at element `start` (even, as their number is) of a cache.
    pub fn store(self, cache: &mut Slot<'_>, start: usize, values: &[f64]) {
        (self.row().store)(cache.words_mut(), start, values);
    }
}
