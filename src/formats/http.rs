//! Files over HTTP (native): Range requests that resume, or one stream read forward where the server has no Range.

use super::local::is_gguf;
use super::source::{ByteSource, Files, LocalFuture, MemorySource, PAGE_HEAD, check_range, is_page};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// Reconnections within one read before it fails.
const RETRIES: u32 = 3;
/// Bytes at the start of a stream without Range that are kept: headers are read more than once.
const KEPT_HEAD: usize = 32 << 20;
/// Longest file that is accepted without a stated length (generated JSON, for example); it is kept in memory.
const UNSIZED_LIMIT: u64 = 32 << 20;

/// A base URL, or the URL of one `.gguf` file and its neighbours. A query string goes with every request.
pub struct HttpFiles {
    agent: Agent,
    /// Ends in `/`.
    base: String,
    /// Empty, or from `?` on.
    query: String,
    main: Option<String>,
}

impl HttpFiles {
    /// From a URL whose path ends in `.gguf`, or the URL of a directory.
    pub fn new(url: &str) -> Result<HttpFiles> {
        let url = url.split('#').next().unwrap_or_default();
        let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let host = path.split_once("://").map_or("", |(_, rest)| rest);
        if host.is_empty() || host.starts_with('/') {
            return Err(Error::BadRequest(format!("{url} is not a URL: a host is missing")));
        }
        let (base, name) = path.rsplit_once('/').unwrap_or((path, ""));
        let in_path = host.contains('/');
        let (base, main) = if in_path && is_gguf(name) {
            (format!("{base}/"), Some(name.to_string()))
        } else {
            (format!("{}/", path.trim_end_matches('/')), None)
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .accept_encoding("identity")
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Ok(HttpFiles { agent, base, query: query.to_string(), main })
    }

    /// Whether the file can be done without or is looked for in several places; in a directory config.json cannot.
    fn is_optional(&self, name: &str) -> bool {
        self.main.as_deref().unwrap_or("config.json") != name
    }

    async fn open_now(&self, name: &str) -> Result<Option<Rc<dyn ByteSource>>> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
            return Err(Error::BadFile(format!("{name:?} is not the name of a file in the model's own folder")));
        }
        let remote = Remote {
            agent: self.agent.clone(),
            url: format!("{}{}{}", self.base, escape(name), self.query),
            name: name.to_string(),
        };
        let optional = self.is_optional(name);
        let response = remote.get_patiently(Some((0, if optional { PAGE_HEAD } else { 1 })))?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND || status == StatusCode::GONE {
            if self.main.as_deref() == Some(name) {
                return Err(remote.status(status, "check the URL"));
            }
            return Ok(None);
        }
        let empty = status == StatusCode::RANGE_NOT_SATISFIABLE
            && content_range(&response).is_some_and(|(_, total)| total == Some(0));
        // Object stores that do not list their files answer 403 for one that is not there.
        if optional && status.is_client_error() && !empty {
            return Ok(None);
        }
        let total = content_range(&response).and_then(|(_, total)| total);
        let mut head = Vec::new();
        let source: Rc<dyn ByteSource> = match status {
            StatusCode::PARTIAL_CONTENT => {
                let len = total.ok_or_else(|| remote.failed("its server does not tell the file's length"))?;
                // A body read to its end leaves the connection open for the next request.
                let _ = response.into_body().into_reader().take(PAGE_HEAD + 1).read_to_end(&mut head);
                Rc::new(RangedSource { remote, len })
            }
            // An empty file has no first byte.
            _ if empty => Rc::new(MemorySource::new(name, Vec::new())),
            StatusCode::OK => {
                let source = stream_source(remote, response)?;
                if optional {
                    head = source.read(0, source.len().min(PAGE_HEAD)).await?;
                }
                source
            }
            _ => return Err(remote.status(status, "check the URL and the permissions")),
        };
        // A single-page app answers with its index.html where there is no file.
        Ok((!optional || !is_page(&head)).then_some(source))
    }
}

impl Files for HttpFiles {
    fn main(&self) -> Option<String> {
        self.main.clone()
    }
    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move { self.open_now(name).await })
    }
}

