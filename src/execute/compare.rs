//! Comparing what a kernel wrote with what its reference wrote.

use crate::kernels::OutputKind;
use half::f16;

/// An element that is too far off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mismatch {
    /// Index in elements of the output's kind.
    pub element: usize,
    /// What the reference wrote.
    pub expected: f64,
    /// What is there.
    pub found: f64,
}

/// The outcome for one binding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Elements that the reference changed.
    pub changed: usize,
    /// Elements outside of the tolerance, or changed although the reference left them alone.
    pub wrong: usize,
    /// The first of these, at most ten.
    pub first: Vec<Mismatch>,
    /// Sum of squared differences.
    pub error: f64,
    /// Sum of squares of the reference.
    pub power: f64,
}

impl Comparison {
    /// Normalised mean squared error over the elements that the reference changed.
    pub fn nmse(&self) -> f64 {
        if self.error == 0.0 { 0.0 } else { self.error / self.power }
    }
}

/// Elements of `words` as numbers, with their bits.
fn elements(kind: OutputKind, words: &[u32]) -> Box<dyn Iterator<Item = (f64, u32)> + '_> {
    match kind {
        OutputKind::F16 => {
            Box::new(words.iter().flat_map(|w| {
                [*w as u16, (*w >> 16) as u16].map(|bits| (f16::from_bits(bits).to_f64(), u32::from(bits)))
            }))
        }
        OutputKind::U32 => Box::new(words.iter().map(|w| (f64::from(*w), *w))),
        _ => Box::new(words.iter().map(|w| (f64::from(f32::from_bits(*w)), *w))),
    }
}

/// The kind of the read-write binding number `index` (from 0) of a case.
pub fn kind_of(kind: OutputKind, index: usize) -> OutputKind {
    match (kind, index) {
        (OutputKind::F32ThenF16, 0) => OutputKind::F32,
        (OutputKind::F32ThenF16, _) => OutputKind::F16,
        (OutputKind::U32ThenF32, 0) => OutputKind::U32,
        (OutputKind::U32ThenF32, _) => OutputKind::F32,
        (kind, _) => kind,
    }
}

/// Compares one binding: integers must be equal, for the rest |found - expected| <= atol + rtol * |expected|. With
/// `before`, its content before the step, elements that the reference left alone must be bit-identical.
pub fn compare(
    kind: OutputKind,
    before: Option<&[u32]>,
    expected: &[u32],
    found: &[u32],
    (atol, rtol): (f32, f32),
) -> Comparison {
    let mut result = Comparison::default();
    let mut before_elements = before.map(|words| elements(kind, words));
    for (element, (expected, found)) in elements(kind, expected).zip(elements(kind, found)).enumerate() {
        let old = before_elements.as_mut().and_then(Iterator::next);
        let touched = old.is_none_or(|old| old.1 != expected.1);
        let diff = (found.0 - expected.0).abs();
        let close = diff <= f64::from(atol) + f64::from(rtol) * expected.0.abs();
        let right = if touched && kind != OutputKind::U32 { close } else { found.1 == expected.1 };
        if touched {
            result.changed += 1;
            result.error += diff * diff;
            result.power += expected.0 * expected.0;
        }
        if !right {
            result.wrong += 1;
            if result.first.len() < 10 {
                result.first.push(Mismatch { element, expected: expected.0, found: found.0 });
            }
        }
    }
    if expected.len() != found.len() || before.is_some_and(|b| b.len() != expected.len()) {
        result.wrong += 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_touched_words_are_wrong() {
        let bits = |v: [f32; 4]| v.map(f32::to_bits);
        let before = bits([7.0, 7.0, 7.0, 7.0]);
        let expected = bits([1.0, 2.0, 7.0, f32::NAN]);
        let run = |found| compare(OutputKind::F32, Some(&before), &expected, &bits(found), (1e-3, 0.0));
        let fine = run([1.0005, 2.0, 7.0, 0.0]);
        assert_eq!((fine.changed, fine.wrong, fine.first[0].element), (3, 1, 3)); // a NaN reference is never met
        assert_eq!(run([f32::NAN, 2.0, 7.0, 0.0]).wrong, 2);
        assert_eq!(run([1.0, 2.0, 7.0001, 0.0]).wrong, 2); // within the tolerance, but not ours to write
    }

    #[test]
    fn halves_and_integers() {
        let half = |a: f32, b: f32| u32::from(f16::from_f32(a).to_bits()) | u32::from(f16::from_f32(b).to_bits()) << 16;
        let c = compare(OutputKind::F16, Some(&[half(9.0, 9.0)]), &[half(1.0, 9.0)], &[half(1.5, 9.0)], (0.1, 0.1));
        assert_eq!((c.changed, c.wrong, c.first[0].element), (1, 1, 0));
        assert_eq!(compare(OutputKind::U32, None, &[5], &[6], (10.0, 10.0)).wrong, 1);
        assert_eq!(kind_of(OutputKind::F32ThenF16, 0), OutputKind::F32);
        assert_eq!(kind_of(OutputKind::F32ThenF16, 1), OutputKind::F16);
    }
}
