//! What a session remembers on the device: keys and values of attention layers, states of recurrent ones.
//!
//! Three numbers tell where a token is: its `position` (rope angle), its `row` (where its key goes) and, per layer and KV
//! head, the live length (`row - gone`). They differ once entries are merged or evicted. Rows are grown by doubling, one
//! copy per buffer. The state remembers which token ids it holds, so that a new prompt keeps the longest common prefix.

use crate::error::{Error, Result};
use crate::execute::{BufferUse, Executor};
use crate::kernels::{Bind, BufferId, KvType};
use crate::model::plan::{LayerBinds, StateBinds};
use crate::model::rope::RopeTables;
use crate::model::spec::{LayerSpec, Mixer, ModelSpec};

/// Rows allocated at first; doubled as needed up to the context length.
const FIRST_CAPACITY: u32 = 512;
/// Bytes between the `gone` of two layers when they share a buffer: the alignment of bindings.
const BIND_ALIGNMENT: u64 = 256;

/// What one layer remembers.
#[derive(Debug, Clone)]
pub enum LayerState {
    /// Keys and values.
    Kv(KvState),
    /// A state of fixed size.
    Recurrent(RecurrentState),
}

/// Keys and values of a layer.
#[derive(Debug, Clone, Copy)]
pub struct KvState {
    /// `[capacity, n_kv_heads * head_dim]`
    pub k: Bind,
    /// As `k`.
    pub v: Bind,
    /// u32 `[n_kv_heads]`: see [`LayerBinds::Kv`].
    pub gone: Bind,
    /// Bytes of a row of `k`, and of `v`.
    pub row_bytes: u64,
}

/// The state of a recurrent layer, and earlier ones to go back to: it cannot be cut like a list of rows.
#[derive(Debug, Clone)]
pub struct RecurrentState {
    /// The state after the tokens so far.
    pub state: Bind,
    /// Copies, oldest first: the number of tokens they hold and where they are.
    pub snapshots: Vec<(u32, Bind)>,
}

/// What [`SessionState::check_limits`] and the budget of parked states count, per position.
pub fn bytes_per_token(spec: &ModelSpec, kv_type: KvType) -> u64 {
    spec.attentions().map(|a| 2 * row_bytes(a.kv_width(), kv_type)).sum()
}

/// See the module.
pub struct SessionState {
    /// The tokens that the state holds once everything submitted has run.
    pub ids: Vec<u32>,
    /// Tokens that submitted steps add: `ids` and the steps in flight. Rope angle and row of the next token: both are
    /// this number as long as nothing is merged or evicted.
    pub position: u32,
    /// One per layer.
    pub layers: Vec<LayerState>,
    /// Rows allocated.
    pub capacity: u32,
    /// Of keys and values.
    pub kv_type: KvType,
    /// Longest context allowed.
    pub context_length: u32,
}

impl SessionState {
    /// Refuses a context whose buffers would exceed the limits of the device: growing must not fail in the middle of a
    /// reply because of a limit that is known now.
    pub fn check_limits(spec: &ModelSpec, kv_type: KvType, context_length: u32, executor: &dyn Executor) -> Result<()> {
        let caps = executor.caps();
        let widest = spec.attentions().map(|a| row_bytes(a.kv_width(), kv_type)).max().unwrap_or(0);
        let row = widest.max(RopeTables::row_bytes(&spec.ropes)).max(1);
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
        Ok(())
    }

    /// An empty state with room for the first tokens.
    pub fn new(
        spec: &ModelSpec,
        kv_type: KvType,
        context_length: u32,
        executor: &mut dyn Executor,
    ) -> Result<SessionState> {
        let mut state = SessionState {
            ids: Vec::new(),
            position: 0,
            layers: Vec::new(),
            capacity: FIRST_CAPACITY.min(context_length),
            kv_type,
            context_length,
        };
        state.layers = state.allocate(&spec.layers, state.capacity, executor)?;
        Ok(state)
    }

    /// Where plans find it.
    pub fn binds(&self) -> StateBinds {
        let layers = self.layers.iter().map(|layer| match layer {
            LayerState::Kv(kv) => LayerBinds::Kv { k: kv.k, v: kv.v, gone: kv.gone },
            LayerState::Recurrent(r) => LayerBinds::Recurrent { state: r.state },
        });
        StateBinds { layers: layers.collect(), kv_type: self.kv_type, context_length: self.context_length }
    }

    /// How many leading tokens of `ids` it already holds.
    pub fn common_prefix(&self, ids: &[u32]) -> usize {
        self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count()
    }

