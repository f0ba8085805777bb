//! The bytes of one remote file: by ranges, or from one stream that is read forward.

use super::super::source::{ByteSource, LocalFuture, check_range};
use super::remote::{Outage, Remote, Trouble, content_range, is_encoded, length, reader, strong_tag};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::io::Read;
use ureq::Body;
use ureq::http::{Response, StatusCode, header};

/// Bytes that the first request asks for: enough for small files and most headers. They are kept.
pub(super) const FIRST_BYTES: u64 = 1 << 20;
/// Bytes at the start of a stream that are kept: headers are read more than once.
const KEPT_HEAD: usize = 32 << 20;
/// Longest file whose length no header tells: all of it has to come before it can be used.
const UNSIZED_LIMIT: u64 = 64 << 30;

/// A file whose length is known.
pub(super) struct RemoteFile {
    remote: Remote,
    len: u64,
    tag: Option<String>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Whether the server answers ranges; one that stops to is asked for the whole file from then on.
    ranged: bool,
    /// What is being read of an answer.
    reader: Option<Box<dyn Read>>,
    /// Offset of the reader's next byte.
    position: u64,
    /// Offset behind the last byte that ever came: what comes again is no progress.
    furthest: u64,
    /// The first bytes of the file.
    head: Vec<u8>,
}

impl RemoteFile {
    /// From the first answer to a range request (206 for the beginning), or to any request (200).
    pub(super) fn new(remote: Remote, len: u64, response: Response<Body>) -> RemoteFile {
        let ranged = response.status() == StatusCode::PARTIAL_CONTENT;
        let tag = strong_tag(&response);
        let mut state = State { ranged, reader: Some(reader(response)), ..State::default() };
        if ranged {
            // What breaks off here is asked for again when it is read.
            state.pull(&mut vec![0; len.min(FIRST_BYTES) as usize]);
            state.finish();
        }
        RemoteFile { remote, len, tag, state: RefCell::new(state) }
    }

    /// From an answer that does not tell the file's length: it is known when all of it came.
    pub(super) fn of_unknown_length(remote: Remote, response: Response<Body>) -> Result<RemoteFile> {
        let tag = strong_tag(&response);
        let mut state = State { reader: Some(reader(response)), ..State::default() };
        let mut outage = Outage::new(&remote);
        let mut scratch = vec![0; 256 << 10];
        let reason = loop {
            let before = state.furthest;
            let (n, error) = state.pull(&mut scratch);
            if state.furthest > before {
                outage.over();
            }
            if state.position > UNSIZED_LIMIT {
                return Err(remote.failed("its server does not tell how long it is; use another server"));
            }
            match error {
                None if n < scratch.len() => break None,
                None => continue,
                Some(e) => outage.wait(Trouble::broken(&format!("broke ({e})")))?,
            }
            let response = remote.get_patiently(None)?;
            if response.status() != StatusCode::OK {
                break Some(remote.refused(response.status()));
            }
            if is_other(&tag, &response) {
                return Err(remote.changed());
            }
            state.begin(response, 0);
        };
        state.reader = None;
        let len = state.position;
        reason.map_or(Ok(RemoteFile { remote, len, tag, state: RefCell::new(state) }), Err)
    }

    /// Lets `state.reader` give the bytes from `at` on, or some before.
    fn connect(&self, state: &mut State, at: u64, len: u64) -> Result<(), Trouble> {
        let response = self.remote.get(state.ranged.then_some((at, len)))?;
        let status = response.status();
        let other = is_other(&self.tag, &response);
        let changed = || Err(Trouble::Final(self.remote.changed()));
        if state.ranged && status == StatusCode::PARTIAL_CONTENT {
            let (first, total) = content_range(&response).unwrap_or((at, None));
            if other {
                return changed();
            }
            if first > at || is_encoded(&response) || is_multipart(&response) {
                // Not what was asked for: the whole file is.
                state.ranged = false;
                return self.connect(state, at, len);
            }
            if total.is_some_and(|total| total != self.len) {
                return changed();
            }
            state.begin(response, first);
            return Ok(());
        }
        if status != StatusCode::OK {
            return Err(Trouble::Final(self.remote.refused(status)));
        }
        if other || length(&response).is_some_and(|length| length != self.len) {
            return changed();
        }
        state.ranged = false;
        state.begin(response, 0);
        Ok(())
    }

