//! Device state of a loaded model: buffers, sessions and compiled plans. Prefills chunks and submits decode steps of the
//! active session; knows nothing of text.

use super::sessions::{SessionId, Sessions};
use crate::error::{Error, Result};
use crate::execute::{Executor, PlanId};
use crate::formats::source::LocalFuture;
use crate::kernels::sample_reduce::Sampling;
use crate::kernels::{KvType, Step, StepState};
use crate::model::load::Weights;
use crate::model::plan::{BUCKETS, Buffers, MAX_CHUNK, Output, Planner, bucket};
use crate::model::rope::RopeTables;
use crate::model::spec::ModelSpec;
use crate::state::SessionState;
use std::cell::Cell;

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
    buffers: Buffers,
    ropes: RopeTables,
    pub(super) sessions: Sessions,
    active: SessionId,
    kv_type: KvType,
    context_length: u32,
    decode_steps: u64,
    prefilled: u64,
    /// Dispatches of one decoded token: the same in every session.
    pub(super) dispatches_per_token: usize,
}

impl Engine {
    /// Allocates activations and the default session and compiles the plans that every reply needs. The weights may
    /// still be empty: nothing runs before [`Engine::prefill`].
    pub fn new(
        mut executor: Box<dyn Executor>,
        spec: ModelSpec,
        weights: Weights,
        context_length: u32,
        kv_type: KvType,
        parked_bytes: u64,
    ) -> Result<Engine> {
        let buffers = Buffers::new(&spec, MAX_CHUNK.min(context_length), &mut *executor)?;
        SessionState::check_limits(&spec, kv_type, context_length, &*executor)?;
        let state = SessionState::new(&spec, kv_type, context_length, &mut *executor)?;
        let ropes = RopeTables::new(&spec.ropes, state.capacity, &mut *executor)?;
        let mut sessions = Sessions::new(parked_bytes);
        sessions.put(SessionId::DEFAULT, state);
        let active = SessionId::DEFAULT;
        let (decode_steps, prefilled) = (0, 0);
        let mut engine = Engine {
            executor,
            spec,
            weights,
            buffers,
            ropes,
            sessions,
            active,
            kv_type,
            context_length,
            decode_steps,
            prefilled,
            dispatches_per_token: 0,
        };
        engine.dispatches_per_token = engine.steps(1, Output::Token).len();
        let largest = engine.largest_bucket();
        for (n, output) in [(1, Output::Token), (bucket(largest.min(32)), Output::Token), (largest, Output::Token)] {
            let steps = engine.steps(n, output);
            engine.executor.warm_up(&steps)?;
            engine.plan(n, output)?;
        }
        Ok(engine)
    }

    /// Makes a session the active one: everything else here speaks of that. It gets an empty state where it has none.
    /// Nothing may be in flight.
    pub async fn activate(&mut self, id: SessionId) -> Result<()> {
        self.sessions.check(id)?;
        if self.sessions.get(id).is_none() && !self.sessions.adopt_empty(id) {
            // Room first: what is parked beyond the budget goes before anything is allocated.
            self.sessions.touch(id, &mut *self.executor);
            let state = SessionState::new(&self.spec, self.kv_type, self.context_length, &mut *self.executor)?;
            // On the web a failed allocation is known only now.
            if let Err(e) = self.executor.flush().await {
                state.free(&mut *self.executor);
                return Err(e);
            }
            self.sessions.put(id, state);
        }
        self.sessions.touch(id, &mut *self.executor);
        self.active = id;
        Ok(())
    }

    /// A new session with the state of another, in which nothing may be in flight.
    pub async fn fork(&mut self, id: SessionId) -> Result<SessionId> {
        self.sessions.fork(id, self.active, &self.spec, &mut *self.executor).await
    }

    /// Gives a session up, in which nothing may be in flight.
    pub fn close(&mut self, id: SessionId) {
        self.sessions.remove(id, &mut *self.executor);
    }