    /// Forgets all but the first `len` tokens, or fewer where a recurrent layer has no snapshot of exactly that many.
    /// Steps in flight count as forgotten. Returns how many tokens it kept.
    pub fn rewind(&mut self, len: usize, executor: &mut dyn Executor) -> Result<usize> {
        let mut kept = len.min(self.ids.len());
        let unchanged = kept == self.ids.len() && self.position as usize == kept;
        for layer in self.layers.iter().filter(|_| !unchanged) {
            if let LayerState::Recurrent(r) = layer {
                let fitting = r.snapshots.iter().rev().map(|(n, _)| *n as usize).find(|n| *n <= kept);
                kept = fitting.unwrap_or(0);
            }
        }
        for layer in self.layers.iter_mut().filter(|_| !unchanged) {
            if let LayerState::Recurrent(r) = layer {
                r.restore(kept as u32, executor)?;
            }
        }
        self.ids.truncate(kept);
        self.position = kept as u32;
        Ok(kept)
    }

    /// Remembers the recurrent layers as they are, so that [`SessionState::rewind`] can come back here. Nothing may be
    /// in flight. Layers with rows need none.
    pub fn snapshot(&mut self, executor: &mut dyn Executor) -> Result<()> {
        let at = self.position;
        for layer in &mut self.layers {
            if let LayerState::Recurrent(r) = layer {
                r.snapshot(at, executor)?;
            }
        }
        Ok(())
    }

    /// The capacity to grow to so that `rows` fit; None when they fit already. `rows` is at most the context length.
    pub fn growth_for(&self, rows: u32) -> Option<u32> {
        (rows > self.capacity).then(|| rows.next_power_of_two().min(self.context_length).max(rows))
    }

    /// Allocates `capacity` rows and copies the old ones in queue order. Plans of this state must be compiled anew
    /// afterwards. When an allocation fails the state is as before.
    pub async fn grow(&mut self, spec: &ModelSpec, capacity: u32, executor: &mut dyn Executor) -> Result<()> {
        let rows = self.capacity;
        let new = self.copied(spec, capacity, rows, executor).await?;
        self.capacity = capacity;
        free(std::mem::replace(&mut self.layers, new), executor);
        Ok(())
    }

    /// A state of its own with the same tokens. Nothing may be in flight.
    pub async fn fork(&self, spec: &ModelSpec, executor: &mut dyn Executor) -> Result<SessionState> {
        let rows = self.ids.len() as u32;
        let layers = self.copied(spec, self.capacity, rows, executor).await?;
        Ok(SessionState { ids: self.ids.clone(), layers, ..*self })
    }

    /// Bytes of its buffers.
    pub fn bytes(&self) -> u64 {
        let binds = self.layers.iter().flat_map(LayerState::binds);
        binds.map(|b| b.bytes).sum()
    }

    /// Gives its buffers back. Plans that use them must be dropped first.
    pub fn free(self, executor: &mut dyn Executor) {
        free(self.layers, executor);
    }

    /// New layers of `capacity` rows that hold the first `rows` of these.
    async fn copied(
        &self,
        spec: &ModelSpec,
        capacity: u32,
        rows: u32,
        executor: &mut dyn Executor,
    ) -> Result<Vec<LayerState>> {
        let mut new = self.allocate(&spec.layers, capacity, executor)?;
        // On the web a failed allocation is known only now: before anything is given up.
        let copied = match executor.flush().await {
            Ok(()) => self.layers.iter().zip(&mut new).try_for_each(|(old, new)| old.copy_to(new, rows, executor)),
            Err(e) => Err(e),
        };
        match copied {
            Ok(()) => Ok(new),
            Err(e) => {
                free(new, executor);
                Err(e)
            }
        }
    }

    /// Empty layers of `capacity` rows. When one buffer cannot be had, those before it are given back.
    fn allocate(&self, specs: &[LayerSpec], capacity: u32, executor: &mut dyn Executor) -> Result<Vec<LayerState>> {
        let mut made = Vec::new();
        let result = self.allocate_all(specs, capacity, executor, &mut made);
        result.inspect_err(|_| made.iter().for_each(|b: &BufferId| executor.destroy_buffer(*b)))
    }

