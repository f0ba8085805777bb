//! Device buffers by id, and the ring of small mappable buffers through which results come back.

use super::context::Context;
use crate::error::{Error, Result};
use crate::execute::BufferUse;
use crate::kernels::BufferId;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Staging buffers made at the start: as many reads may be in flight before another is made.
pub(super) const RING: usize = 4;

/// A device buffer.
pub(super) struct Buffer {
    pub buffer: wgpu::Buffer,
    pub bytes: u64,
    pub usage: BufferUse,
}

/// Buffers by id; ids are never used twice. The executor's own ones count down from the last id, so that the ids of
/// the others do not depend on what this executor does for itself.
#[derive(Default)]
pub(super) struct Buffers(Vec<Option<Buffer>>, Vec<Buffer>);

impl Buffers {
    pub(super) fn insert(&mut self, buffer: Buffer) -> BufferId {
        self.0.push(Some(buffer));
        BufferId(self.0.len() as u32 - 1)
    }

    /// A buffer of the executor itself.
    pub(super) fn insert_own(&mut self, buffer: Buffer) -> BufferId {
        self.1.push(buffer);
        BufferId(u32::MAX - (self.1.len() as u32 - 1))
    }

    fn get(&self, id: BufferId) -> Option<&Buffer> {
        let own = || self.1.get((u32::MAX - id.0) as usize);
        self.0.get(id.0 as usize).and_then(Option::as_ref).or_else(own)
    }

    pub(super) fn remove(&mut self, id: BufferId) -> Option<Buffer> {
        self.0.get_mut(id.0 as usize).and_then(Option::take)
    }

    pub(super) fn len_of(&self, id: BufferId) -> Option<u64> {
        self.get(id).map(|b| b.bytes)
    }

    /// The buffer, provided that the range lies inside and is whole words.
    pub(super) fn range(&self, id: BufferId, offset: u64, bytes: u64) -> Result<&Buffer> {
        let buffer = self.get(id).ok_or_else(|| Error::Disposed(format!("Buffer {} was freed.", id.0)))?;
        crate::execute::check_range(offset, bytes, buffer.bytes)?;
        Ok(buffer)
    }
}

enum State {
    Free,
    Pending(Option<Waker>),
    Mapped,
    Failed,
}

/// A buffer that the host can map. A clone of the `Rc` outlives a read that nobody awaits.
pub(super) struct Staging {
    buffer: wgpu::Buffer,
    state: Arc<Mutex<State>>,
    taken: Cell<bool>,
}

impl Staging {
    pub(super) fn new(device: &wgpu::Device, bytes: u64) -> Rc<Staging> {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Rc::new(Staging { buffer, state: Arc::new(Mutex::new(State::Free)), taken: Cell::new(false) })
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it for a read when nobody else has it and no map is under way.
    pub(super) fn take(&self) -> bool {
        if self.taken.get() || self.pending() {
            return false;
        }
        // A read that was dropped while its map was under way left the buffer mapped.
        if matches!(std::mem::replace(&mut *self.state(), State::Free), State::Mapped) {
            self.buffer.unmap();
        }
        self.taken.set(true);
        true
    }

    /// Ends a read, or one that never began.
    pub(super) fn give_back(&self) {
        self.taken.set(false);
    }

    /// Asks for the first `bytes` bytes, after the copy into this buffer was submitted.
    pub(super) fn map(self: &Rc<Self>, bytes: u64) {
        *self.state() = State::Pending(None);
        let state = self.state.clone();
        self.buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |outcome| {
            let next = if outcome.is_ok() { State::Mapped } else { State::Failed };
            let before = std::mem::replace(&mut *state.lock().unwrap_or_else(PoisonError::into_inner), next);
            if let State::Pending(Some(waker)) = before {
                waker.wake();
            }
        });
    }

    /// Whether a map is under way.
    pub(super) fn pending(&self) -> bool {
        matches!(*self.state(), State::Pending(_))
    }
}

/// As for the device: JavaScript would keep the memory until its garbage collector comes by.
impl Drop for Staging {
    fn drop(&mut self) {
        self.buffer.destroy();
    }
}

/// The bytes of a mapped staging buffer, once they are there.
pub(super) struct Read {
    pub staging: Rc<Staging>,
    pub bytes: u64,
    pub context: Rc<Context>,
    #[cfg(not(target_arch = "wasm32"))]
    pub submission: wgpu::SubmissionIndex,
}

impl Read {
    fn failure(&self) -> Error {
        let unknown =
            || Error::DeviceLost("The GPU gave no result back: the device is lost. Load the model again.".into());
        self.context.health.check().err().unwrap_or_else(unknown)
    }

    fn take_bytes(&self) -> Result<Vec<u8>> {
        let view = self.staging.buffer.get_mapped_range(0..self.bytes).map_err(|_| self.failure())?;
        let bytes = view.to_vec();
        drop(view);
        self.staging.buffer.unmap();
        *self.staging.state() = State::Free;
        Ok(bytes)
    }
}

impl Future for Read {
    type Output = Result<Vec<u8>>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        // Natively nothing happens unless someone polls the device: the one who waits does.
        #[cfg(not(target_arch = "wasm32"))]
        if self.staging.pending() {
            let waited = self.context.wait(self.submission.clone());
            if let Err(error) = waited {
                return Poll::Ready(Err(error));
            }
        }
        let mut state = self.staging.state();
        match &mut *state {
            State::Mapped => {
                drop(state);
                Poll::Ready(self.take_bytes())
            }
            State::Pending(waker) if cfg!(target_arch = "wasm32") => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => {
                drop(state);
                Poll::Ready(Err(self.failure()))
            }
        }
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        self.staging.give_back();
    }
}
