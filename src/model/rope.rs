//! Rotary tables on the CPU (runtime.md E0.3): shaders' `sin`, `cos` and `pow` are too coarse for long contexts.

use super::spec::{RopeScaling, RopeSpec};

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

/// cos and sin of `count` positions from `first`: f32 `[count, n_rot/2, 2]`.
pub fn table(rope: &RopeSpec, first: u32, count: u32) -> Vec<f32> {
    let inverse = inverse_frequencies(rope);
    let mut out = Vec::with_capacity(count as usize * inverse.len() * 2);
    for position in (first..).take(count as usize) {
        for inv in &inverse {
            let (sin, cos) = f64::from(position as f32 * inv).sin_cos();
            out.extend([cos as f32, sin as f32]);
        }
    }
    out
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