    fn allocate_all(
        &self,
        specs: &[LayerSpec],
        capacity: u32,
        executor: &mut dyn Executor,
        made: &mut Vec<BufferId>,
    ) -> Result<Vec<LayerState>> {
        let mut create = |label: String, bytes: u64| -> Result<Bind> {
            let bytes = bytes.next_multiple_of(16);
            let buffer = executor.create_buffer(&label, bytes, BufferUse::Cache)?;
            made.push(buffer);
            Ok(Bind { buffer, offset: 0, bytes })
        };
        // The counts of all layers in one buffer; zero when it is new.
        let heads = specs.iter().map(|l| l.attention().map_or(0, |a| u64::from(a.n_kv_heads)));
        let stride = (heads.max().unwrap_or(0) * 4).max(1).next_multiple_of(BIND_ALIGNMENT);
        let gone = create("gone".into(), stride * specs.len() as u64)?;
        let mut layers = Vec::new();
        for (i, layer) in specs.iter().enumerate() {
            let Mixer::Attention(attention) = &layer.mixer;
            let row_bytes = row_bytes(attention.kv_width(), self.kv_type);
            layers.push(LayerState::Kv(KvState {
                k: create(format!("layer{i}.k_cache"), row_bytes * u64::from(capacity))?,
                v: create(format!("layer{i}.v_cache"), row_bytes * u64::from(capacity))?,
                gone: Bind { offset: stride * i as u64, bytes: stride, ..gone },
                row_bytes,
            }));
        }
        Ok(layers)
    }
}

impl LayerState {
    fn binds(&self) -> Vec<Bind> {
        match self {
            LayerState::Kv(kv) => vec![kv.k, kv.v, kv.gone],
            LayerState::Recurrent(r) => r.snapshots.iter().map(|(_, bind)| *bind).chain([r.state]).collect(),
        }
    }

    /// Copies the first `rows` rows, or the whole state, to a layer of the same kind.
    fn copy_to(&self, new: &mut LayerState, rows: u32, executor: &mut dyn Executor) -> Result<()> {
        match (self, new) {
            (LayerState::Kv(old), LayerState::Kv(new)) => {
                let bytes = (old.row_bytes * u64::from(rows)).next_multiple_of(4);
                if bytes > 0 {
                    executor.copy(old.k.buffer, 0, new.k.buffer, 0, bytes)?;
                    executor.copy(old.v.buffer, 0, new.v.buffer, 0, bytes)?;
                }
                executor.copy(old.gone.buffer, old.gone.offset, new.gone.buffer, new.gone.offset, old.gone.bytes)
            }
            (LayerState::Recurrent(old), LayerState::Recurrent(new)) => {
                executor.copy(old.state.buffer, 0, new.state.buffer, 0, old.state.bytes)?;
                for (at, bind) in &old.snapshots {
                    let copy = copy_of(*bind, executor)?;
                    new.snapshots.push((*at, copy));
                }
                Ok(())
            }
            _ => unreachable!("both are made from the same spec"),
        }
    }
}

impl RecurrentState {
    /// Most snapshots kept: one per recent turn of a conversation.
    const MAX_SNAPSHOTS: usize = 4;

    fn snapshot(&mut self, at: u32, executor: &mut dyn Executor) -> Result<()> {
        if self.snapshots.last().is_some_and(|(n, _)| *n == at) {
            return Ok(());
        }
        if self.snapshots.len() == Self::MAX_SNAPSHOTS {
            executor.destroy_buffer(self.snapshots.remove(0).1.buffer);
        }
        let copy = copy_of(self.state, executor)?;
        self.snapshots.push((at, copy));
        Ok(())
    }

    /// Back to the snapshot of exactly `at` tokens, or to the empty state for 0; later snapshots are dropped.
    fn restore(&mut self, at: u32, executor: &mut dyn Executor) -> Result<()> {
        while let Some((_, bind)) = self.snapshots.last().copied().filter(|(n, _)| *n > at) {
            executor.destroy_buffer(bind.buffer);
            self.snapshots.pop();
        }
        match self.snapshots.last() {
            Some((n, bind)) if *n == at => executor.copy(bind.buffer, 0, self.state.buffer, 0, self.state.bytes),
            _ => executor.write(self.state.buffer, 0, &vec![0; self.state.bytes as usize]),
        }
    }
}

fn copy_of(bind: Bind, executor: &mut dyn Executor) -> Result<Bind> {
    let buffer = executor.create_buffer("snapshot", bind.bytes, BufferUse::Cache)?;
    executor.copy(bind.buffer, 0, buffer, 0, bind.bytes).inspect_err(|_| executor.destroy_buffer(buffer))?;
    Ok(Bind { buffer, offset: 0, bytes: bind.bytes })
}

fn free(layers: Vec<LayerState>, executor: &mut dyn Executor) {
    let mut buffers: Vec<BufferId> = layers.iter().flat_map(LayerState::binds).map(|b| b.buffer).collect();
    buffers.sort_unstable();
    buffers.dedup();
    buffers.into_iter().for_each(|b| executor.destroy_buffer(b));
}

/// Bytes of a row of `kv_dim` elements. head_dim is a multiple of 4, so a row is whole words in every type.
fn row_bytes(kv_dim: u32, kv_type: KvType) -> u64 {
    kv_type.bytes(u64::from(kv_dim))
}
