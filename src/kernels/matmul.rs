//! Y = X W^T (+ bias) (+ Y): tiled GEMM with the dequantisation fused, for 9 tokens and more.
//!
//! A workgroup decodes a tile of weights once per 32 columns into workgroup memory and uses it for all tokens of its
//! tile. Sums are f32 in registers; nothing depends on f16 or subgroups, so all tiers run the same text.

use super::common::WeightParams;
use super::fixture::{Fixture, Rng};
use super::{Access, Bind, Caps, Case, Kernel, Matrix, MatrixPart, OutputKind, Slot, Step, StepState, Variant};
use super::{Tier, reference};
use crate::weights::{Layout, units};

/// What to do.
pub struct Args<'a> {
    /// Weights.
    pub matrix: &'a Matrix,
    /// The row range this dispatch computes.
    pub part: &'a MatrixPart,
    /// f32 [n_tokens, x_stride]; columns cols..round_up(cols, 32) are finite (their weights are zero).
    pub x: Bind,
    /// Row stride of x in elements, a multiple of 32.
    pub x_stride: u32,
    /// `StepState`: rows >= n_tokens are left alone.
    pub state: Bind,
    /// f32 [matrix.rows], or None.
    pub bias: Option<Bind>,
    /// Add to the old contents of `out` (residual).
    pub accumulate: bool,
    /// f32 [n_tokens, out_stride]; row r of the matrix goes to column out_column + r.
    pub out: Bind,
    /// Row stride of `out` in elements.
    pub out_stride: u32,
    /// First column of `out` (an unfused v or up writes beside the others).
    pub out_column: u32,
    /// Bucket: the largest n_tokens.
    pub n_tokens: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    weights: WeightParams,
    cols: u32,
    rows: u32,
    x_stride4: u32,
    out_stride: u32,
    out_first: u32,
    bias_first: u32,
    accumulate: u32,
    has_bias: u32,
    reserved: u32,
}

/// Outputs of a workgroup. A thread computes 4 tokens x 4 rows, or 4 x 8 when `wide`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    tokens: u32,
    rows: u32,
    wide: bool,
}

impl Tile {
    /// Most reuse: 128 threads, all 16 KiB of workgroup memory.
    const LARGE: Tile = Tile { tokens: 64, rows: 64, wide: true };
    /// 64 threads, 8 KiB: for short prompts, and where large tiles would be too few to fill a device.
    const SMALL: Tile = Tile { tokens: 32, rows: 32, wide: false };

    /// With fewer large tiles than this, four times as many small ones finish sooner: integrated GPUs hold about this
    /// many large workgroups at once, discrete ones several times as many.
    const ENOUGH: u64 = 64;

    /// The tile for a shape.
    fn select(n_tokens: u32, rows: u32) -> Tile {
        let [x, y, _] = Tile::LARGE.grid(n_tokens, rows);
        let enough = u64::from(x) * u64::from(y) >= Tile::ENOUGH;
        if n_tokens > Tile::SMALL.tokens && enough { Tile::LARGE } else { Tile::SMALL }
    }

    fn quads_r(self) -> u32 {
        1 + u32::from(self.wide)
    }

    fn threads(self) -> u32 {
        self.tokens / 4 * (self.rows / (4 * self.quads_r()))
    }

    fn grid(self, n_tokens: u32, rows: u32) -> [u32; 3] {
        [n_tokens.div_ceil(self.tokens), rows.div_ceil(self.rows), 1]
    }
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args<'_>) -> Step {
    let (layout, cols, rows) = (args.matrix.layout, args.matrix.cols, args.part.rows);
    assert!(
        args.x_stride.is_multiple_of(32) && args.x_stride >= cols,
        "matmul needs a row stride of x in 32s and of at least {cols}, not {}",
        args.x_stride
    );
    let tile = Tile::select(args.n_tokens, rows);
    let grid = tile.grid(args.n_tokens, rows);
    assert!(grid[1] <= 65_535, "matmul: {rows} rows in one part are too many for one dispatch");
    let params = Params {
        weights: WeightParams::new(layout, rows, cols),
        cols,
        rows,
        x_stride4: args.x_stride / 4,
        out_stride: args.out_stride,
        out_first: args.out_column + args.part.row_start,
        bias_first: args.part.row_start,
        accumulate: u32::from(args.accumulate),
        has_bias: u32::from(args.bias.is_some()),
        reserved: 0,
    };
    // Without a bias its binding is filled by a small one that is there anyway: half as many pipelines.
    let bias = args.bias.unwrap_or(args.state);
    Step {
        kernel: &MatMul,
        label: label.to_string(),
        variant: Variant::new("matmul", &Caps { f16: false, subgroups: false, ..*caps })
            .layout(layout)
            .flag("WIDE", tile.wide)
            .constant("WG", tile.threads())
            .constant("TILE_T", tile.tokens)
            .constant("TILE_R", tile.rows)
            .constant("QUADS_R", tile.quads_r()),
        params: bytemuck::bytes_of(&params).to_vec(),
        bindings: vec![args.part.codes, args.part.meta, args.x, args.state, args.out, bias],
        grid,
    }
}

