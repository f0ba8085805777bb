//! One file per shader stem: `Params`, variants, `step()`, `reference()`; its test cases are in `cases`. Knows no GPU API.
//!
//! A [`Step`] is one dispatch. The planner makes steps with each kernel's `step()` builder; the GPU executor and the
//! CPU executor (`reference()`) run the same steps on the same bytes.
//!
//! Binding 0 of every shader is `Params` (uniform). Bindings 1.. are storage buffers in the order of `Step::bindings`.
//! No buffer may be bound both for reading and for writing in one step (WebGPU forbids it).

use crate::weights::Layout;
use params::Field;

pub mod attention_decode;
pub mod attention_prefill;
pub mod bandwidth;
mod caps;
#[cfg(not(target_arch = "wasm32"))]
pub mod cases;
pub mod common;
pub mod embed;
pub mod gate_up;
pub mod glu;
mod kv;
pub mod matmul;
pub mod matvec;
pub mod params;
pub mod qkv;
pub mod reference;
pub mod rms_norm;
pub mod rope_kv;
pub mod sample;
pub mod sample_reduce;

pub use caps::{Caps, Tier};
pub use kv::KvType;

/// A buffer of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// A range of a buffer. `offset` is a multiple of 256, `bytes` of 4 (of 16 for matrices).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bind {
    /// The buffer.
    pub buffer: BufferId,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// How a shader uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
    /// `var<uniform>`: for small inputs of kernels that would need more than 8 storage buffers. At most 64 KiB.
    Uniform,
}

/// Everything that changes the text of a shader: pipeline cache key, source of the defines, printed name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    /// File stem in `shaders/`.
    pub stem: &'static str,
    /// Weight layout; `#import quant/LAYOUT` resolves to `shaders/quant/<layout.name()>.wgsl`.
    pub layout: Option<Layout>,
    /// Names that `#if NAME` tests. `F16` and `SUBGROUPS` also make the template emit the `enable` lines.
    pub flags: Vec<&'static str>,
    /// `const NAME: u32 = VALUE;` lines put in front of the text.
    pub consts: Vec<(&'static str, u32)>,
}

impl Variant {
    /// A variant of `stem`, with `F16` and `SUBGROUPS` set from `caps`.
    pub fn new(stem: &'static str, caps: &Caps) -> Variant {
        let mut flags = Vec::new();
        if caps.f16 {
            flags.push("F16");
        }
        if caps.subgroups {
            flags.push("SUBGROUPS");
        }
        Variant { stem, layout: None, flags, consts: Vec::new() }
    }
    /// Sets the weight layout.
    pub fn layout(mut self, layout: Layout) -> Variant {
        self.layout = Some(layout);
        self
    }
    /// Sets a flag when `on`.
    pub fn flag(mut self, name: &'static str, on: bool) -> Variant {
        if on {
            self.flags.push(name);
        }
        self
    }
    /// Adds a constant.
    pub fn constant(mut self, name: &'static str, value: u32) -> Variant {
        self.consts.push((name, value));
        self
    }
    /// Whether a flag is set.
    pub fn has(&self, name: &str) -> bool {
        self.flags.contains(&name)
    }
    /// The value of a constant. Panics when absent: a bug in the kernel file.
    pub fn get(&self, name: &str) -> u32 {
        self.consts.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{} has no const {name}", self.stem)).1
    }
    /// Printable, unique name: `matvec.ga4_sym.SUBGROUPS.NORM.M=1.ROWS=4`.
    pub fn name(&self) -> String {
        let mut s = self.stem.to_string();
        if let Some(l) = self.layout {
            s += &format!(".{}", l.name());
        }
        for f in &self.flags {
            s += &format!(".{f}");
        }
        for (n, v) in &self.consts {
            s += &format!(".{n}={v}");
        }
        s
    }
}

/// One dispatch.
#[derive(Clone)]
pub struct Step {
    /// The kernel (for `reference`).
    pub kernel: &'static dyn Kernel,
    /// `layer3.attn.qkv`: profiler label, bisect output.
    pub label: String,
    /// Which text.
    pub variant: Variant,
    /// The bytes of the kernel's `Params`, padded to a multiple of 16 ([`params::encode`]).
    pub params: Vec<u8>,
    /// Bindings 1.. of the shader.
    pub bindings: Vec<Bind>,
    /// Workgroups.
    pub grid: [u32; 3],
}

/// A binding as `reference` sees it: the exact words of `Bind`'s range.
pub enum Slot<'a> {
    /// A read-only binding.
    In(&'a [u32]),
    /// A read-write binding, with its old contents.
    Out(&'a mut [u32]),
}

impl Slot<'_> {
    /// The words.
    pub fn words(&self) -> &[u32] {
        match self {
            Slot::In(w) => w,
            Slot::Out(w) => w,
        }
    }
    /// The words as f32.
    pub fn f32s(&self) -> &[f32] {
        bytemuck::cast_slice(self.words())
    }
    /// The words to write. Panics on a read-only binding: a bug in the kernel file.
    pub fn words_mut(&mut self) -> &mut [u32] {
        match self {
            Slot::In(_) => panic!("read-only binding written"),
            Slot::Out(w) => w,
        }
    }
    /// The words to write as f32.
    pub fn f32s_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.words_mut())
    }
}