/// Percent-encodes what would end or break a URL path. `%` stays: names taken from a URL are encoded already.
fn escape(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#\"<>^`{|}[]".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// First byte and total length of `Content-Range: bytes first-last/total`; `bytes */total` starts at 0.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let first = if range == "*" { 0 } else { range.split_once('-')?.0.trim().parse().ok()? };
    Some((first, total.trim().parse().ok()))
}

/// One file on a server.
struct Remote {
    agent: Agent,
    url: String,
    name: String,
}

impl Remote {
    fn failed(&self, why: &str) -> Error {
        Error::DownloadFailed(format!("{} cannot be downloaded: {why}", self.name))
    }

    fn status(&self, status: StatusCode, hint: &str) -> Error {
        self.failed(&format!("the server answered {status}; {hint}"))
    }

    /// One GET, of `len` bytes at `offset` or of everything.
    fn get(&self, range: Option<(u64, u64)>) -> Result<Response<Body>, ureq::Error> {
        let mut request = self.agent.get(&self.url);
        if let Some((offset, len)) = range {
            request = request.header(header::RANGE, format!("bytes={offset}-{}", offset + len - 1));
        }
        request.call()
    }

    /// `get`, again while the connection fails or the server is busy.
    fn get_patiently(&self, range: Option<(u64, u64)>) -> Result<Response<Body>> {
        let mut tries = 0;
        loop {
            let got = self.get(range);
            let busy = got.as_ref().is_ok_and(|r| is_busy(r.status()));
            match got {
                Ok(response) if !busy || tries == RETRIES => return Ok(response),
                Err(e) if tries == RETRIES || !is_transient(&e) => return Err(self.failed(&e.to_string())),
                _ => {}
            }
            tries += 1;
            pause(tries);
        }
    }
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn is_transient(e: &ureq::Error) -> bool {
    !matches!(e, ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Tls(_) | ureq::Error::HostNotFound)
}

/// 0.1, 0.2, 0.4 s.
fn pause(tries: u32) {
    std::thread::sleep(Duration::from_millis(50 << tries.min(8)));
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

/// A file whose server answers Range requests.
struct RangedSource {
    remote: Remote,
    len: u64,
}

impl RangedSource {
    /// Appends to `done` what one request for the rest of `out` brings. Errors are final; a cut is told by its reason.
    fn fetch(&self, offset: u64, out: &mut [u8], done: &mut usize) -> Result<Option<String>> {
        let start = offset + *done as u64;
        let response = match self.remote.get(Some((start, (out.len() - *done) as u64))) {
            Ok(response) => response,
            Err(e) if is_transient(&e) => return Ok(Some(e.to_string())),
            Err(e) => return Err(self.remote.failed(&e.to_string())),
        };
        let status = response.status();
        if is_busy(status) {
            return Ok(Some(format!("the server answered {status}")));
        }
        // A cache on the way may answer with the whole file: then the bytes before the range are skipped.
        let skip = match (status, content_range(&response)) {
            (StatusCode::PARTIAL_CONTENT, Some((first, total))) => {
                if first != start || total.is_some_and(|t| t != self.len) {
                    return Err(self.remote.failed("the file changed on its server meanwhile; load it again"));
                }
                0
            }
            (StatusCode::OK, _) => start,
            _ => return Err(self.remote.status(status, "the file may have changed; load it again")),
        };
        let mut reader = response.into_body().into_reader();
        if skip > 0 {
            match std::io::copy(&mut (&mut reader).take(skip), &mut std::io::sink()) {
                Ok(n) if n == skip => {}
                other => return Ok(Some(format!("the connection was cut ({other:?})"))),
            }
        }
        let (n, error) = read_most(&mut reader, &mut out[*done..]);
        *done += n;
        Ok((*done < out.len()).then(|| error.map_or("the connection was cut".to_string(), |e| e.to_string())))
    }
}

impl ByteSource for RangedSource {
    fn name(&self) -> &str {
        &self.remote.name
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let mut out = vec![0; check_range(&self.remote.name, self.len, offset, len)?];
            let (mut done, mut tries) = (0, 0);
            while done < out.len() {
                let Some(reason) = self.fetch(offset, &mut out, &mut done)? else { continue };
                if tries == RETRIES {
                    let at = offset + done as u64;
                    return Err(self.remote.failed(&format!("{reason} at byte {at}, {RETRIES} reconnections failed")));
                }
                tries += 1;
                pause(tries);
            }
            Ok(out)
        })
    }
}

