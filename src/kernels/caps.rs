//! What an adapter can do, and the tiers of kernels that follow from it.

/// What the adapter can do, as far as kernels care. `select`ion sees only this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// `shader-f16` is enabled: shaders may use f16 types in storage and workgroup memory.
    pub f16: bool,
    /// `subgroups` is enabled: shaders may use subgroup operations, for any subgroup size.
    pub subgroups: bool,
    /// maxStorageBufferBindingSize.
    pub max_binding_bytes: u64,
    /// maxBufferSize.
    pub max_buffer_bytes: u64,
    /// The adapter is a software one (SwiftShader, llvmpipe).
    pub software: bool,
}

/// A tier of kernels; any tier at or below the adapter's can be forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// 16 KiB workgroup memory, 256 invocations, 8 storage buffers, nothing optional.
    Base,
    /// Base + f16 storage.
    F16,
    /// Base + subgroups.
    Subgroups,
    /// f16 and subgroups.
    All,
}

impl Tier {
    /// All tiers.
    pub const EACH: [Tier; 4] = [Tier::Base, Tier::F16, Tier::Subgroups, Tier::All];

    /// Name in the CLI (`--tier`) and in `bench` output.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Base => "base",
            Tier::F16 => "f16",
            Tier::Subgroups => "subgroups",
            Tier::All => "all",
        }
    }
}

impl Caps {
    /// The spec's default limits and nothing optional: what every WebGPU adapter has.
    pub const BASE: Caps = Caps {
        f16: false,
        subgroups: false,
        max_binding_bytes: 128 << 20,
        max_buffer_bytes: 256 << 20,
        software: false,
    };

    /// The tier these capabilities allow.
    pub fn tier(&self) -> Tier {
        match (self.f16, self.subgroups) {
            (false, false) => Tier::Base,
            (true, false) => Tier::F16,
            (false, true) => Tier::Subgroups,
            (true, true) => Tier::All,
        }
    }

    /// These capabilities restricted to `tier`; None when the adapter lacks something the tier needs.
    pub fn restricted(&self, tier: Tier) -> Option<Caps> {
        let f16 = matches!(tier, Tier::F16 | Tier::All);
        let subgroups = matches!(tier, Tier::Subgroups | Tier::All);
        if (f16 && !self.f16) || (subgroups && !self.subgroups) {
            return None;
        }
        Some(Caps { f16, subgroups, ..*self })
    }
}
