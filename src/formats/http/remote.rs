//! Requests for one file, repeated while the server or the way to it is out.

use super::address::{Address, origin};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};
use ureq::http::{Method, Request, Response, StatusCode, header};
use ureq::{Agent, Body};

/// How long a download waits for a server that does not answer, or a connection that brings nothing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause; each one is twice as long as the one before.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How long after the first failure the download is given up, unless a byte comes.
    pub outage: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { first: Duration::from_millis(20), longest: Duration::from_secs(8), outage: Duration::from_secs(60) }
    }
}

/// What all files of a model share.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) agent: Agent,
    pub(super) patience: Patience,
    /// Hears why and how long a download waits.
    pub(super) waiting: Rc<dyn Fn(&str)>,
    /// Whether any answer came so far: until then a host that is not known is a mistake, not an outage.
    pub(super) answered: Rc<Cell<bool>>,
}

/// One file on a server.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) url: String,
    pub(super) authorization: Option<String>,
    pub(super) name: String,
}

/// Why a request brought nothing.
pub(super) enum Trouble {
    /// It may go better next time: why, and how long the server asks to wait.
    Passing(Error, Option<Duration>),
    /// It will not.
    Final(Error),
}

impl Trouble {
    /// A connection that broke or ended.
    pub(super) fn broken(why: &str) -> Trouble {
        Trouble::Passing(Error::DownloadFailed(format!("the connection {why}")), None)
    }
}

impl Remote {
    pub(super) fn failed(&self, why: &str) -> Error {
        Error::DownloadFailed(format!("{} cannot be downloaded: {why}", self.url)).with("url", self.url.as_str())
    }

    pub(super) fn changed(&self) -> Error {
        self.failed("the file changed on its server during the download; load it again")
    }

    /// An answer that is no use, and what to do about it.
    pub(super) fn refused(&self, status: StatusCode) -> Error {
        let hint = match status.as_u16() {
            401 | 403 | 407 => "check the permissions: a login may be needed, or the address may have expired",
            404 | 410 => "check the address",
            code if code >= 500 || is_busy(status) => "try again later",
            _ => "check the address, or use another server",
        };
        self.failed(&format!("the server answered {status}; {hint}")).with("status", status.as_u16())
    }

    /// One request: of `len` bytes at `offset` or of everything.
    pub(super) fn get(&self, range: Option<(u64, u64)>) -> Result<Response<Body>, Trouble> {
        self.request(Method::GET, range)
    }

    fn request(&self, method: Method, range: Option<(u64, u64)>) -> Result<Response<Body>, Trouble> {
        let (mut url, mut login) = (self.url.clone(), self.authorization.clone());
        let mut hops = 0;
        let response = loop {
            let mut request = Request::builder().method(method.clone()).uri(&url);
            if let Some((offset, len)) = range {
                request = request.header(header::RANGE, format!("bytes={offset}-{}", offset + (len - 1)));
            }
            if let Some(login) = &login {
                request = request.header(header::AUTHORIZATION, login);
            }
            let request = request.body(()).map_err(|e| Trouble::Final(self.failed(&e.to_string())))?;
            let response = self.client.agent.run(request).map_err(|e| self.unanswered(e))?;
            let location = response.headers().get(header::LOCATION).filter(|_| is_redirect(response.status()));
            let Some(location) = location else { break response };
            hops += 1;
            if hops > MOST_REDIRECTS {
                return Err(Trouble::Final(self.failed("the server redirects too often; check the address")));
            }
            // Letters of any script, as browsers take them.
            let location = String::from_utf8_lossy(location.as_bytes());
            let next = Address::redirect(&url, &location)
                .map_err(|e| Trouble::Final(self.failed(&format!("the server redirects to {location:?}: {e}"))))?;
            // A login is for the server that it was given for.
            login = next.authorization().map(str::to_string).or(login.filter(|_| origin(&next.own()) == origin(&url)));
            url = next.own();
        };
        self.client.answered.set(true);
        let status = response.status();
        if is_busy(status) {
            let busy = Error::DownloadFailed(format!("the server answered {status}")).with("status", status.as_u16());
            return Err(Trouble::Passing(busy, retry_after(&response)));
        }
        Ok(response)
    }

    /// `get`, again while there is an outage.
    pub(super) fn get_patiently(&self, range: Option<(u64, u64)>) -> Result<Response<Body>> {
        let mut outage = Outage::new(self);
        loop {
            match self.get(range) {
                Ok(response) => return Ok(response),
                Err(trouble) => outage.wait(trouble)?,
            }
        }
    }

    /// The file's length by HEAD, where the server answers that.
    pub(super) fn head_length(&self) -> Option<u64> {
        let response = self.request(Method::HEAD, None).ok()?;
        let length = response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()?;
        (response.status() == StatusCode::OK && !is_encoded(&response)).then_some(length)
    }

