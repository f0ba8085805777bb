//! The KV cache: one K and one V buffer per layer, `[capacity, n_kv_heads * head_dim]`, grown by doubling.
//!
//! Rows are positions, so growing is one copy per buffer. The cache remembers which token ids its rows hold: a new
//! prompt keeps the longest common prefix.

use crate::error::{Error, Result};
use crate::execute::{BufferUse, Executor};
use crate::kernels::{Bind, BufferId, KvType};
use crate::model::plan::{Kv, KvLayer};
use crate::model::rope;
use crate::model::spec::ModelSpec;

/// Rows allocated at first; doubled as needed up to the context length.
const FIRST_CAPACITY: u32 = 512;

/// See the module.
pub struct KvCache {
    /// Where its buffers are.
    pub kv: Kv,
    /// Rows allocated.
    pub capacity: u32,
    /// The token of each valid row.
    pub ids: Vec<u32>,
    row_bytes: Vec<u64>,
}

impl KvCache {
    /// Bytes of K and V per position, all layers.
    pub fn bytes_per_token(spec: &ModelSpec, kv_type: KvType) -> u64 {
        spec.layers.iter().map(|l| 2 * row_bytes(l.n_kv_heads * l.head_dim, kv_type)).sum()
    }

    /// Allocates the first rows.
    pub fn new(spec: &ModelSpec, kv_type: KvType, context_length: u32, executor: &mut dyn Executor) -> Result<KvCache> {
        // Growing must not fail in the middle of a reply because of a limit that is known now.
        let caps = executor.caps();
        let widest = spec.layers.iter().map(|l| row_bytes(l.n_kv_heads * l.head_dim, kv_type)).max().unwrap_or(0);
        let row = widest.max(u64::from(spec.rope.n_rot) * 4).max(1);
        let most = caps.max_binding_bytes.min(caps.max_buffer_bytes) / row;
        if u64::from(context_length) > most {
            return Err(Error::LimitExceeded(format!(
                "a context of {context_length} tokens needs a buffer of {} bytes per layer, more than this device allows: \
                 load the model with a contextLength of at most {most}",
                u64::from(context_length) * row
            ))
            .with("option", "contextLength")
            .with("max", most)
            .with("neededBytes", u64::from(context_length) * row)
            .with("allowedBytes", caps.max_binding_bytes.min(caps.max_buffer_bytes)));
        }
        let empty = Bind { buffer: BufferId(0), offset: 0, bytes: 0 };
        let mut cache = KvCache {
            kv: Kv { layers: Vec::new(), rope: empty, kv_type, context_length },
            capacity: 0,
            ids: Vec::new(),
            row_bytes: spec.layers.iter().map(|l| row_bytes(l.n_kv_heads * l.head_dim, kv_type)).collect(),
        };
        cache.capacity = FIRST_CAPACITY.min(context_length);
        cache.kv = cache.allocate(spec, cache.capacity, executor)?;
        Ok(cache)
    }

    /// The capacity to grow to so that `rows` fit; None when they fit already. `rows` is at most the context length.
    pub fn growth_for(&self, rows: u32) -> Option<u32> {
        (rows > self.capacity).then(|| rows.next_power_of_two().min(self.kv.context_length).max(rows))
    }

    /// Allocates `capacity` rows and copies the old ones in queue order. Every plan must be compiled anew afterwards.
    /// When an allocation fails the cache is as before.
    pub async fn grow(&mut self, spec: &ModelSpec, capacity: u32, executor: &mut dyn Executor) -> Result<()> {
        let new = self.allocate(spec, capacity, executor)?;
        // On the web a failed allocation is known only now: before the old rows are given up.
        let copied = match executor.flush().await {
            Ok(()) => self.copy_to(&new, executor),
            Err(e) => Err(e),
        };
        let (given_up, result) = match copied {
            Ok(()) => {
                self.capacity = capacity;
                (std::mem::replace(&mut self.kv, new), Ok(()))
            }
            Err(e) => (new, Err(e)),
        };
        for bind in given_up.layers.iter().flat_map(|l| [l.k, l.v]).chain([given_up.rope]) {
            executor.destroy_buffer(bind.buffer);
        }
        result
    }

    fn copy_to(&self, new: &Kv, executor: &mut dyn Executor) -> Result<()> {
        for ((row, old), new) in self.row_bytes.iter().zip(&self.kv.layers).zip(&new.layers) {
            let bytes = row * u64::from(self.capacity);
            executor.copy(old.k.buffer, 0, new.k.buffer, 0, bytes)?;
            executor.copy(old.v.buffer, 0, new.v.buffer, 0, bytes)?;
        }
        Ok(())
    }

    /// Empty buffers of `capacity` rows. When one cannot be had, those before it are given back.
    fn allocate(&self, spec: &ModelSpec, capacity: u32, executor: &mut dyn Executor) -> Result<Kv> {
        let mut made = Vec::new();
        let mut create = |executor: &mut dyn Executor, label: String, bytes: u64| {
            let buffer = executor.create_buffer(&label, bytes, BufferUse::Cache)?;
            made.push(buffer);
            Ok(Bind { buffer, offset: 0, bytes: bytes.next_multiple_of(16) })
        };
        let allocate = |executor: &mut dyn Executor,
                        create: &mut dyn FnMut(&mut dyn Executor, String, u64) -> Result<Bind>| {
            let mut layers = Vec::new();
            for (i, row) in self.row_bytes.iter().enumerate() {
                let k = create(executor, format!("layer{i}.k_cache"), row * u64::from(capacity))?;
                let v = create(executor, format!("layer{i}.v_cache"), row * u64::from(capacity))?;
                layers.push(KvLayer { k, v });
            }
            let table = rope::table(&spec.rope, 0, capacity);
            let rope = create(executor, "rope".into(), (table.len() as u64 * 4).max(16))?;
            executor.write(rope.buffer, 0, bytemuck::cast_slice(&table))?;
            Ok(Kv { layers, rope, ..self.kv })
        };
        allocate(executor, &mut create).inspect_err(|_| {
            made.into_iter().for_each(|b| executor.destroy_buffer(b));
        })
    }

    /// How many leading tokens of `ids` the cache already holds.
    pub fn common_prefix(&self, ids: &[u32]) -> usize {
        self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count()
    }
}

/// Bytes of a row of `kv_dim` elements. head_dim is a multiple of 4, so a row is whole words in either type.
fn row_bytes(kv_dim: u32, kv_type: KvType) -> u64 {
    u64::from(kv_dim) * if kv_type == KvType::F16 { 2 } else { 4 }
}