/// One shader stem. The registry [`ALL`] drives tests, bench and shader validation.
pub trait Kernel: Sync {
    /// File stem in `shaders/` and of the Rust file.
    fn stem(&self) -> &'static str;
    /// How bindings 1.. are used by `variant`.
    fn access(&self, variant: &Variant) -> Vec<Access>;
    /// The fields of `Params`; a test compares them with the members of the shader's `struct Params`.
    fn params_fields(&self) -> Vec<Field>;
    /// Bytes of `Step::params`.
    fn params_bytes(&self) -> usize {
        params::padded_bytes(&self.params_fields())
    }
    /// The same function in f64, naive, from the same Params and the same bytes.
    fn reference(&self, variant: &Variant, params: &[u8], io: &mut [Slot<'_>]);
    /// What the read-write bindings of `variant` hold.
    fn outputs(&self, _variant: &Variant) -> OutputKind {
        OutputKind::F32
    }
}

/// Element types of a step's read-write bindings, for comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// f32 words.
    F32,
    /// Two f16 per word.
    F16,
    /// Integers: exact.
    U32,
    /// The first read-write binding is f32, the others are pairs of f16 (qkv and rope_kv with an f16 cache).
    F32ThenF16,
    /// The first read-write binding is integers, the others are f32 (embed).
    U32ThenF32,
}

/// All kernels.
pub static ALL: &[&dyn Kernel] = &[
    &embed::Embed,
    &matvec::MatVec,
    &qkv::Qkv,
    &gate_up::GateUp,
    &attention_decode::AttentionDecode,
    &rms_norm::RmsNorm,
    &matmul::MatMul,
    &rope_kv::RopeKv,
    &attention_prefill::AttentionPrefill,
    &glu::Glu,
    &sample_reduce::SampleReduce,
    &sample::Sample,
    &bandwidth::Bandwidth,
];

/// A contiguous range of rows of a weight matrix, in one pair of buffers (see `weights` for the words).
#[derive(Debug, Clone, Copy)]
pub struct MatrixPart {
    /// First row of the whole matrix.
    pub row_start: u32,
    /// Rows here.
    pub rows: u32,
    /// Codes, bound as `array<vec4<u32>>`.
    pub codes: Bind,
    /// High plane and scales, bound as `array<u32>`; a 16-byte dummy for layouts without.
    pub meta: Bind,
}

/// A weight matrix `[rows, cols]`, split by rows where it exceeds a binding limit.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Layout of all parts.
    pub layout: Layout,
    /// Out features.
    pub rows: u32,
    /// In features.
    pub cols: u32,
    /// Row ranges in order, without gaps.
    pub parts: Vec<MatrixPart>,
}

impl Matrix {
    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.layout.bytes(self.rows, self.cols)
    }
}

/// Activation of a gated FFN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x * sigmoid(x)
    Silu,
    /// tanh approximation
    GeluTanh,
    /// max(x, 0)
    Relu,
}

impl Activation {
    /// The flag that `shaders/lib/activation.wgsl` tests.
    pub fn flag(self) -> &'static str {
        match self {
            Activation::Silu => "SILU",
            Activation::GeluTanh => "GELU_TANH",
            Activation::Relu => "RELU",
        }
    }
    /// The activation that a variant's flags name. Panics when there is none: a bug in the kernel file.
    pub fn of(variant: &Variant) -> Activation {
        let all = [Activation::Silu, Activation::GeluTanh, Activation::Relu];
        all.into_iter().find(|a| variant.has(a.flag())).expect("an activation flag")
    }
    /// The function itself, for references.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::GeluTanh => {
                let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + u.tanh())
            }
            Activation::Relu => x.max(0.0),
        }
    }
}

params::params! {
    /// The step state: one storage buffer of 8 words that kernels read and `sample` advances.
    #[derive(Eq, Default)]
    pub struct StepState {
        /// Index of the rope angle of the first token of this step.
        pub position: u32,
        /// Tokens in this step: 1 in decode, up to the plan's bucket in prefill.
        pub n_tokens: u32,
        /// Tokens drawn so far in this reply: counter of the random generator.
        pub draws: u32,
        /// KV row of the first token where nothing was removed; KV head h of a layer has it in row `row - gone[h]`.
        pub row: u32,
        /// Reserved, zero.
        pub reserved: [u32; 4],
    }
}

impl StepState {
    /// The state in a binding.
    pub fn from_words(words: &[u32]) -> StepState {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words[..8]))
    }
}
