//! What the numbers mean on the device: the layout table, and how what files store becomes it.
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
//! Planes of 16 and 32 bits hold plain floats, the lower column in the lower half.

pub mod decode;
mod layouts;
#[cfg(not(target_arch = "wasm32"))]
pub mod random;
pub mod transcode;
pub mod unpack;

pub use layouts::Layout;

use crate::formats::Stored;
use layouts::{LayoutRow, ROWS};

/// Columns per unit: the grain in which every kernel reads a row.
pub const UNIT: u32 = 32;

impl Layout {
    /// Every layout, for tests and tables.
    pub const ALL: &[Layout] = &{
        let mut all = [Layout::F32; ROWS.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = ROWS[i].layout;
            assert!(all[i] as usize == i, "ROWS is in the order of Layout");
            i += 1;
        }
        all
    };

    fn row(self) -> &'static LayoutRow {
        &ROWS[self as usize]
    }

    /// The layout that keeps what a file stores exactly.
    pub fn of(stored: Stored) -> Layout {
        Self::and_transcode(stored).0
    }

    fn and_transcode(stored: Stored) -> (Layout, transcode::TranscodeRow) {
        let keeps = |row: &'static LayoutRow| Some((row.layout, row.from.iter().find(|f| f.0 == stored)?.1));
        ROWS.iter().find_map(keeps).expect("a test checks that a layout keeps every type")
    }

    /// Lower-case name: file stem in `shaders/quant/`, variant key, `inspect` and `bench` output.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Rows are whole multiples of so many columns.
    pub fn grain(self) -> u32 {
        self.row().grain
    }

    /// Words of `codes` per unit of 32 columns.
    pub fn code_words(self) -> u32 {
        self.row().code_bits
    }

    /// Words of the high bit plane per unit.
    pub fn high_words(self) -> u32 {
        self.row().high_bits
    }

    /// Words of scales per row of `cols` columns.
    pub fn scale_words(self, cols: u32) -> u32 {
        let (words, columns) = self.row().scales;
        cols.div_ceil(columns) * words
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
}

/// Units of 32 columns in a row of `cols` columns.
pub fn units(cols: u32) -> u32 {
    cols.div_ceil(UNIT)
}
