// Counter-based random numbers: a function of (seed, draws, id), the same on every device.

// A bijection that scatters bits: the constants of least bias found by github.com/skeeto/hash-prospector.
fn random_mix(word: u32) -> u32 {
    var x = word;
    x = (x ^ (x >> 16u)) * 0x21f0aaadu;
    x = (x ^ (x >> 15u)) * 0x735a2d97u;
    return x ^ (x >> 15u);
}

// What all ids of a draw share. Two words, so that no two draws use permutations of the same numbers.
fn random_key(seed: u32, draws: u32) -> vec2<u32> {
    let key = random_mix(seed ^ random_mix(draws));
    return vec2<u32>(key, random_mix(key + 0x9e3779b9u));
}

fn random_word(key: vec2<u32>, id: u32) -> u32 {
    return random_mix(random_mix(id ^ key.x) + key.y);
}

const GUMBEL_MAX = 23.0; // above ln(2^33), the largest that gumbel() returns

// -ln(-ln(1 - t)) for the uniform t = (word + 1/2) / 2^32. What wins a draw has a small t, where 1 - t has few bits and
// log near 1 is only good to 2^-21: a series there.
fn gumbel(word: u32) -> f32 {
    let t = min((f32(word) + 0.5) * 2.3283064365386963e-10, 0.99999994);
    var e = t * (1.0 + t * (0.5 + t * (0.33333333 + t * (0.25 + t * (0.2 + t * (0.16666667 + t * 0.14285714))))));
    if (t > 0.0625) {
        e = -log(1.0 - t);
    }
    return -log(e);
}
