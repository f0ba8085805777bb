//! Test cases of the embedding.

use super::fixture::Fixture;
use super::{Case, caps_of, cols, cols_for};
use crate::kernels::embed::{Args, step};
use crate::kernels::{Caps, Variant, common};
use crate::weights::Layout;

/// Tiny and unaligned rows, whole tables and parts.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for &layout in Layout::ALL {
        let [tiny, odd] = cols(layout);
        cases.push(case(caps, layout, tiny, 1, 50, 0));
        cases.extend((0..4).map(|part| case(caps, layout, odd, 9, 13, part)));
    }
    cases
}

/// More chunks than a workgroup has threads.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let layout = variant.layout.expect("embed has a layout");
    case(&caps_of(variant), layout, cols_for(layout, 64), 5, 50, 0)
}

/// One product or, for layouts with minima, one difference of products in f32.
const TOLERANCE: f32 = 1e-6;

/// 50 rows in parts; of a bucket of `n_tokens` the last is not live (except of 1); two tokens share an id.
fn case(caps: &Caps, layout: Layout, cols: u32, n_tokens: u32, part_rows: u32, part: usize) -> Case {
    let mut f = Fixture::default();
    let table = f.matrix(layout, 50, cols, part_rows, 1);
    let mut ids: Vec<u32> = (0..n_tokens).map(|t| (t * 13 + 3) % 50).collect();
    let n = ids.len();
    ids[n / 2] = ids[0];
    let ids = f.words(ids);
    let state = f.state(7, n_tokens - u32::from(n_tokens > 1));
    let seen = f.words(vec![0; 50]);
    let out_stride = common::stride(cols) + 32;
    let out = f.output((n_tokens * out_stride) as usize);
    let args =
        Args { table: &table, part: &table.parts[part], ids, state, seen, out, out_stride, scale: 1.5, n_tokens };
    let label = format!("{cols} columns, {n_tokens} tokens, part {part}");
    f.case(step(caps, &label, &args), TOLERANCE, TOLERANCE)
}
