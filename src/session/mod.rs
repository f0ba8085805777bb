//! A loaded model and what one does with it: prompt -> prefill -> decode -> pieces of text.
//!
//! Each session owns its state on the device; a new prompt prefills only what differs from it, so a growing conversation
//! costs its new tokens alone and sessions that take turns do not disturb each other. No wgpu types here.

pub mod engine;
mod options;
mod reply;
mod sessions;
mod stats;
pub mod text;

use crate::clock;
use crate::decode::stop::StopTexts;
use crate::error::{Error, Result};
use crate::execute::Executor;
use crate::formats::TensorFile;
use crate::formats::source::Files;
use crate::model::load;
use crate::model::open::{self, GenerationDefaults};
use crate::model::plan;
use crate::model::spec::ModelSpec;
use crate::state;
use crate::text::stream::Detokenizer;
use engine::Engine;
pub use options::{FinishReason, GenerateOptions, LoadOptions, Piece, Progress, Usage};
use reply::{Reply, Timing};
pub use sessions::SessionId;
pub use stats::Stats;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use text::Text;

/// Context when the caller asks for none: enough for a long chat, small beside the weights.
const DEFAULT_CONTEXT: u32 = 4096;

/// A loaded model on a device.
pub struct Model {
    engine: Engine,
    text: Text,
    defaults: GenerationDefaults,
    eos_ids: Vec<u32>,
    depth: u32,
    reply: Option<Reply>,
    cancel: Rc<Cell<bool>>,
    load_s: f64,
}

impl Model {
    /// Loads a model. `files` names a GGUF or a directory; `progress` is called after every slice. A load is
    /// aborted by a byte source that fails with `aborted`.
    ///
    /// Everything that can fail without weights (spec, missing tensors, tokenizer, template, pipelines) does so before
    /// the first of them is read.
    pub async fn load(
        files: Rc<dyn Files>,
        executor: Box<dyn Executor>,
        options: LoadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Model> {
        let started = clock::seconds();
        let opened = open::open(&*files).await?;
        // Consumes tokenizer.json and the GGUF metadata: they are freed before weights are read.
        let text = Text::new(opened.text)?;
        let mut model = Model::from_parts(opened.spec, &opened.tensors, text, executor, options, progress).await?;
        model.defaults = opened.generation;
        model.eos_ids = opened.eos_ids;
        if let Ok(tokenizer) = model.text.tokenizer() {
            model.eos_ids.extend(tokenizer.eos_ids());
            model.eos_ids.sort_unstable();
            model.eos_ids.dedup();
        }
        model.load_s = clock::seconds() - started;
        Ok(model)
    }

    /// As [`Model::load`], from a spec and tensors that are open already (synthetic models).
    pub async fn from_parts(
        spec: ModelSpec,
        tensors: &TensorFile,
        text: Text,
        mut executor: Box<dyn Executor>,
        options: LoadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Model> {
        let started = clock::seconds();
        options.check()?;
        let cancel = Rc::new(Cell::new(false));
        let context_length = context_length(&spec, options.context_length)?;
        let (weights, uploads) = load::place(&spec, tensors, &mut *executor)?;
        let mut engine = Engine::new(executor, spec, weights, context_length, options.kv_type, options.parked_bytes)?;
        let total_bytes = load::read_bytes(tensors, &uploads);
        let mut report = |downloaded_bytes, uploaded_bytes| {
            progress(Progress { downloaded_bytes, uploaded_bytes, total_bytes });
        };
        load::upload(tensors, uploads, &mut *engine.executor, &mut report, &cancel).await?;
        Ok(Model {
            engine,
            text,
            defaults: GenerationDefaults::default(),
            eos_ids: Vec::new(),
            depth: options.depth,
            reply: None,
            cancel,
            load_s: clock::seconds() - started,
        })
    }

    /// Token ids of a text, with BOS where the tokenizer adds it when `add_special`.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        self.text.tokenizer()?.encode(text, add_special)
    }

    /// Token ids of a conversation: an array of `{role, content, ...}`, and tools or null, through the chat template.
    pub fn tokenize_chat(&self, messages: &serde_json::Value, tools: &serde_json::Value) -> Result<Vec<u32>> {
        self.text.chat(messages, tools)
    }

    /// Whether the model came with a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.text.has_chat_template()
    }

    /// Text of token ids.
    pub fn detokenize(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.text.tokenizer()?.decode(ids, skip_special)
    }

    /// A session of its own, empty.
    pub fn create_session(&mut self) -> SessionId {
        self.engine.sessions.create()
    }

    /// A session that begins where another is now: both go on without computing what they share again. A reply that was
    /// under way in that session is dropped.
    pub async fn fork_session(&mut self, session: SessionId) -> Result<SessionId> {
        self.drop_reply_of(session).await?;
        self.engine.fork(session).await
    }

