//! Test cases of the GEMM.

use super::fixture::{Fixture, Rng};
use super::{Case, caps_of, cols, cols_for};
use crate::kernels::matmul::{Args, step};
use crate::kernels::{Caps, Variant};
use crate::weights::{Layout, units};

/// Tiny and unaligned shapes, whole matrices and parts, tiles that are not full.
pub(super) fn table(caps: &Caps) -> Vec<Case> {
    let mut cases = Vec::new();
    for &layout in Layout::ALL {
        let [tiny, odd] = cols(layout);
        let shape = |cols, rows, bucket, tokens| Shape { cols, rows, bucket, tokens, ..Shape::default() };
        let odd = Shape { bias: true, accumulate: true, ..shape(odd, 37, 64, 33) };
        cases.push(case(caps, layout, &shape(tiny, 1, 9, 9), 0));
        cases.extend((0..2).map(|part| case(caps, layout, &Shape { part_rows: 20, ..odd }, part)));
        cases.push(case(caps, layout, &Shape { bucket: 32, tokens: 32, ..odd }, 0));
        cases.push(case(caps, layout, &Shape { tokens: 3, rows: 394, part_rows: 197, bucket: 1024, ..odd }, 1));
    }
    cases
}

/// Two tiles of tokens and of rows, the second not full. Large tiles are chosen where a bucket has many of them, most
/// of which the state makes return at once.
pub(super) fn for_variant(variant: &Variant) -> Case {
    let layout = variant.layout.expect("matmul has a layout");
    let (bucket, tokens, rows) = if variant.has("WIDE") { (1024, 65, 197) } else { (64, 33, 37) };
    let shape = Shape { cols: cols_for(layout, 8), rows, bucket, tokens, accumulate: true, ..Shape::default() };
    case(&caps_of(variant), layout, &shape, 0)
}

/// Shape and options of a case.
#[derive(Clone, Copy, Default)]
struct Shape {
    cols: u32,
    rows: u32,
    bucket: u32,
    tokens: u32,
    bias: bool,
    accumulate: bool,
    /// Rows of a part; 0: all of them.
    part_rows: u32,
}

/// The case for one part of a random matrix.
fn case(caps: &Caps, layout: Layout, s: &Shape, part: usize) -> Case {
    let seed = u64::from(s.cols * 31 + s.rows) + layout as u64;
    let mut rng = Rng::new(seed);
    let mut f = Fixture::default();
    let part_rows = if s.part_rows == 0 { s.rows } else { s.part_rows };
    let matrix = f.matrix(layout, s.rows, s.cols, part_rows, seed);
    // Beyond the columns and beyond the live tokens lies finite rubbish.
    let x_stride = units(s.cols) * 32;
    let mut x = vec![-1.0e4; (s.bucket * x_stride) as usize];
    for row in x.chunks_exact_mut(x_stride as usize).take(s.tokens as usize) {
        row[..s.cols as usize].copy_from_slice(&rng.spiky(s.cols as usize));
    }
    // The output has columns of others on both sides.
    let (out_column, out_stride) = (3, s.rows + 8);
    let n_out = (s.bucket * out_stride) as usize;
    let out = if s.accumulate { f.f32s_with_margin(&rng.spiky(n_out)) } else { f.output(n_out) };
    let bias = s.bias.then(|| f.f32s(&rng.spiky(s.rows as usize)));
    let args = Args {
        matrix: &matrix,
        part: &matrix.parts[part],
        x: f.f32s(&x),
        x_stride,
        state: f.state(5, s.tokens),
        bias,
        accumulate: s.accumulate,
        out,
        out_stride,
        out_column,
        n_tokens: s.bucket,
    };
    let label = format!("{}x{} of {} tokens, part {part}", s.rows, s.cols, s.tokens);
    // Outputs are about 4 in size, up to 60: products of spikes up to 64 with weights of about 1/sqrt(cols). Their f32
    // sums of up to 768 terms pass through partial sums of that size, and each decoded weight is off by up to an ULP.
    // Found on llvmpipe: at most 1.2e-5.
    f.case(step(caps, &label, &args), 3e-5, 2e-6)
}
