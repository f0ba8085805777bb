//! Answers of HTTP servers, byte by byte: the input is a list of answers, one per connection, with `ANSWER` between them.

use super::Target;
use lacewing::formats::http::{HttpFiles, Patience};
use lacewing::formats::source::{ByteSource, Files};
use pollster::block_on;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

/// Besides what is kept of a file (its first MiB, twice while it grows) and ureq's buffers: 4 KB, which is how long inputs
/// get, may be the gzip of 4 MB.
pub const HTTP: Target = Target { name: "http", seeds, read, constant: 24 << 20 };

/// Stands between two answers.
const ANSWER: &[u8] = b"\n--answer--\n";

/// Answers that were not given yet.
type Answers = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// Every connection gives one of the answers and ends.
#[derive(Debug)]
struct Canned(Answers);

#[derive(Debug)]
struct Connection {
    buffers: LazyBuffers,
    answer: Vec<u8>,
    given: usize,
}

impl Connector for Canned {
    type Out = Connection;
    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, ureq::Error> {
        let answer = self.0.lock().unwrap().pop_front().ok_or(ureq::Error::ConnectionFailed)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Connection { buffers, answer, given: 0 }))
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }
    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }
    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let rest = &self.answer[self.given..];
        let space = self.buffers.input_append_buf();
        let n = rest.len().min(space.len());
        space[..n].copy_from_slice(&rest[..n]);
        self.buffers.input_appended(n);
        self.given += n;
        Ok(n > 0)
    }
    fn is_open(&mut self) -> bool {
        false
    }
}

/// Every host has an address, which nobody connects to.
#[derive(Debug)]
struct Anywhere;

impl Resolver for Anywhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(([192, 0, 2, 1], 80).into());
        Ok(found)
    }
}

fn split(input: &[u8]) -> VecDeque<Vec<u8>> {
    let mut answers = VecDeque::new();
    let mut rest = input;
    while let Some(at) = rest.windows(ANSWER.len()).position(|w| w == ANSWER) {
        answers.push_back(rest[..at].to_vec());
        rest = &rest[at + ANSWER.len()..];
    }
    answers.push_back(rest.to_vec());
    answers
}

/// The file of an address, files that are looked for in a directory, and an address that may be either.
fn read(input: &[u8]) {
    let patience = Patience { first: Duration::ZERO, longest: Duration::ZERO, outage: Duration::ZERO };
    let names = ["m.gguf", "config.json", "chat_template.jinja"];
    for (url, name) in
        ["http://h/m.gguf", "http://h/d/", "http://h/d/"].into_iter().zip(names).chain([("http://h/d", "d")])
    {
        let canned = Canned(Arc::new(Mutex::new(split(input))));
        let agent = ureq::Agent::with_parts(HttpFiles::config(), canned, Anywhere);
        let files = HttpFiles::with_agent(url, agent, patience).unwrap();
        let name = files.main().map_or(name.to_string(), |main| main);
        if let Ok(Some(source)) = block_on(files.open(&name)) {
            check(&*source);
        }
    }
}

/// A source gives what it says that it has, or an error.
fn check(source: &dyn ByteSource) {
    let length = source.len();
    for (offset, most) in [(0, 4096), (length / 2, 4096), (length.saturating_sub(1), 4096), (10, 20)] {
        let wanted = most.min(length.saturating_sub(offset));
        if let Ok(bytes) = block_on(source.read(offset, wanted)) {
            assert_eq!(bytes.len() as u64, wanted);
        }
        assert!(block_on(source.read(offset, u64::MAX)).is_err(), "more than there is");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let body = b"GGUF\0\0\0\0and more, in a line that is long enough to be cut in two";
    let half = body.len() / 2;
    let answer = |head: &str, body: &[u8]| -> Vec<u8> {
        [format!("HTTP/1.1 {head}\r\n\r\n").replace('\n', "\r\n").replace("\r\r", "\r").as_bytes(), body].concat()
    };
    let part = |from: usize, to: usize, more: &str| {
        let (last, total, length) = (to - 1, body.len(), to - from);
        let range = format!("206 OK\nContent-Range: bytes {from}-{last}/{total}\nContent-Length: {length}{more}");
        answer(&range, &body[from..to])
    };
    // Of the body.
    let gzip: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x15\xca\xd1\x0d\x800\x08@AGy\x038\x87\x9d\xc0\x01PIKR!Q\x1a\xd7W\xef\xfbJY\x97\
        \xe9#~p\xc6\xa53\xe6\x08\xdd\x5c\xc9&\x89\xdd\xf4\xf0\x8az\x8c\xda\xc8`S\xf6\x91\xff\xcb'^Z\xaeN\xfd@\x00\x00\x00";
    let lists: Vec<Vec<Vec<u8>>> = vec![
        vec![part(0, half, "\nETag: \"a\""), part(half, body.len(), "\nETag: W/\"a\"")],
        vec![part(0, half, "\nETag: \"a\""), part(half, body.len(), "\nETag: \"b\"")],
        vec![
            part(0, half, ""),
            answer("503 Busy\nRetry-After: 1\nContent-Length: 0", b""),
            answer("200 OK\nContent-Length: 64", body),
        ],
        vec![
            answer("302 Found\nLocation: /x/../y?z\nContent-Length: 0", b""),
            answer("200 OK\nContent-Length: 64", body),
        ],
        vec![answer("416 No\nContent-Range: bytes */64\nContent-Length: 0", b""), part(0, body.len(), "")],
        vec![
            answer("206 OK\nContent-Range: bytes 0-5/*\nContent-Length: 6", &body[..6]),
            answer("200 OK\nContent-Length: 64", b""),
        ],
        vec![answer("200 OK\nTransfer-Encoding: chunked", b"5\r\nGGUF\0\r\n3\r\nabc\r\n0\r\n\r\n")],
        vec![
            answer("206 OK\nContent-Encoding: gzip\nContent-Length: 9", gzip),
            answer("200 OK\nContent-Encoding: gzip\nContent-Length: 79", gzip),
        ],
        vec![answer("200 OK", b"<!doctype html><html>")],
        vec![answer("404 No\nContent-Length: 0", b""), answer("200 OK\nContent-Length: 2", b"{}")],
    ];
    lists.iter().map(|answers| answers.join(ANSWER)).collect()
}