    /// State of the active session. A session that was closed meanwhile has none.
    pub fn state(&self) -> Option<&SessionState> {
        self.sessions.get(self.active).map(|s| &s.state)
    }

    fn state_mut(&mut self) -> Result<&mut SessionState> {
        let session = self.sessions.get_mut(self.active);
        session.map(|s| &mut s.state).ok_or_else(|| Error::Disposed("this session was disposed".into()))
    }

    /// The tokens that the active session holds.
    pub fn ids(&self) -> &[u32] {
        self.state().map(|s| s.ids.as_slice()).unwrap_or_default()
    }

    /// Adds tokens that finished steps consumed to the active session.
    pub fn extend(&mut self, ids: &[u32]) {
        if let Ok(state) = self.state_mut() {
            state.ids.extend_from_slice(ids);
        }
    }

    /// Longest context allowed.
    pub fn context_length(&self) -> u32 {
        self.context_length
    }

    /// Element type of keys and values.
    pub fn kv_type(&self) -> KvType {
        self.kv_type
    }

    /// The steps of a plan of the active session, for inspection and bisecting.
    pub fn steps(&self, n_tokens: u32, output: Output) -> Vec<Step> {
        let Some(state) = self.state() else { return Vec::new() };
        let planner = Planner {
            spec: &self.spec,
            weights: &self.weights,
            buffers: &self.buffers,
            ropes: &self.ropes.binds,
            state: &state.binds(),
            caps: self.executor.caps(),
        };
        planner.plan(n_tokens, output)
    }

    /// The largest bucket that fits the activations (a context shorter than [`MAX_CHUNK`] has smaller ones).
    fn largest_bucket(&self) -> u32 {
        BUCKETS.iter().copied().filter(|b| *b <= self.buffers.max_tokens).max().unwrap_or(1)
    }

    fn known_plan(&self, n_tokens: u32, output: Output) -> Option<PlanId> {
        self.sessions.get(self.active)?.plans.get(&(n_tokens, output)).copied()
    }

    /// The compiled plan for a bucket, compiled on first use.
    pub fn plan(&mut self, n_tokens: u32, output: Output) -> Result<PlanId> {
        if let Some(id) = self.known_plan(n_tokens, output) {
            return Ok(id);
        }
        let steps = self.steps(n_tokens, output);
        let id = self.executor.compile(&steps)?;
        if let Some(session) = self.sessions.get_mut(self.active) {
            session.plans.insert((n_tokens, output), id);
        }
        Ok(id)
    }

    /// As [`Engine::plan`], once a new plan is known to be good: on the web its errors come late, and what a bad plan
    /// computes would be taken for tokens.
    async fn checked_plan(&mut self, n_tokens: u32, output: Output) -> Result<PlanId> {
        let is_new = self.known_plan(n_tokens, output).is_none();
        let id = self.plan(n_tokens, output)?;
        if is_new && let Err(e) = self.executor.flush().await {
            if let Some(session) = self.sessions.get_mut(self.active) {
                session.plans.remove(&(n_tokens, output));
            }
            self.executor.drop_plan(id);
            return Err(e);
        }
        Ok(id)
    }

    /// Forgets the plans of all sessions: a buffer that they share was replaced.
    fn drop_plans(&mut self) {
        for session in self.sessions.with_state() {
            session.drop_plans(&mut *self.executor);
        }
    }

