//! Y = X W^T (+ bias) (+ Y): tiled GEMM with the dequantisation fused, for 9 tokens and more.
//!
//! A workgroup decodes a tile of weights once per 32 columns into workgroup memory and uses it for all tokens of its
//! tile. Sums are f32 in registers; nothing depends on f16 or subgroups, so all tiers run the same text.

use super::common::WeightParams;
use super::params::{self, Field, params};
use super::reference;
use super::{Access, Bind, Caps, Kernel, Matrix, MatrixPart, Slot, Step, StepState, Variant};

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

params! {
    /// As in the shader.
    struct Params {
        weights: WeightParams,
        rows: u32,
        x_stride4: u32,
        out_stride: u32,
        out_first: u32,
        bias_first: u32,
        accumulate: u32,
        has_bias: u32,
    }
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
        rows,
        x_stride4: args.x_stride / 4,
        out_stride: args.out_stride,
        out_first: args.out_column + args.part.row_start,
        bias_first: args.part.row_start,
        accumulate: u32::from(args.accumulate),
        has_bias: u32::from(args.bias.is_some()),
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
        params: params::encode(&params),
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
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let layout = variant.layout.expect("a layout");
        let [codes, meta, x, state, out, bias] = io else { panic!("matmul has 6 bindings") };
        let n_tokens = StepState::from_words(state.words()).n_tokens as usize;
        for r in 0..p.rows {
            let w = reference::row(layout, codes.words(), meta.words(), p.rows, p.weights.cols, r);
            let b = if p.has_bias == 1 { f64::from(bias.f32s()[(p.bias_first + r) as usize]) } else { 0.0 };
            for t in 0..n_tokens {
                let x = &x.f32s()[t * 4 * p.x_stride4 as usize..][..p.weights.cols as usize];
                let y: f64 = x.iter().zip(&w).map(|(x, w)| f64::from(*x) * w).sum();
                let y_old = &mut out.f32s_mut()[t * p.out_stride as usize + (p.out_first + r) as usize];
                let old = if p.accumulate == 1 { f64::from(*y_old) } else { 0.0 };
                *y_old = (y + b + old) as f32;
            }
        }
    }
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