/// The source for a server that answers with the whole file.
fn stream_source(remote: Remote, response: Response<Body>) -> Result<Rc<dyn ByteSource>> {
    let length = response.body().content_length();
    let mut reader = response.into_body().into_reader();
    if let Some(len) = length {
        let state = Stream { reader: Some(Box::new(reader)), position: 0, head: Vec::new() };
        return Ok(Rc::new(ForwardSource { remote, len, state: RefCell::new(state) }));
    }
    let mut bytes = Vec::new();
    match (&mut reader).take(UNSIZED_LIMIT + 1).read_to_end(&mut bytes) {
        Ok(n) if n as u64 <= UNSIZED_LIMIT => Ok(Rc::new(MemorySource::new(remote.name, bytes))),
        Ok(_) => {
            Err(remote.failed("its server tells neither the length nor answers Range requests; use another server"))
        }
        Err(e) => Err(remote.failed(&e.to_string())),
    }
}

/// A file whose server has no Range: one response is read forward, and begun again when an earlier byte is needed.
struct ForwardSource {
    remote: Remote,
    len: u64,
    state: RefCell<Stream>,
}

struct Stream {
    reader: Option<Box<dyn Read>>,
    /// Offset of the reader's next byte.
    position: u64,
    /// The first bytes of the file, at most `KEPT_HEAD`.
    head: Vec<u8>,
}

impl Stream {
    /// Reads forward into `out` and keeps what belongs to the head.
    fn pull(&mut self, out: &mut [u8]) -> usize {
        let Some(reader) = &mut self.reader else { return 0 };
        let (n, _) = read_most(reader, out);
        if self.position == self.head.len() as u64 {
            let keep = n.min(KEPT_HEAD - self.head.len());
            self.head.extend_from_slice(&out[..keep]);
        }
        self.position += n as u64;
        if n < out.len() {
            self.reader = None;
        }
        n
    }
}

impl ForwardSource {
    fn restart(&self, stream: &mut Stream) -> Result<()> {
        let response = self.remote.get_patiently(None)?;
        if response.status() != StatusCode::OK {
            return Err(self.remote.status(response.status(), "the file may have changed; load it again"));
        }
        if response.body().content_length() != Some(self.len) {
            return Err(self.remote.failed("the file changed on its server meanwhile; load it again"));
        }
        stream.reader = Some(Box::new(response.into_body().into_reader()));
        stream.position = 0;
        Ok(())
    }

    fn read_now(&self, stream: &mut Stream, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut scratch = vec![0; 64 << 10];
        let (mut done, mut cuts) = (0, 0);
        while done < out.len() {
            let at = offset + done as u64;
            if at < stream.head.len() as u64 {
                let from = &stream.head[at as usize..];
                let n = from.len().min(out.len() - done);
                out[done..done + n].copy_from_slice(&from[..n]);
                done += n;
                continue;
            }
            if stream.reader.is_none() || at < stream.position {
                self.restart(stream)?;
            }
            let skip = (at - stream.position).min(scratch.len() as u64) as usize;
            let wanted = if skip > 0 { &mut scratch[..skip] } else { &mut out[done..] };
            let (len, n) = (wanted.len(), stream.pull(wanted));
            done += if skip > 0 { 0 } else { n };
            if n < len {
                cuts += 1;
                if cuts > RETRIES {
                    return Err(self.remote.failed(&format!("the connection was cut {cuts} times at byte {at}")));
                }
                pause(cuts);
            }
        }
        Ok(())
    }
}

impl ByteSource for ForwardSource {
    fn name(&self) -> &str {
        &self.remote.name
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let mut out = vec![0; check_range(&self.remote.name, self.len, offset, len)?];
            self.read_now(&mut self.state.borrow_mut(), offset, &mut out)?;
            Ok(out)
        })
    }
}
