//! out\[w\] = xor of the words that workgroup w reads: a plain read of a buffer. `bench` times it to know what this
//! device's memory gives.

use super::params::{self, Field, params};
use super::{Access, Bind, Caps, Kernel, OutputKind, Slot, Step, Variant};

/// Threads per workgroup.
const WG: u32 = 256;
/// Most workgroups: enough to fill any GPU, few enough that each reads for a while.
pub const MAX_WORKGROUPS: u32 = 1024;

params! {
    /// As in the shader.
    struct Params {
        n_vec4: u32,
        n_workgroups: u32,
    }
}

/// What to do.
pub struct Args {
    /// Words to read; a multiple of 16 bytes.
    pub data: Bind,
    /// u32 `[1024]`, of which the first min(1024, number of workgroups) are written.
    pub out: Bind,
}

/// Builds the step.
pub fn step(caps: &Caps, label: &str, args: &Args) -> Step {
    let n_vec4 = (args.data.bytes / 16) as u32;
    let n_workgroups = n_vec4.div_ceil(WG).clamp(1, MAX_WORKGROUPS);
    Step {
        kernel: &Bandwidth,
        label: label.into(),
        // Nothing here depends on f16 or subgroups: one text for all tiers.
        variant: Variant::new("bandwidth", &Caps { f16: false, subgroups: false, ..*caps }).constant("WG", WG),
        params: params::encode(&Params { n_vec4, n_workgroups }),
        bindings: vec![args.data, args.out],
        grid: [n_workgroups, 1, 1],
    }
}

/// The kernel.
pub struct Bandwidth;

impl Kernel for Bandwidth {
    fn stem(&self) -> &'static str {
        "bandwidth"
    }
    fn access(&self, _variant: &Variant) -> Vec<Access> {
        vec![Access::Read, Access::ReadWrite]
    }
    fn outputs(&self, _variant: &Variant) -> OutputKind {
        OutputKind::U32
    }
    fn params_fields(&self) -> Vec<Field> {
        params::fields::<Params>()
    }
    fn reference(&self, _variant: &Variant, params: &[u8], io: &mut [Slot<'_>]) {
        let p: Params = params::decode(params);
        let [data, out] = io else { panic!("bandwidth has two bindings") };
        let mut sums = vec![0u32; p.n_workgroups as usize];
        for (i, quad) in data.words().chunks_exact(4).take(p.n_vec4 as usize).enumerate() {
            let group = (i as u32 / WG) % p.n_workgroups;
            sums[group as usize] ^= quad[0] ^ quad[1] ^ quad[2] ^ quad[3];
        }
        out.words_mut()[..sums.len()].copy_from_slice(&sums);
    }
}
