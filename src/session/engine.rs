//! Device state of a loaded model: buffers, KV cache and compiled plans. Prefills chunks and submits decode steps;
//! knows nothing of text.

use crate::cache::KvCache;
use crate::error::{Error, Result};
use crate::execute::{Executor, PlanId};
use crate::formats::source::LocalFuture;
use crate::kernels::sample_reduce::Sampling;
use crate::kernels::{KvType, Step, StepState};
use crate::model::load::Weights;
use crate::model::plan::{BUCKETS, Buffers, MAX_CHUNK, Output, Planner, bucket};
use crate::model::spec::ModelSpec;
use std::cell::Cell;
use std::collections::HashMap;

/// Most bytes of logits kept at once by [`Engine::logits`].
const LOGIT_BYTES: u64 = 64 << 20;

/// See the module.
pub struct Engine {
    /// The device.
    pub executor: Box<dyn Executor>,
    /// The model.
    pub spec: ModelSpec,
    /// Where its weights are.
    pub weights: Weights,
    /// KV cache; `cache.ids` are the tokens whose rows are valid once everything submitted has run.
    pub cache: KvCache,
    buffers: Buffers,
    plans: HashMap<(u32, Output), PlanId>,
    /// Rows of the KV cache that submitted steps fill: `cache.ids` plus the steps in flight.
    position: u32,
    decode_steps: u64,
}

impl Engine {
    /// Allocates activations and cache and compiles the plans that every reply needs. The weights may still be empty:
    /// nothing runs before [`Engine::prefill`].
    pub fn new(
        mut executor: Box<dyn Executor>,
        spec: ModelSpec,
        weights: Weights,
        context_length: u32,
        kv_type: KvType,
    ) -> Result<Engine> {
        let buffers = Buffers::new(&spec, MAX_CHUNK.min(context_length), &mut *executor)?;
        let cache = KvCache::new(&spec, kv_type, context_length, &mut *executor)?;
        let plans = HashMap::new();
        let mut engine = Engine { executor, spec, weights, cache, buffers, plans, position: 0, decode_steps: 0 };
        let largest = engine.largest_bucket();
        for (n, output) in [(1, Output::Token), (bucket(largest.min(32)), Output::Token), (largest, Output::Token)] {
            let steps = engine.steps(n, output);
            engine.executor.warm_up(&steps)?;
            engine.plan(n, output)?;
        }
        Ok(engine)
    }

    /// The steps of a plan, for inspection and bisecting.
    pub fn steps(&self, n_tokens: u32, output: Output) -> Vec<Step> {
        let planner = Planner {
            spec: &self.spec,
            weights: &self.weights,
            buffers: &self.buffers,
            cache: &self.cache.kv,
            caps: self.executor.caps(),
        };
        planner.plan(n_tokens, output)
    }

    /// The largest bucket that fits the activations (a context shorter than [`MAX_CHUNK`] has smaller ones).
    fn largest_bucket(&self) -> u32 {
        BUCKETS.iter().copied().filter(|b| *b <= self.buffers.max_tokens).max().unwrap_or(1)
    }

    /// The compiled plan for a bucket, compiled on first use.
    pub fn plan(&mut self, n_tokens: u32, output: Output) -> Result<PlanId> {
        if let Some(id) = self.plans.get(&(n_tokens, output)) {
            return Ok(*id);
        }
        let steps = self.steps(n_tokens, output);
        let id = self.executor.compile(&steps)?;
        self.plans.insert((n_tokens, output), id);
        Ok(id)
    }

    /// As [`Engine::plan`], once a new plan is known to be good: on the web its errors come late, and what a bad plan
    /// computes would be taken for tokens.
    async fn checked_plan(&mut self, n_tokens: u32, output: Output) -> Result<PlanId> {
        let is_new = !self.plans.contains_key(&(n_tokens, output));
        let id = self.plan(n_tokens, output)?;
        if is_new && let Err(e) = self.executor.flush().await {
            self.plans.remove(&(n_tokens, output));
            self.executor.drop_plan(id);
            return Err(e);
        }
        Ok(id)
    }

    fn drop_plans(&mut self) {
        for (_, id) in self.plans.drain() {
            self.executor.drop_plan(id);
        }
    }

    /// Makes room for `rows` positions. In-flight steps finish on the old buffers first: copies are in queue order.
    async fn reserve(&mut self, rows: u32) -> Result<()> {
        if let Some(capacity) = self.cache.growth_for(rows) {
            self.cache.grow(&self.spec, capacity, &mut *self.executor).await?;
            self.drop_plans();
        }
        Ok(())
    }

    /// Writes how tokens are drawn, and which ids count as seen.
    pub fn set_sampling(&mut self, sampling: &Sampling, seen: &[u32]) -> Result<()> {
        self.executor.write(self.buffers.sampling.buffer, 0, bytemuck::bytes_of(sampling))?;
        if sampling.repetition_penalty != 1.0 {
            let mut table = vec![0u32; self.spec.vocab_size as usize];
            seen.iter().for_each(|id| table[*id as usize] = 1);
            self.executor.write(self.buffers.seen.buffer, 0, bytemuck::cast_slice(&table))?;
        }
        Ok(())
    }

    /// Forgets all but the first `len` cached tokens.
    pub fn truncate(&mut self, len: usize) {
        self.cache.ids.truncate(len);
        self.position = self.cache.ids.len() as u32;
    }

