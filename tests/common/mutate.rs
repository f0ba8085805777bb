//! Inputs with a few bytes changed. A test includes it with `#[path = "common/mutate.rs"] mod mutate;`.

use lacewing::weights::random::Random;

/// Changes a few bytes: random ones, extreme ones, single bits, or the length.
pub fn mutate(bytes: &[u8], rng: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(out.len() as u32) as usize;
        match rng.below(5) {
            0 => out[at] = rng.next_u64() as u8,
            1 => out[at] = [0, 1, 0x7F, 0x80, 0xFF][rng.below(5) as usize],
            2 => out[at] ^= 1 << rng.below(8),
            3 => out.truncate(at.max(1)),
            _ => out.insert(at, rng.next_u64() as u8),
        }
    }
    out
}