    fn unanswered(&self, e: ureq::Error) -> Trouble {
        use std::io::ErrorKind::{InvalidData, InvalidInput, NetworkDown, NetworkUnreachable};
        use ureq::Error as E;
        let no_network = match &e {
            E::HostNotFound => true,
            E::Io(e) => matches!(e.kind(), NetworkDown | NetworkUnreachable),
            _ => false,
        };
        let passing = match &e {
            // Certificates do not mend themselves.
            E::Io(e) => !matches!(e.kind(), InvalidData | InvalidInput),
            E::HostNotFound | E::Timeout(_) | E::ConnectionFailed | E::BodyStalled | E::Protocol(_) => true,
            _ => false,
        };
        let why = e.to_string();
        let error = if no_network { Error::Offline(why) } else { Error::DownloadFailed(why) }.because(e);
        match passing && (!no_network || self.client.answered.get()) {
            true => Trouble::Passing(error, None),
            false => Trouble::Final(self.lost(&error, "")),
        }
    }

    /// The error for one of a request that is not repeated any more.
    fn lost(&self, error: &Error, more: &str) -> Error {
        let url = &self.url;
        let mut lost = match error.kind() {
            Error::Offline(_) => {
                Error::Offline(format!("{url} cannot be reached: there is no network connection, or no such host"))
                    .with("url", url.as_str())
            }
            _ => self.failed(&format!("{error}{more}")),
        };
        for (key, value) in error.details().into_iter().flatten() {
            lost = lost.with(key, value.clone());
        }
        lost
    }
}

/// A download that gets nothing at the moment.
pub(super) struct Outage<'a> {
    remote: &'a Remote,
    /// When the first try failed.
    since: Option<Instant>,
    pause: Duration,
}

impl Outage<'_> {
    pub(super) fn new(remote: &Remote) -> Outage<'_> {
        Outage { remote, since: None, pause: remote.client.patience.first }
    }

    /// Bytes came.
    pub(super) fn over(&mut self) {
        *self = Outage::new(self.remote);
    }

    /// Waits before the next try; an error when that makes no sense any more.
    pub(super) fn wait(&mut self, trouble: Trouble) -> Result<()> {
        let (error, asked) = match trouble {
            Trouble::Passing(error, asked) => (error, asked),
            Trouble::Final(e) => return Err(e),
        };
        let Client { patience, waiting, .. } = &self.remote.client;
        let elapsed = self.since.get_or_insert_with(Instant::now).elapsed();
        if elapsed >= patience.outage {
            let more = format!("; nothing came for {} s; try again later", elapsed.as_secs());
            return Err(self.remote.lost(&error, &more));
        }
        let pause = self.pause.max(asked.unwrap_or_default().min(patience.outage));
        // A break that is soon mended is not worth a word.
        if pause > 8 * patience.first {
            let seconds = pause.as_secs_f32();
            waiting(&format!("{}: {error}; trying again in {seconds:.1} s", self.remote.name));
        }
        std::thread::sleep(pause);
        self.pause = (2 * self.pause).min(patience.longest);
        Ok(())
    }
}

/// As browsers allow; ureq is not let follow them, since it knows ASCII only and may panic on a broken answer.
const MOST_REDIRECTS: usize = 20;

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// How long the server asks to wait: in seconds, or until a date.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse::<u64>().ok().or_else(|| {
        let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        u64::try_from(date.timestamp() - chrono::Utc::now().timestamp()).ok()
    });
    seconds.map(Duration::from_secs)
}

/// First byte and total length of `Content-Range: bytes first-last/total`; `bytes */total` starts at 0.
pub(super) fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?.trim();
    let (unit, rest) = value.split_at_checked(5)?;
    let (range, total) = rest.trim_start().split_once('/')?;
    let first = if range.trim() == "*" { 0 } else { range.split_once('-')?.0.trim().parse().ok()? };
    unit.eq_ignore_ascii_case("bytes").then(|| (first, total.trim().parse().ok()))
}

/// Whether the body is compressed, so that lengths and ranges are not those of the file. Object stores repeat what an
/// upload said about itself (`aws-chunked`), which is no encoding.
pub(super) fn is_encoded(response: &Response<Body>) -> bool {
    encoding(response).is_some()
}

/// An encoding that cannot be undone here; asked for was none.
pub(super) fn foreign_encoding(response: &Response<Body>) -> Option<String> {
    encoding(response).filter(|name| !matches!(name.as_str(), "gzip" | "x-gzip"))
}

fn encoding(response: &Response<Body>) -> Option<String> {
    let value = response.headers().get(header::CONTENT_ENCODING)?.to_str().ok()?.to_ascii_lowercase();
    let known = |name: &&str| ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"].contains(name);
    let names: Vec<&str> = value.split(',').map(str::trim).filter(known).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The file's length, as the answer with all of it tells.
pub(super) fn length(response: &Response<Body>) -> Option<u64> {
    response.body().content_length().filter(|_| !is_encoded(response))
}

/// The file's bytes.
pub(super) fn reader(response: Response<Body>) -> Box<dyn Read> {
    let encoding = encoding(&response);
    let reader = response.into_body().into_reader();
    match encoding.as_deref() {
        Some("gzip" | "x-gzip") => Box::new(MultiGzDecoder::new(reader)),
        _ => Box::new(reader),
    }
}

/// What identifies the version of a file. Weak tags may differ between answers of the same bytes, so they do not count.
pub(super) fn strong_tag(response: &Response<Body>) -> Option<String> {
    let tag = response.headers().get(header::ETAG)?.to_str().ok()?.trim();
    (tag.starts_with('"') && tag.len() > 2).then(|| tag.to_string())
}
