//! The sessions of a model: each owns its device state and the plans bound to it. States that are not in use are parked
//! within a budget of bytes; beyond it the least recently used are given up, and their sessions prefill again.

use crate::error::{Error, Result};
use crate::execute::{Executor, PlanId};
use crate::model::plan::Output;
use crate::model::spec::ModelSpec;
use crate::state::SessionState;
use std::collections::HashMap;

/// A session of a model. [`SessionId::DEFAULT`] always exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

impl SessionId {
    /// The session of callers that need only one.
    pub const DEFAULT: SessionId = SessionId(0);
}

/// A session's state on the device.
pub(super) struct Session {
    pub state: SessionState,
    pub plans: HashMap<(u32, Output), PlanId>,
    /// Larger = used later.
    used: u64,
}

impl Session {
    pub fn drop_plans(&mut self, executor: &mut dyn Executor) {
        self.plans.drain().for_each(|(_, id)| executor.drop_plan(id));
    }

    fn free(mut self, executor: &mut dyn Executor) {
        self.drop_plans(executor);
        self.state.free(executor);
    }
}

/// All sessions; None = created, but without state on the device (new, or given up).
pub(super) struct Sessions {
    all: HashMap<SessionId, Option<Session>>,
    next: u32,
    uses: u64,
    /// Bytes that states not in use may hold together.
    pub parked_bytes: u64,
    /// States given up so far to stay within the budget.
    pub evictions: u64,
}

impl Sessions {
    pub fn new(parked_bytes: u64) -> Sessions {
        let all = HashMap::from([(SessionId::DEFAULT, None)]);
        Sessions { all, next: 1, uses: 0, parked_bytes, evictions: 0 }
    }

    /// A session without state.
    pub fn create(&mut self) -> SessionId {
        let id = SessionId(self.next);
        self.next += 1;
        self.all.insert(id, None);
        id
    }

    /// Gives a session, and its device state, up. The default session keeps existing.
    pub fn remove(&mut self, id: SessionId, executor: &mut dyn Executor) {
        if let Some(session) = self.all.remove(&id).flatten() {
            session.free(executor);
        }
        if id == SessionId::DEFAULT {
            self.all.insert(id, None);
        }
    }

    pub fn check(&self, id: SessionId) -> Result<()> {
        if self.all.contains_key(&id) {
            return Ok(());
        }
        Err(Error::Disposed("this session was disposed: create another with model.session()".into()))
    }

    /// A session with state, or None.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.all.get(&id)?.as_ref()
    }

    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.all.get_mut(&id)?.as_mut()
    }

    pub fn with_state(&mut self) -> impl Iterator<Item = &mut Session> {
        self.all.values_mut().flatten()
    }

    /// Puts a state into a session and counts it as used now.
    pub fn put(&mut self, id: SessionId, state: SessionState) {
        self.uses += 1;
        self.all.insert(id, Some(Session { state, plans: HashMap::new(), used: self.uses }));
    }

    /// Gives a session without state that of another which holds no tokens, with its plans: a model's first session
    /// takes what was made while the weights arrived. False when there is none.
    pub fn adopt_empty(&mut self, id: SessionId) -> bool {
        let empty = |s: &Option<Session>| s.as_ref().is_some_and(|s| s.state.ids.is_empty() && s.state.position == 0);
        let from = self.all.iter().find(|(other, s)| **other != id && empty(s)).map(|(other, _)| *other);
        let taken = from.and_then(|other| self.all.get_mut(&other)).and_then(Option::take);
        let found = taken.is_some();
        if found {
            self.all.insert(id, taken);
        }
        found
    }

    /// Counts a session as used now, then parks the others within the budget.
    pub fn touch(&mut self, id: SessionId, executor: &mut dyn Executor) {
        self.uses += 1;
        let uses = self.uses;
        if let Some(session) = self.get_mut(id) {
            session.used = uses;
        }
        self.evict(&[id], executor);
    }

    fn evict(&mut self, keep: &[SessionId], executor: &mut dyn Executor) {
        let mut parked: Vec<(u64, SessionId, u64)> = self
            .all
            .iter()
            .filter(|(id, _)| !keep.contains(id))
            .filter_map(|(id, s)| s.as_ref().map(|s| (s.used, *id, s.state.bytes())))
            .collect();
        parked.sort_unstable();
        let mut total: u64 = parked.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, id, bytes) in parked {
            if total <= self.parked_bytes {
                break;
            }
            total -= bytes;
            if let Some(session) = self.all.get_mut(&id).and_then(Option::take) {
                session.free(executor);
                self.evictions += 1;
            }
        }
    }

    /// Sessions, with and without state on the device.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes of all states.
    pub fn bytes(&self) -> u64 {
        self.all.values().flatten().map(|s| s.state.bytes()).sum()
    }

    /// A copy of a session under a new id; without state where that has none. The state of `active` stays.
    pub async fn fork(
        &mut self,
        id: SessionId,
        active: SessionId,
        spec: &ModelSpec,
        executor: &mut dyn Executor,
    ) -> Result<SessionId> {
        self.check(id)?;
        let state = match self.get(id) {
            Some(session) => Some(session.state.fork(spec, executor).await?),
            None => None,
        };
        let copy = self.create();
        if let Some(state) = state {
            self.put(copy, state);
            self.evict(&[copy, active], executor);
        }
        Ok(copy)
    }
}
