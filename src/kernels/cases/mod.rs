//! Test cases of the kernels: seeded, spiky inputs in tiny buffers. They are no part of the shipped wasm.
//!
//! [`case_for`] serves whatever variant a plan asks for, so that every text that can run is tested; [`table`] holds
//! what a kernel must get right beyond that: shapes at the edges, special inputs, other distributions of work.

use super::{Caps, Step, Variant};
use crate::weights::{Layout, UNIT};

mod attention_decode;
mod attention_prefill;
mod bandwidth;
mod embed;
mod fixture;
mod gate_up;
mod glu;
mod matmul;
mod matvec;
mod qkv;
mod rms_norm;
mod rope_kv;
mod sample;
mod sample_reduce;

/// One test case: a step and the initial contents of its buffers (`Bind::buffer` indexes `buffers`).
pub struct Case {
    /// The step.
    pub step: Step,
    /// Initial words of each buffer; output buffers are filled with a sentinel by the case and are a few words longer
    /// than what the kernel may write.
    pub buffers: Vec<Vec<u32>>,
    /// How close written floats must be: |a-b| <= atol + rtol*|ref|. Words that the reference leaves alone must be
    /// bit-identical.
    pub atol: f32,
    /// See `atol`.
    pub rtol: f32,
}

/// How one kernel makes its cases.
struct Cases {
    stem: &'static str,
    table: fn(&Caps) -> Vec<Case>,
    for_variant: fn(&Variant) -> Case,
}

/// The kernels of [`super::ALL`], in the same order.
const CASES: &[Cases] = &[
    Cases { stem: "embed", table: embed::table, for_variant: embed::for_variant },
    Cases { stem: "matvec", table: matvec::table, for_variant: matvec::for_variant },
    Cases { stem: "qkv", table: qkv::table, for_variant: qkv::for_variant },
    Cases { stem: "gate_up", table: gate_up::table, for_variant: gate_up::for_variant },
    Cases { stem: "attention_decode", table: attention_decode::table, for_variant: attention_decode::for_variant },
    Cases { stem: "rms_norm", table: rms_norm::table, for_variant: rms_norm::for_variant },
    Cases { stem: "matmul", table: matmul::table, for_variant: matmul::for_variant },
    Cases { stem: "rope_kv", table: rope_kv::table, for_variant: rope_kv::for_variant },
    Cases { stem: "attention_prefill", table: attention_prefill::table, for_variant: attention_prefill::for_variant },
    Cases { stem: "glu", table: glu::table, for_variant: glu::for_variant },
    Cases { stem: "sample_reduce", table: sample_reduce::table, for_variant: sample_reduce::for_variant },
    Cases { stem: "sample", table: sample::table, for_variant: sample::for_variant },
    Cases { stem: "bandwidth", table: bandwidth::table, for_variant: bandwidth::for_variant },
];

fn of(stem: &str) -> &'static Cases {
    CASES.iter().find(|c| c.stem == stem).unwrap_or_else(|| panic!("no cases of {stem}: add it to kernels::cases"))
}

/// The table of a kernel. Panics for a stem without cases.
pub fn table(stem: &str, caps: &Caps) -> Vec<Case> {
    (of(stem).table)(caps)
}

/// A case of exactly this variant; rows and columns are few and unaligned, and leave lanes and teams unequal work.
/// Panics when its kernel makes another variant of the same options: then what the variant says (flags, constants) does
/// not determine it, or the kernel has an option that its `for_variant` does not know.
pub fn case_for(variant: &Variant) -> Case {
    let case = (of(variant.stem).for_variant)(variant);
    assert_eq!(case.step.variant, *variant, "the case for {} uses {}", variant.name(), case.step.variant.name());
    case
}

/// Capabilities that lead to the variant.
fn caps_of(variant: &Variant) -> Caps {
    Caps { f16: variant.has("F16"), subgroups: variant.has("SUBGROUPS"), ..Caps::BASE }
}

/// Columns that a row of a layout is a multiple of; activations are read by fours.
fn grain(layout: Layout) -> u32 {
    layout.grain().max(4)
}

/// Columns of test matrices: the fewest, and some that fill no unit, no pair of scales and no power of two.
fn cols(layout: Layout) -> [u32; 2] {
    match grain(layout) {
        4 => [4, 100],
        grain => [grain, 3 * grain],
    }
}

/// Columns whose chunks of 16 bytes are a few more than `lanes` threads decode at once.
fn cols_for(layout: Layout, lanes: u32) -> u32 {
    let per_chunk = UNIT * 4 / layout.code_words();
    (lanes * per_chunk).next_multiple_of(grain(layout)) + grain(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_cases() {
        let stems: Vec<_> = super::super::ALL.iter().map(|k| k.stem()).collect();
        assert_eq!(CASES.iter().map(|c| c.stem).collect::<Vec<_>>(), stems);
    }

    #[test]
    fn lanes_go_around_more_than_once() {
        for &layout in Layout::ALL {
            for lanes in [8, 16, 32, 64] {
                let cols = cols_for(layout, lanes);
                let chunks = layout.row_code_words(cols) / 4;
                assert!(cols.is_multiple_of(grain(layout)) && chunks > lanes, "{layout:?} {lanes}: {cols}");
            }
        }
    }
}