    /// Gives a session and its memory up. A reply that was under way in that session is dropped.
    pub async fn close_session(&mut self, session: SessionId) -> Result<()> {
        let result = self.drop_reply_of(session).await;
        self.engine.close(session);
        result
    }

    async fn drop_reply_of(&mut self, session: SessionId) -> Result<()> {
        match &self.reply {
            Some(reply) if reply.session == session => self.drop_reply().await,
            _ => Ok(()),
        }
    }

    /// Starts a reply in the default session; see [`Model::begin_in`].
    pub async fn begin(&mut self, ids: &[u32], options: &GenerateOptions) -> Result<()> {
        self.begin_in(SessionId::DEFAULT, ids, options).await
    }

    /// Starts a reply to a whole prompt: prefills what the session does not hold yet. A reply that was under way, in any
    /// session, is dropped. After an error the model can be used again.
    pub async fn begin_in(&mut self, session: SessionId, ids: &[u32], options: &GenerateOptions) -> Result<()> {
        let started = clock::seconds();
        self.cancel.set(false);
        self.drop_reply().await?;
        self.check_ids(ids)?;
        let room = self.engine.context_length() - ids.len() as u32;
        if room == 0 {
            return Err(self.overflow(ids.len()));
        }
        let sampling = reply::sampling(options, &self.defaults)?;
        self.engine.activate(session).await?;
        // The last token is computed again even when cached: its logits are not.
        let common = self.engine.state().map_or(0, |s| s.common_prefix(ids));
        let cached = self.engine.rewind(common.min(ids.len() - 1))?;
        self.engine.set_sampling(&sampling, ids)?;
        let tokenizer = self.text.tokenizer().ok();
        let mut reply = Reply {
            session,
            pending: VecDeque::new(),
            ready: None,
            given: Vec::new(),
            submitted: 0,
            max_tokens: options.max_tokens.unwrap_or(u32::MAX).min(room),
            eos_ids: if options.ignore_eos { Vec::new() } else { self.eos_ids.clone() },
            detokenizer: tokenizer.map(|t| Detokenizer::after(t, ids)).transpose()?,
            stop: StopTexts::new(&options.stop),
            finished: None,
            timing: Timing {
                prompt_tokens: ids.len() as u32,
                cached_tokens: cached as u32,
                started,
                first_token: 0.0,
                last_token: 0.0,
            },
        };
        let token = self.engine.prefill(&ids[cached..], &self.cancel).await?;
        reply.timing.first_token = clock::seconds();
        reply.timing.last_token = reply.timing.first_token;
        reply.ready = Some(token);
        if reply.max_tokens == 0 {
            reply.finished = Some(FinishReason::Length);
        }
        self.reply = Some(reply);
        Ok(())
    }