    /// One step towards `out`, the bytes from `at` on: how many came, and what was wrong then.
    fn advance(&self, state: &mut State, at: u64, out: &mut [u8]) -> (usize, Option<Trouble>) {
        if (state.reader.is_none() || at < state.position)
            && let Err(trouble) = self.connect(state, at, out.len() as u64)
        {
            return (0, Some(trouble));
        }
        let mut scratch = vec![0; (at - state.position).min(256 << 10) as usize];
        let skipping = !scratch.is_empty();
        let wanted = if skipping { &mut scratch[..] } else { out };
        let (len, (n, error)) = (wanted.len(), state.pull(wanted));
        let came = if skipping { 0 } else { n };
        if n == len {
            if !skipping && state.ranged {
                state.finish();
            }
            return (came, None);
        }
        state.reader = None;
        let trouble = match error {
            Some(e) => Some(Trouble::broken(&format!("broke ({e})"))),
            // Servers may give less of a range than they were asked for.
            None => (came == 0 || !state.ranged).then(|| Trouble::broken("ended")),
        };
        (came, trouble)
    }

    fn read_now(&self, state: &mut State, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut outage = Outage::new(&self.remote);
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            if let Some(kept) = state.head.get(at as usize..).filter(|kept| !kept.is_empty()) {
                let n = kept.len().min(out.len() - done);
                out[done..done + n].copy_from_slice(&kept[..n]);
                done += n;
                continue;
            }
            let before = state.furthest;
            let (came, trouble) = self.advance(state, at, &mut out[done..]);
            done += came;
            if state.furthest > before || came > 0 {
                outage.over();
            }
            trouble.map_or(Ok(()), |trouble| outage.wait(trouble))?;
        }
        Ok(())
    }

    pub(super) fn failed(&self, why: &str) -> Error {
        self.remote.failed(why)
    }

    /// `read`, without a future.
    pub(super) fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let mut out = vec![0; check_range(&self.remote.name, self.len, offset, len)?];
        self.read_now(&mut self.state.borrow_mut(), offset, &mut out)?;
        Ok(out)
    }
}

impl State {
    fn begin(&mut self, response: Response<Body>, first: u64) {
        self.reader = Some(reader(response));
        self.position = first;
    }

    /// Fills `out` from the reader, as far as that goes, and keeps what belongs to the head.
    fn pull(&mut self, out: &mut [u8]) -> (usize, Option<std::io::Error>) {
        let Some(reader) = &mut self.reader else { return (0, None) };
        let (n, error) = read_most(reader, out);
        let end = self.position + n as u64;
        let limit = if self.ranged { FIRST_BYTES as usize } else { KEPT_HEAD };
        let kept = self.head.len();
        if self.position <= kept as u64 && end > kept as u64 && kept < limit {
            let new = &out[(kept as u64 - self.position) as usize..n];
            self.head.extend_from_slice(&new[..new.len().min(limit - kept)]);
        }
        self.position = end;
        self.furthest = self.furthest.max(end);
        (n, error)
    }

    /// Ends a range: a body read to its end leaves the connection open for the next request.
    fn finish(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            let _ = reader.read(&mut [0]);
        }
    }
}

/// Whether the answer is of another version of the file than that of `tag`.
fn is_other(tag: &Option<String>, response: &Response<Body>) -> bool {
    strong_tag(response).zip(tag.as_ref()).is_some_and(|(now, first)| now != *first)
}

fn is_multipart(response: &Response<Body>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/"))
}

/// Whether ranges of this file are no use, as the first answer shows.
pub(super) fn is_useless(response: &Response<Body>) -> bool {
    let first = content_range(response).map_or(0, |(first, _)| first);
    response.status() == StatusCode::PARTIAL_CONTENT && (first != 0 || is_encoded(response) || is_multipart(response))
}

/// Reads up to the end of `out`; the number of bytes that came before the stream ended or broke.
fn read_most(reader: &mut dyn Read, out: &mut [u8]) -> (usize, Option<std::io::Error>) {
    let mut done = 0;
    while done < out.len() {
        match reader.read(&mut out[done..]) {
            Ok(0) => return (done, None),
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return (done, Some(e)),
        }
    }
    (done, None)
}

impl ByteSource for RemoteFile {
    fn name(&self) -> &str {
        &self.remote.name
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move { self.bytes(offset, len) })
    }
}
