//! Test cases of the plain read.

use super::{Case, caps_of};
use crate::kernels::bandwidth::{Args, MAX_WORKGROUPS, step};
use crate::kernels::{Bind, BufferId, Caps, Variant};

/// Around the size of a workgroup, and with more to read than workgroups.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    [1, 255, 256, 257, 100_000, 300_001].map(|n_vec4| case(caps, n_vec4)).into()
}

pub(super) fn for_variant(variant: &Variant) -> Case {
    case(&caps_of(variant), 1000)
}

fn case(caps: &Caps, n_vec4: u32) -> Case {
    let words = n_vec4 * 4;
    let data = (0..words).map(|i| i.wrapping_mul(0x9e37_79b9) ^ (i >> 3)).collect();
    let bind = |buffer, words: u64| Bind { buffer: BufferId(buffer), offset: 0, bytes: words * 4 };
    let args = Args { data: bind(0, words.into()), out: bind(1, u64::from(MAX_WORKGROUPS) + 4) };
    Case {
        step: step(caps, &format!("{n_vec4} times 16 bytes"), &args),
        buffers: vec![data, vec![0x4b1d_b1ef; MAX_WORKGROUPS as usize + 4]],
        atol: 0.0,
        rtol: 0.0,
    }
}