    /// Makes room for `rows` positions. In-flight steps finish on the old buffers first: copies are in queue order.
    async fn reserve(&mut self, rows: u32) -> Result<()> {
        let executor = &mut *self.executor;
        let Some(session) = self.sessions.get_mut(self.active) else { return Ok(()) };
        if let Some(capacity) = session.state.growth_for(rows) {
            session.state.grow(&self.spec, capacity, executor).await?;
            session.drop_plans(executor);
        }
        let positions = session.state.capacity;
        if positions > self.ropes.positions {
            self.ropes.grow(positions, &mut *self.executor).await?;
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

    /// Forgets all but the first `len` tokens of the active session; steps in flight count as forgotten. Returns how many
    /// it kept, which is fewer where a layer cannot go back to exactly there.
    pub fn rewind(&mut self, len: usize) -> Result<usize> {
        match self.sessions.get_mut(self.active) {
            Some(session) => session.state.rewind(len, &mut *self.executor),
            None => Ok(0),
        }
    }

    /// Forgets the steps in flight.
    pub fn settle(&mut self) -> Result<()> {
        self.rewind(self.ids().len()).map(|_| ())
    }

    fn position(&self) -> u32 {
        self.state().map_or(0, |s| s.position)
    }

    /// Writes the ids and state of one chunk, and returns the plan that runs it.
    async fn chunk(&mut self, ids: &[u32], output: Output) -> Result<PlanId> {
        let n = ids.len() as u32;
        self.reserve(self.position() + n).await?;
        let plan = self.checked_plan(bucket(n).min(self.largest_bucket()), output).await?;
        // Rows and positions differ only after merging or evicting.
        let (position, row) = (self.position(), self.position());
        let state = StepState { position, row, n_tokens: n, ..StepState::default() };
        self.executor.write(self.buffers.ids.buffer, 0, bytemuck::cast_slice(ids))?;
        self.executor.write(self.buffers.state.buffer, 0, bytemuck::bytes_of(&state))?;
        self.state_mut()?.position += n;
        Ok(plan)
    }

    /// Appends `ids` to the active session in chunks and draws the next token from the last position. Each chunk is waited for,
    /// so that an abort takes effect between chunks; after an error the session holds what was finished.
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
                    self.extend(chunk);
                    self.prefilled += chunk.len() as u64;
                    if last {
                        return Ok(token);
                    }
                }
                Err(e) => {
                    self.settle()?;
                    return Err(e);
                }
            }
        }
        Err(Error::BadRequest("the prompt is empty: give at least one token".into()))
    }

    /// Submits one decode step: consumes the token drawn last, draws the next. Several may be in flight.
    /// The caller gives the consumed token to [`Engine::extend`].
    pub async fn decode(&mut self) -> Result<LocalFuture<'static, Result<u32>>> {
        self.reserve(self.position() + 1).await?;
        let plan = self.checked_plan(1, Output::Token).await?;
        let future = self.executor.run_and_read_word(plan, self.buffers.ids.buffer, 0)?;
        self.state_mut()?.position += 1;
        self.decode_steps += 1;
        Ok(future)
    }

    /// Decode steps submitted so far.
    pub fn decode_steps(&self) -> u64 {
        self.decode_steps
    }

    /// Prompt tokens computed so far, over all sessions: what [`Engine::rewind`] kept is not computed again.
    pub fn prefilled_tokens(&self) -> u64 {
        self.prefilled
    }

    /// Whether another decode step fits the context.
    pub fn has_room(&self) -> bool {
        self.position() < self.context_length
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
        self.extend(ids);
        let n_tokens = bucket(ids.len() as u32).min(self.largest_bucket());
        Ok((self.steps(n_tokens, Output::AllLogits), plan))
    }

    /// Logits `[ids.len(), vocab_size]` of a fresh context, `chunk` tokens at a time.
    pub async fn logits(&mut self, ids: &[u32], chunk: u32, cancel: &Cell<bool>) -> Result<Vec<f32>> {
        self.rewind(0)?;
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
                self.rewind(0)?;
                return Err(aborted());
            }
            let plan = self.chunk(part, Output::AllLogits).await?;
            self.executor.run(plan)?;
            let bytes = self.executor.read(self.buffers.logits.buffer, 0, part.len() as u64 * row_bytes).await?;
            logits.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&bytes));
            self.extend(part);
        }
        Ok(logits)
    }
}

/// The error of a cancelled call.
pub fn aborted() -> Error {
    Error::Aborted("the call was aborted; the model can be used again".into())
}
