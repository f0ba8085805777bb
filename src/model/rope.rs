//! Rotary tables on the CPU (runtime.md E0.3): shaders' `sin`, `cos` and `pow` are too coarse for long contexts.
//! [`RopeTables`] holds them on the device: constants of a model that grow with the longest of its sessions.

use super::spec::{RopeScaling, RopeSpec};
use crate::error::Result;
use crate::execute::{BufferUse, Executor};
use crate::kernels::Bind;

/// Inverse frequencies `[n_rot/2]`, in f32 steps as the reference code takes them.
pub fn inverse_frequencies(rope: &RopeSpec) -> Vec<f32> {
    let half = (rope.n_rot / 2) as usize;
    (0..half)
        .map(|i| {
            let exponent = (2 * i) as f32 / rope.n_rot as f32;
            // The power is rounded once from f64: f32 powf differs between platforms.
            let inv = 1.0 / f64::from(rope.theta as f32).powf(f64::from(exponent)) as f32;
            match &rope.scaling {
                RopeScaling::None => inv,
                RopeScaling::Linear { factor } => inv / *factor as f32,
                RopeScaling::Factors(factors) => inv / factors.get(i).copied().unwrap_or(1.0),
                RopeScaling::Llama3 { factor, low, high, original } => llama3(inv, *factor, *low, *high, *original),
                RopeScaling::Yarn { factor, .. } => {
                    let slowed = yarn_ramp(rope, i);
                    (1.0 - slowed) * inv + slowed * (inv / *factor as f32)
                }
            }
        })
        .collect()
}

fn llama3(inv: f32, factor: f64, low: f64, high: f64, original: f64) -> f32 {
    let wavelength = (2.0 * std::f64::consts::PI) as f32 / inv;
    if wavelength < (original / high) as f32 {
        return inv;
    }
    let slow = inv / factor as f32;
    if wavelength > (original / low) as f32 {
        return slow;
    }
    let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
    (1.0 - smooth) * slow + smooth * inv
}

/// How much of pair `i` is divided by YaRN's factor, 0 to 1.
fn yarn_ramp(rope: &RopeSpec, i: usize) -> f32 {
    let RopeScaling::Yarn { fast, slow, original, truncate, .. } = rope.scaling else { return 0.0 };
    let n_rot = f64::from(rope.n_rot);
    // The pair that turns so many times within the original context.
    let pair = |turns: f64| n_rot * (original / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * rope.theta.ln());
    let (mut first, mut last) = (pair(fast), pair(slow));
    if truncate {
        (first, last) = (first.floor(), last.ceil());
    }
    let (first, last) = (first.max(0.0), last.min(n_rot - 1.0));
    let width = if first == last { 0.001 } else { last - first };
    ((i as f64 - first) / width).clamp(0.0, 1.0) as f32
}

/// cos and sin of `count` positions from `first`: f32 `[count, n_rot/2, 2]`.
pub fn table(rope: &RopeSpec, first: u32, count: u32) -> Vec<f32> {
    let inverse = inverse_frequencies(rope);
    let magnitude = if let RopeScaling::Yarn { magnitude, .. } = rope.scaling { magnitude as f32 } else { 1.0 };
    let mut out = Vec::with_capacity(count as usize * inverse.len() * 2);
    for position in (first..).take(count as usize) {
        for inv in &inverse {
            let (sin, cos) = f64::from(position as f32 * inv).sin_cos();
            out.extend([cos as f32 * magnitude, sin as f32 * magnitude]);
        }
    }
    out
}

/// Bytes of a table computed and written at a time: the heap never holds a long context's whole.
const SLICE: u64 = 1 << 20;

/// One table per rotary embedding of a model, f32 `[positions, n_rot/2, 2]`.
pub struct RopeTables {
    specs: Vec<RopeSpec>,
    /// The tables, in the order of `ModelSpec::ropes` (16 bytes where there is no rotation).
    pub binds: Vec<Bind>,
    /// Positions in each.
    pub positions: u32,
}

impl RopeTables {
    /// Tables of the first `positions` positions.
    pub fn new(specs: &[RopeSpec], positions: u32, executor: &mut dyn Executor) -> Result<RopeTables> {
        let mut tables = RopeTables { specs: specs.to_vec(), binds: Vec::new(), positions: 0 };
        let binds = tables.filled(positions, executor)?;
        (tables.binds, tables.positions) = (binds, positions);
        Ok(tables)
    }

    /// Bytes of one position in the widest table.
    pub fn row_bytes(specs: &[RopeSpec]) -> u64 {
        specs.iter().map(|s| u64::from(s.n_rot) * 4).max().unwrap_or(0)
    }

    /// Makes room for `positions` positions: rows that are there are copied, only new ones are computed. Plans that use
    /// the tables must be dropped first and compiled anew. After an error the tables are as before.
    pub async fn grow(&mut self, positions: u32, executor: &mut dyn Executor) -> Result<()> {
        let new = self.filled(positions, executor)?;
        // On the web a failed allocation is known only now: before the old tables are given up.
        let result = executor.flush().await;
        let given_up = match result {
            Ok(()) => {
                self.positions = positions;
                std::mem::replace(&mut self.binds, new)
            }
            Err(_) => new,
        };
        given_up.into_iter().for_each(|bind| executor.destroy_buffer(bind.buffer));
        result
    }

