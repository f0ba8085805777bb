//! What the kernels that read weights share: addressing of a matrix part, work distribution.

use super::params::params;
use super::{Caps, Variant};
use crate::weights::{Layout, UNIT, units};

params! {
    /// Where a shader finds the words of a matrix part: the first fields of every `Params` with `#import quant/LAYOUT`
    /// (`shaders/lib/weight_params.wgsl`).
    #[derive(Eq)]
    pub struct WeightParams {
        /// 16-byte words of codes per row.
        pub chunks: u32,
        /// Words of scales per row.
        pub scale_words: u32,
        /// First word of the scales in `meta`.
        pub scale_base: u32,
        /// Columns of the matrix.
        pub cols: u32,
    }
}

impl WeightParams {
    /// For a part of `rows` rows.
    pub fn new(layout: Layout, rows: u32, cols: u32) -> WeightParams {
        WeightParams {
            chunks: layout.row_code_words(cols) / 4,
            scale_words: layout.scale_words(cols),
            scale_base: rows * layout.row_high_words(cols),
            cols,
        }
    }
}

/// Variant of a kernel that uses no f16 types: one pipeline for the tiers with and without the feature.
pub fn variant(stem: &'static str, caps: &Caps, layout: Layout) -> Variant {
    Variant::new(stem, &Caps { f16: false, ..*caps }).layout(layout)
}

/// `n` workgroups over x and y, so that neither exceeds WebGPU's 65535. The shader drops the surplus.
pub fn fold_grid(n: u32) -> [u32; 3] {
    let y = n.div_ceil(65_535).max(1);
    [n.div_ceil(y).max(1), y, 1]
}

/// How threads share the rows of a mat-vec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Teams {
    /// Threads that share the same rows and stride over K: 8..=64.
    pub lanes: u32,
    /// Such teams in a workgroup.
    pub groups: u32,
}

impl Teams {
    /// Threads per workgroup: two subgroups of 32, and few enough that small matrices spread over the device.
    const THREADS: u32 = 64;

    /// As many lanes as a row of `chunks` keeps busy, but enough threads in all (`teams` of them) to fill a device.
    pub fn select(chunks: u32, teams: u32) -> Teams {
        let busy = |lanes: u32| chunks * 10 >= chunks.div_ceil(lanes) * lanes * 7;
        let mut lanes = Self::THREADS;
        while lanes > 8 && !busy(lanes) {
            lanes /= 2;
        }
        while lanes < Self::THREADS && lanes < chunks && u64::from(teams) * u64::from(lanes) < 16_384 {
            lanes *= 2;
        }
        Teams { lanes, groups: Self::THREADS / lanes }
    }

    /// For workgroups that prepare x in workgroup memory, each for itself: many rows share it.
    pub fn large(rows: u32) -> Teams {
        // 32 rows per workgroup, or 16 where these would be too few workgroups.
        let lanes = if rows >= 2048 { 32 } else { 64 };
        Teams { lanes, groups: 256 / lanes }
    }
}

/// With so many rows, 8 per team still fill a device, and x is read half as often: it is f32, so that for 4 rows of
/// 4-bit weights caches deliver twice as many bytes of x as memory does of weights.
pub const ENOUGH_ROWS: u32 = 4096;
/// As [`ENOUGH_ROWS`] where the weight of a norm comes with x.
pub const ENOUGH_ROWS_NORM: u32 = 2048;

/// Work distribution of a mat-vec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Threads per team and teams per workgroup.
    pub teams: Teams,
    /// 8 rows per team instead of 4.
    pub rows8: bool,
}

impl Tuning {
    /// For `rows` rows of `chunks` 16-byte words.
    pub fn select(chunks: u32, rows: u32, enough: u32) -> Tuning {
        let rows8 = rows >= enough;
        Tuning { teams: Teams::select(chunks, rows.div_ceil(if rows8 { 8 } else { 4 })), rows8 }
    }

    /// Rows per team.
    pub fn rows(self) -> u32 {
        if self.rows8 { 8 } else { 4 }
    }

    /// Rows per workgroup.
    pub fn rows_per_workgroup(self) -> u32 {
        self.rows() * self.teams.groups
    }

    /// Sets the flag and the constants that `shaders/lib/lanes.wgsl` and the kernels need.
    pub fn define(self, variant: Variant) -> Variant {
        variant
            .flag("ROWS8", self.rows8)
            .constant("WG", self.teams.lanes * self.teams.groups)
            .constant("LANES", self.teams.lanes)
            .constant("GROUPS", self.teams.groups)
            .constant("ROWS", self.rows())
    }
}

/// Row stride of activations: whole units.
pub fn stride(cols: u32) -> u32 {
    units(cols) * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_fill_workgroups_and_rows() {
        for chunks in [1, 2, 9, 18, 36, 64, 72, 100, 144, 512, 4096] {
            for teams in [1, 10, 144, 4096, 40_000] {
                let t = Teams::select(chunks, teams);
                assert_eq!(t.lanes * t.groups, 64);
                assert!((8..=64).contains(&t.lanes) && t.lanes.is_power_of_two(), "{chunks} {teams}: {t:?}");
            }
        }
        // A long row takes the whole workgroup, a short one of a large matrix a part of it.
        assert_eq!(Teams::select(512, 4096).lanes, 64);
        assert_eq!(Teams::select(18, 40_000).lanes, 8);
        assert_eq!(Teams::select(18, 144).lanes, 32);
    }

    #[test]
    fn grids_stay_below_the_limit_and_cover() {
        for n in [1, 2, 65_535, 65_536, 131_071, 10_000_000] {
            let [x, y, z] = fold_grid(n);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(u64::from(x) * u64::from(y) >= u64::from(n));
        }
    }
}