/// The kernel.
pub struct MatMul;

impl Kernel for MatMul {
    fn stem(&self) -> &'static str {
        "matmul"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        vec![Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::Read]
    }
    fn params_bytes(&self) -> usize {
        size_of::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = bytemuck::pod_read_unaligned(params);
        let layout = variant.layout.expect("a layout");
        let [codes, meta, x, state, out, bias] = io else { panic!("matmul has 6 bindings") };
        let n_tokens = StepState::from_words(state.words()).n_tokens as usize;
        for r in 0..p.rows {
            let w = reference::row(layout, codes.words(), meta.words(), p.rows, p.cols, r);
            let b = if p.has_bias == 1 { f64::from(bias.f32s()[(p.bias_first + r) as usize]) } else { 0.0 };
            for t in 0..n_tokens {
                let x = &x.f32s()[t * 4 * p.x_stride4 as usize..][..p.cols as usize];
                let y: f64 = x.iter().zip(&w).map(|(x, w)| f64::from(*x) * w).sum();
                let y_old = &mut out.f32s_mut()[t * p.out_stride as usize + (p.out_first + r) as usize];
                let old = if p.accumulate == 1 { f64::from(*y_old) } else { 0.0 };
                *y_old = (y + b + old) as f32;
            }
        }
    }
    fn cases(&self, caps: &Caps) -> Vec<Case> {
        let mut cases = Vec::new();
        for (i, layout) in Layout::ALL.iter().enumerate() {
            // Tiny and unaligned columns; quantised files have whole blocks only.
            let [tiny, odd, real] = match layout.grain() {
                1 => [8, [20, 172, 100][i % 3], 160],
                32 => [32, 96, 576],
                n => [n, 3 * n, 2 * n],
            };
            let shape = |cols, rows, bucket, tokens| Shape { cols, rows, bucket, tokens, ..Shape::default() };
            let tiny = shape(tiny, 1, 9, 9);
            let odd = Shape { bias: true, accumulate: true, ..shape(odd, 37, 64, 33) };
            // A bucket with enough tiles for the large ones, most of which the state makes return at once.
            let real = shape(real, 197, 1024, 65);
            cases.push(case(caps, *layout, &tiny, 0));
            if caps.tier() != Tier::Base {
                return cases; // the same texts on the other tiers
            }
            cases.extend((0..2).map(|part| case(caps, *layout, &Shape { part_rows: 20, ..odd }, part)));
            cases.push(case(caps, *layout, &Shape { accumulate: true, ..real }, 0));
            cases.push(case(caps, *layout, &Shape { bias: true, tokens: 3, rows: 394, part_rows: 197, ..real }, 1));
            cases.push(case(caps, *layout, &Shape { bucket: 32, tokens: 32, ..odd }, 0));
        }
        cases
    }
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
    f.case(step(caps, &label, &args), OutputKind::F32, 3e-5, 2e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_follow_the_shape() {
        assert_eq!(Tile::select(32, 100_000), Tile::SMALL);
        assert_eq!(Tile::select(256, 576), Tile::SMALL);
        assert_eq!(Tile::select(256, 2048), Tile::LARGE);
        assert_eq!(Tile::select(64, 4096), Tile::LARGE);
        assert_eq!((Tile::LARGE.threads(), Tile::SMALL.threads()), (128, 64));
        for tile in [Tile::LARGE, Tile::SMALL] {
            // 32 columns of both tiles fit the workgroup memory that every device has.
            assert!((tile.tokens + tile.rows) * 32 * 4 <= 16 << 10);
            // The shader's swizzle needs eights.
            assert_eq!((tile.tokens / 4 % 8, tile.rows / (4 * tile.quads_r()) % 8), (0, 0));
            let [x, y, z] = tile.grid(33, 65);
            assert!(x * tile.tokens >= 33 && y * tile.rows >= 65 && z == 1);
        }
    }
}
