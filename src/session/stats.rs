//! What a loaded model tells about itself: the one list behind the command line's JSON and `Stats` in JavaScript.

/// The fields; `pkg/src/engine-stats.ts` is made from them by `tests/typescript.rs`.
macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ident,)*) => {
        /// Facts and counters of a model; bytes are exact, taken from buffers and layouts.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl Stats {
            /// Name, Rust type and meaning of each field.
            pub const FIELDS: &[(&str, &str, &str)] =
                &[$((stringify!($name), stringify!($type), concat!($($doc),+))),*];
        }
    };
}

stats! {
    /// Name of the adapter.
    adapter: String,
    /// Tier of kernels in use: `base`, `f16`, `subgroups` or `all`.
    tier: String,
    /// Architecture, as the file names it.
    arch: String,
    /// Number of layers.
    layers: usize,
    /// Number of tokens in the vocabulary.
    vocab_size: u32,
    /// Longest context in tokens.
    context_length: u32,
    /// Sessions that exist, with and without state on the device; one is the model's own.
    sessions: usize,
    /// Bytes of the states of all sessions.
    session_bytes: u64,
    /// States given up to stay within the budget of sessions not in use.
    session_evictions: u64,
    /// Tokens that the KV cache of the session used last has room for before it grows.
    kv_capacity: u32,
    /// Tokens in the KV cache of the session used last.
    kv_tokens: usize,
    /// Bytes of the KV cache per token.
    kv_bytes_per_token: u64,
    /// Prompt tokens computed since the load, over all sessions.
    prefilled_tokens: u64,
    /// Bytes of weights that one decoded token reads.
    weight_bytes_per_token: u64,
    /// Dispatches of one decoded token.
    dispatches_per_token: usize,
    /// Seconds that the load took.
    load_s: f64,
    /// Bytes of all live GPU buffers.
    gpu_bytes: u64,
    /// Dispatches recorded since the load.
    dispatches: u64,
    /// Command buffers submitted since the load.
    submits: u64,
    /// Bytes written to the GPU since the load, without weights.
    uploaded_bytes: u64,
    /// Bytes read back from the GPU.
    readback_bytes: u64,
    /// GPU objects (buffers, bind groups, pipelines) created.
    objects_created: u64,
}
