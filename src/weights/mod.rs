//! What the numbers mean on the device: the layout table, and how file blocks become it.
//!
//! A matrix of `rows x cols` is stored in two arrays of u32 words, each row-major and each row whole words, so that
//! any range of rows can be written alone:
//!
//! * `codes`: per row `units` units of 32 consecutive columns (`cols` padded up to a multiple of 32 with zeros);
//!   a unit is `code_words` words, always a multiple of 4 so that shaders bind it as `array<vec4<u32>>`;
//! * `meta`: first the high bit plane of all rows (`high_words` per unit), then, from word `rows * units * high_words`,
//!   the scales of all rows (`scale_words(cols)` words per row).
//!
//! Plane word order ("lane order", weights.md D.1): in a plane of `p` bits, a word holds `32/p` elements and
//! `code(e) = (w >> (8*(e&3) + p*(e>>2))) & (2^p-1)`; so `(w >> p*t) & M_p` is four consecutive elements in four bytes.

#[cfg(not(target_arch = "wasm32"))]
pub mod random;
pub mod transcode;
pub mod unpack;

use crate::formats::DType;

/// Columns per unit: the grain in which every kernel reads a row.
pub const UNIT: u32 = 32;

/// Device layouts. Adding one = a row here, a file in `shaders/quant/`, an arm in `transcode` and a golden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layout {
    /// Plain f32: 32 words per unit.
    F32,
    /// Plain f16, two per word (lower column in the low half): 16 words per unit.
    F16,
    /// Plain bf16, two per word: 16 words per unit. Never converted to f16 (range).
    Bf16,
    /// 4-bit codes, value = s * (q - 8); one f16 scale per unit, two per word (Q4_0).
    Ga4Sym,
    /// 8-bit codes stored as q + 128, value = s * (q - 128); one f16 scale per unit, two per word (Q8_0).
    Ga8Sym,
    /// 4-bit codes, per 256 columns 5 words: d f16 | dmin f16 << 16, sc u8[8], mn u8[8];
    /// unit u of the eight: value = (d*sc[u]) * q - (dmin*mn[u]) (Q4_K).
    Ga4K,
    /// As `Ga4K` with 5-bit codes: one high word (1-bit plane) per unit (Q5_K).
    Ga5K,
    /// 6-bit codes: two high words (2-bit plane) per unit; per 256 columns 5 words: d f16, sc i8[16];
    /// half-unit h of the sixteen: value = (d*sc[h]) * (q - 32) (Q6_K).
    Ga6K,
}

impl Layout {
    /// Every layout, for tests and tables.
    pub const ALL: &[Layout] = &[
        Layout::F32,
        Layout::F16,
        Layout::Bf16,
        Layout::Ga4Sym,
        Layout::Ga8Sym,
        Layout::Ga4K,
        Layout::Ga5K,
        Layout::Ga6K,
    ];

    /// Lower-case name: file stem in `shaders/quant/`, variant key, `inspect` and `bench` output.
    pub fn name(self) -> &'static str {
        match self {
            Layout::F32 => "f32",
            Layout::F16 => "f16",
            Layout::Bf16 => "bf16",
            Layout::Ga4Sym => "ga4_sym",
            Layout::Ga8Sym => "ga8_sym",
            Layout::Ga4K => "ga4_k",
            Layout::Ga5K => "ga5_k",
            Layout::Ga6K => "ga6_k",
        }
    }

    /// Words of `codes` per unit of 32 columns.
    pub fn code_words(self) -> u32 {
        match self {
            Layout::F32 => 32,
            Layout::F16 | Layout::Bf16 => 16,
            Layout::Ga8Sym => 8,
            Layout::Ga4Sym | Layout::Ga4K | Layout::Ga5K | Layout::Ga6K => 4,
        }
    }

    /// Words of the high bit plane per unit.
    pub fn high_words(self) -> u32 {
        match self {
            Layout::Ga5K => 1,
            Layout::Ga6K => 2,
            _ => 0,
        }
    }

    /// Words of scales per row of `cols` columns.
    pub fn scale_words(self, cols: u32) -> u32 {
        match self {
            Layout::F32 | Layout::F16 | Layout::Bf16 => 0,
            Layout::Ga4Sym | Layout::Ga8Sym => units(cols).div_ceil(2),
            Layout::Ga4K | Layout::Ga5K | Layout::Ga6K => cols.div_ceil(256) * 5,
        }
    }

    /// Words of `codes` per row.
    pub fn row_code_words(self, cols: u32) -> u32 {
        units(cols) * self.code_words()
    }

    /// Words of the high plane per row.
    pub fn row_high_words(self, cols: u32) -> u32 {
        units(cols) * self.high_words()
    }

    /// Bytes of a whole matrix on the device: codes, high plane and scales.
    pub fn bytes(self, rows: u32, cols: u32) -> u64 {
        let row = self.row_code_words(cols) + self.row_high_words(cols) + self.scale_words(cols);
        u64::from(rows) * u64::from(row) * 4
    }

    /// The layout that keeps a file type exactly.
    pub fn of(dtype: DType) -> Layout {
        match dtype {
            DType::F32 => Layout::F32,
            DType::F16 => Layout::F16,
            DType::BF16 => Layout::Bf16,
            DType::Q4_0 => Layout::Ga4Sym,
            DType::Q8_0 => Layout::Ga8Sym,
            DType::Q4_K => Layout::Ga4K,
            DType::Q5_K => Layout::Ga5K,
            DType::Q6_K => Layout::Ga6K,
        }
    }
}

/// Units of 32 columns in a row of `cols` columns.
pub fn units(cols: u32) -> u32 {
    cols.div_ceil(UNIT)
}