    /// Writes the ids and state of one chunk, and returns the plan that runs it.
    async fn chunk(&mut self, ids: &[u32], output: Output) -> Result<PlanId> {
        let n = ids.len() as u32;
        self.reserve(self.position + n).await?;
        let plan = self.checked_plan(bucket(n).min(self.largest_bucket()), output).await?;
        let state = StepState { position: self.position, n_tokens: n, ..StepState::default() };
        self.executor.write(self.buffers.ids.buffer, 0, bytemuck::cast_slice(ids))?;
        self.executor.write(self.buffers.state.buffer, 0, bytemuck::bytes_of(&state))?;
        self.position += n;
        Ok(plan)
    }

    /// Appends `ids` to the cache in chunks and draws the next token from the last position. Each chunk is waited for,
    /// so that an abort takes effect between chunks; after an error the cache holds what was finished.
    pub async fn prefill(&mut self, ids: &[u32], cancel: &Cell<bool>) -> Result<u32> {
        let chunks: Vec<&[u32]> = ids.chunks(self.largest_bucket() as usize).collect();
        for (i, chunk) in chunks.iter().enumerate() {
            if cancel.get() {
                return Err(aborted());
            }
            let last = i + 1 == chunks.len();
            let plan = self.chunk(chunk, if last { Output::Token } else { Output::Nothing }).await;
            let ids = self.buffers.ids;
            let done = plan.and_then(|p| self.executor.run_and_read_word(p, ids.buffer, 0));
            let token = match done {
                Ok(future) => future.await,
                Err(e) => Err(e),
            };
            match token {
                Ok(token) => {
                    self.cache.ids.extend_from_slice(chunk);
                    if last {
                        return Ok(token);
                    }
                }
                Err(e) => {
                    self.truncate(self.cache.ids.len());
                    return Err(e);
                }
            }
        }
        Err(Error::BadRequest("the prompt is empty: give at least one token".into()))
    }

    /// Submits one decode step: consumes the token drawn last, draws the next. Several may be in flight.
    /// The caller appends the consumed token to `cache.ids`.
    pub async fn decode(&mut self) -> Result<LocalFuture<'static, Result<u32>>> {
        self.reserve(self.position + 1).await?;
        let plan = self.checked_plan(1, Output::Token).await?;
        let future = self.executor.run_and_read_word(plan, self.buffers.ids.buffer, 0)?;
        self.position += 1;
        self.decode_steps += 1;
        Ok(future)
    }

    /// Decode steps submitted so far.
    pub fn decode_steps(&self) -> u64 {
        self.decode_steps
    }

    /// Whether another decode step fits the context.
    pub fn has_room(&self) -> bool {
        self.position < self.cache.kv.context_length
    }

    /// Makes room for the logits of every position of a chunk, and returns the largest chunk (at most `chunk`) for it.
    async fn logit_chunk(&mut self, chunk: u32) -> Result<u32> {
        let row_bytes = u64::from(self.spec.vocab_size) * 4;
        let limit = LOGIT_BYTES.min(self.executor.caps().max_binding_bytes).max(row_bytes);
        let fitting = BUCKETS.iter().copied().filter(|b| u64::from(*b) * row_bytes <= limit).max().unwrap_or(1);
        let chunk = chunk.min(fitting).min(self.largest_bucket());
        let rows = bucket(chunk).min(self.largest_bucket());
        if self.buffers.ensure_logit_rows(rows, self.spec.vocab_size, &mut *self.executor).await? {
            self.drop_plans();
        }
        Ok(chunk)
    }

    /// Appends one chunk without running it: the steps and the compiled plan that would give the logits of all its
    /// positions. For bisecting; `ids` is at most one bucket.
    pub async fn stage(&mut self, ids: &[u32]) -> Result<(Vec<Step>, PlanId)> {
        if ids.len() as u32 > self.logit_chunk(ids.len() as u32).await? {
            return Err(Error::BadRequest(format!("{} tokens do not fit one pass: choose a smaller chunk", ids.len())));
        }
        let plan = self.chunk(ids, Output::AllLogits).await?;
        self.cache.ids.extend_from_slice(ids);
        let n_tokens = bucket(ids.len() as u32).min(self.largest_bucket());
        Ok((self.steps(n_tokens, Output::AllLogits), plan))
    }

    /// Logits `[ids.len(), vocab_size]` of a fresh context, `chunk` tokens at a time.
    pub async fn logits(&mut self, ids: &[u32], chunk: u32, cancel: &Cell<bool>) -> Result<Vec<f32>> {
        self.truncate(0);
        let chunk = self.logit_chunk(chunk).await?;
        let row_bytes = u64::from(self.spec.vocab_size) * 4;
        let mut logits: Vec<f32> = Vec::new();
        let values = ids.len() as u64 * u64::from(self.spec.vocab_size);
        let room = usize::try_from(values).ok().and_then(|n| logits.try_reserve_exact(n).ok());
        room.ok_or_else(|| {
            Error::OutOfMemory(format!(
                "the logits of {} positions take {} bytes, more than there is memory for: ask for fewer at a time",
                ids.len(),
                values * 4
            ))
            .with("neededBytes", values * 4)
        })?;
        for part in ids.chunks(chunk as usize) {
            if cancel.get() {
                self.truncate(0);
                return Err(aborted());
            }
            let plan = self.chunk(part, Output::AllLogits).await?;
            self.executor.run(plan)?;
            let bytes = self.executor.read(self.buffers.logits.buffer, 0, part.len() as u64 * row_bytes).await?;
            logits.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&bytes));
            self.cache.ids.extend_from_slice(part);
        }
        Ok(logits)
    }
}

/// The error of a cancelled call.
pub fn aborted() -> Error {
    Error::Aborted("the call was aborted; the model can be used again".into())
}