    fn filled(&self, positions: u32, executor: &mut dyn Executor) -> Result<Vec<Bind>> {
        let mut made = Vec::new();
        let result = (|| {
            for (i, spec) in self.specs.iter().enumerate() {
                let row = u64::from(spec.n_rot) * 4;
                let bytes = (row * u64::from(positions)).max(16).next_multiple_of(16);
                let buffer = executor.create_buffer(&format!("rope{i}"), bytes, BufferUse::Cache)?;
                made.push(Bind { buffer, offset: 0, bytes });
                if row == 0 {
                    continue;
                }
                let kept = self.positions.min(positions);
                if let Some(old) = self.binds.get(i).filter(|_| kept > 0) {
                    executor.copy(old.buffer, 0, buffer, 0, row * u64::from(kept))?;
                }
                let step = (SLICE / row).max(1) as usize;
                for first in (kept..positions).step_by(step) {
                    let rows = table(spec, first, (positions - first).min(step as u32));
                    executor.write(buffer, row * u64::from(first), bytemuck::cast_slice(&rows))?;
                }
            }
            Ok(())
        })();
        match result {
            Ok(()) => Ok(made),
            Err(e) => {
                made.into_iter().for_each(|bind| executor.destroy_buffer(bind.buffer));
                Err(e)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(n_rot: u32, theta: f64, scaling: RopeScaling) -> RopeSpec {
        RopeSpec { n_rot, theta, scaling }
    }

    /// The factors that llama.cpp's converter writes for Llama-3.2-1B (runtime.md E0.3).
    #[test]
    fn llama3_scaling_agrees_with_the_factors_of_a_real_gguf() {
        let plain = inverse_frequencies(&spec(64, 5e5, RopeScaling::None));
        let scaling = RopeScaling::Llama3 { factor: 32.0, low: 1.0, high: 4.0, original: 8192.0 };
        let scaled = inverse_frequencies(&spec(64, 5e5, scaling));
        let known = |i: usize| match i {
            0..=14 => 1.0,
            15 => 1.651_329,
            16 => 3.292_262,
            17 => 9.666_729,
            _ => 32.0,
        };
        let mut factors = Vec::new();
        for i in 0..32 {
            let factor: f32 = plain[i] / scaled[i];
            assert!((factor - known(i)).abs() <= 1e-5 * known(i), "factor {i} is {factor}, expected {}", known(i));
            factors.push(known(i));
        }
        let from_factors = inverse_frequencies(&spec(64, 5e5, RopeScaling::Factors(factors)));
        for (a, b) in scaled.iter().zip(&from_factors) {
            assert!((a - b).abs() <= 1e-6 * b);
        }
    }

    /// The frequencies that transformers computes for gpt-oss and DeepSeek-V2-Lite (runtime.md E0.3).
    #[test]
    fn yarn_agrees_with_transformers() {
        let gpt_oss = RopeScaling::Yarn {
            factor: 32.0,
            fast: 32.0,
            slow: 1.0,
            original: 4096.0,
            truncate: false,
            magnitude: 1.5,
        };
        let deepseek =
            RopeScaling::Yarn { factor: 40.0, fast: 32.0, slow: 1.0, original: 4096.0, truncate: true, magnitude: 1.0 };
        for (theta, scaling, known) in [
            (
                1.5e5,
                gpt_oss,
                &[(0, 1.0), (8, 5.081_327_5e-2), (16, 4.564_839_2e-4), (24, 4.099_978_5e-6), (31, 3.023_511_4e-7)][..],
            ),
            (1e4, deepseek, &[(0, 1.0), (10, 5.623_413_4e-2), (20, 7.905_694e-4), (31, 3.333_803_6e-6)]),
        ] {
            let found = inverse_frequencies(&spec(64, theta, scaling));
            for (i, known) in known {
                assert!((found[*i] - known).abs() <= 1e-5 * known, "{i}: {} instead of {known}", found[*i]);
            }
        }
        let loud =
            RopeScaling::Yarn { factor: 2.0, fast: 32.0, slow: 1.0, original: 64.0, truncate: true, magnitude: 1.5 };
        assert_eq!(table(&spec(8, 1e4, loud), 0, 1), [1.5, 0.0, 1.5, 0.0, 1.5, 0.0, 1.5, 0.0]);
    }

    #[test]
    fn table_rows_are_the_same_wherever_they_start() {
        let rope = spec(8, 10000.0, RopeScaling::Linear { factor: 4.0 });
        let whole = table(&rope, 0, 40);
        assert_eq!(whole.len(), 40 * 4 * 2);
        assert_eq!(table(&rope, 33, 5), whole[33 * 8..38 * 8]);
        assert_eq!(whole[..2], [1.0, 0.0]);
        // Pair 0 turns by position / factor.
        let (sin, cos) = (39.0_f64 / 4.0).sin_cos();
        assert!((f64::from(whole[39 * 8]) - cos).abs() < 1e-7 && (f64::from(whole[39 * 8 + 1]) - sin).abs() < 1e-7);
    }
}