    /// The next piece of the reply; None at its end.
    pub async fn next(&mut self) -> Result<Option<Piece>> {
        if self.reply.is_none() {
            return Err(Error::BadRequest("no reply is under way: call begin() first".into()));
        }
        if self.cancel.get() {
            self.drop_reply().await?;
            return Err(engine::aborted());
        }
        match self.advance().await {
            Ok(piece) => Ok(piece),
            Err(e) => {
                // What was in flight may or may not have run: forget its rows, keep the rest.
                self.reply = None;
                self.engine.settle()?;
                Err(e)
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Piece>> {
        let Some(reply) = &mut self.reply else { return Ok(None) };
        if reply.finished.is_some() {
            return Ok(None);
        }
        // Keep the device busy: submit ahead, up to `depth` steps, of which those past a stop are dropped.
        let drawn = |r: &Reply| r.given.len() as u32 + u32::from(r.ready.is_some()) + r.pending.len() as u32;
        while (reply.pending.len() as u32) < self.depth && drawn(reply) < reply.max_tokens && self.engine.has_room() {
            reply.pending.push_back(self.engine.decode().await?);
            reply.submitted += 1;
        }
        let token = match reply.ready.take() {
            Some(token) => token,
            None => match reply.pending.pop_front() {
                Some(future) => future.await?,
                None => {
                    reply.finished = Some(FinishReason::Length);
                    return Ok(Some(reply.finish_text()?));
                }
            },
        };
        reply.timing.last_token = clock::seconds();
        reply.given.push(token);
        let mut piece = Piece { text: String::new(), ids: vec![token] };
        if reply.eos_ids.contains(&token) {
            reply.finished = Some(FinishReason::Stop);
            piece.text = reply.finish_text()?.text;
        } else {
            if let Some(detokenizer) = &mut reply.detokenizer {
                piece.text = reply.stop.push(&detokenizer.push(token)?);
                if reply.stop.stopped() {
                    reply.finished = Some(FinishReason::Stop);
                }
            }
            if reply.finished.is_none() && reply.given.len() as u32 >= reply.max_tokens {
                reply.finished = Some(FinishReason::Length);
                piece.text += &reply.finish_text()?.text;
            }
        }
        if self.reply.as_ref().is_some_and(|r| r.finished.is_some()) {
            self.settle().await?;
        }
        Ok(Some(piece))
    }

    /// Waits for the steps in flight, adds the tokens that steps consumed to the cache and rewinds what is past them.
    async fn settle(&mut self) -> Result<()> {
        if let Some(reply) = &mut self.reply {
            while let Some(future) = reply.pending.pop_front() {
                future.await?;
            }
            // Step k consumed the k-th token given out; steps past a stop consumed tokens that nobody saw.
            let consumed = reply.given.len().min(std::mem::take(&mut reply.submitted));
            self.engine.extend(&reply.given[..consumed]);
        }
        self.engine.settle()
    }

    async fn drop_reply(&mut self) -> Result<()> {
        let result = self.settle().await;
        self.reply = None;
        result
    }

    /// Refuses an empty prompt, ids outside of the vocabulary, and more of them than the context holds.
    pub fn check_ids(&self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Err(Error::BadRequest("the prompt is empty: give at least one token".into()));
        }
        if let Some(id) = ids.iter().find(|id| **id >= self.engine.spec.vocab_size) {
            let vocab_size = self.engine.spec.vocab_size;
            return Err(Error::BadRequest(format!("token id {id} is outside the vocabulary of {vocab_size} tokens")));
        }
        if ids.len() as u64 > u64::from(self.engine.context_length()) {
            return Err(self.overflow(ids.len()));
        }
        Ok(())
    }

    fn overflow(&self, prompt: usize) -> Error {
        let context = self.engine.context_length();
        Error::ContextOverflow(format!(
            "the prompt has {prompt} tokens and the context holds {context}, reply included: shorten the prompt, or load \
             the model with a larger contextLength (this model was made for {})",
            self.engine.spec.context_length
        ))
        .with("promptTokens", prompt)
        .with("contextLength", context)
        .with("modelContextLength", self.engine.spec.context_length)
    }

    /// What the last reply cost; None while it goes on.
    pub fn usage(&self) -> Option<Usage> {
        self.reply.as_ref().and_then(Reply::usage)
    }

    /// A flag that makes the running `begin`, `next` or `logits` fail with `aborted` at the next chance.
    /// `begin` and `logits` clear it.
    pub fn cancel_flag(&self) -> Rc<Cell<bool>> {
        self.cancel.clone()
    }

    /// Logits `[ids.len(), vocab_size]` of a fresh context: one prefill in chunks of `chunk` tokens (None = the
    /// largest bucket; 1 = decode plan one by one).
    pub async fn logits(&mut self, ids: &[u32], chunk: Option<u32>) -> Result<Vec<f32>> {
        self.cancel.set(false);
        self.drop_reply().await?;
        self.check_ids(ids)?;
        self.engine.activate(SessionId::DEFAULT).await?;
        if chunk == Some(0) {
            return Err(Error::BadRequest("a chunk has at least 1 token".into()));
        }
        self.engine.logits(ids, chunk.unwrap_or(plan::MAX_CHUNK), &self.cancel).await
    }

    /// Device state, for benchmarks and bisecting.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Facts and counters.
    pub fn stats(&self) -> Stats {
        let e = &self.engine;
        let counters = e.executor.counters();
        Stats {
            adapter: e.executor.adapter(),
            tier: e.executor.caps().tier().name().into(),
            arch: e.spec.arch.into(),
            layers: e.spec.layers.len(),
            vocab_size: e.spec.vocab_size,
            context_length: e.context_length(),
            sessions: e.sessions.len(),
            session_bytes: e.sessions.bytes(),
            session_evictions: e.sessions.evictions,
            kv_capacity: e.state().map_or(0, |s| s.capacity),
            kv_tokens: e.ids().len(),
            kv_bytes_per_token: state::bytes_per_token(&e.spec, e.kv_type()),
            prefilled_tokens: e.prefilled_tokens(),
            weight_bytes_per_token: e.weights.bytes_per_token(),
            dispatches_per_token: e.dispatches_per_token,
            load_s: self.load_s,
            gpu_bytes: counters.gpu_bytes,
            dispatches: counters.dispatches,
            submits: counters.submits,
            uploaded_bytes: counters.uploaded_bytes,
            readback_bytes: counters.readback_bytes,
            objects_created: counters.objects_created,
        }
    }
}

fn context_length(spec: &ModelSpec, asked: Option<u32>) -> Result<u32> {
    match asked {
        None => Ok(spec.context_length.min(DEFAULT_CONTEXT)),
        Some(0) => Err(Error::BadRequest("contextLength is 0; it must be at least 1".into())
            .with("option", "contextLength")
            .with("min", 1)
            .with("max", spec.context_length)),
        Some(n) if n > spec.context_length => Err(Error::BadRequest(format!(
            "contextLength is {n}, but this model was made for {}: ask for at most that",
            spec.context_length
        ))
        .with("option", "contextLength")
        .with("min", 1)
        .with("max", spec.context_length)),
        Some(n) => Ok(n),
    }
}
