//! Files over HTTP (native). `pkg/src/http.ts` does the same for JavaScript; both run `tests/goldens/http/cases.json`.
//!
//! - **What is absent.** A file that can be done without is absent when the answer is any 4xx (object stores say 403), or
//!   a page of HTML or XML in place of JSON, a template or weights (single-page apps answer with their index.html). What
//!   has to be there (the file that the URL names, config.json of a directory, what an index lists) is an error that
//!   names URL and status.
//! - **Outages.** 408, 425, 429, 5xx and connections that fail, break or stay silent for 30 s are waited for, also for
//!   files that can be done without: [`Patience`] has the pauses; `Retry-After` makes them longer. As long as bytes
//!   come, a download goes on where it broke.
//! - **Ranges.** The first request asks for the first MiB, and what comes is kept. Ranges of compressed objects, or that
//!   do not begin where they should, are given up for the whole file, read forward as one stream; so is a server that
//!   answers 200. A length that ranges do not tell is asked for by HEAD, or counted by reading to the end.
//! - **Versions.** A strong ETag or a length that is another than at first is an error; a weak or missing ETag says
//!   nothing.
//! - **Names.** A query goes with every file of the URL. An address without a known ending is asked for once: bytes that
//!   are no text make it a file, everything else a directory.

mod address;
mod file;
mod remote;

pub use remote::Patience;

use super::source::{ByteSource, Files, LocalFuture, PAGE_HEAD, is_page};
use crate::error::{Error, Result};
use address::Address;
use file::{FIRST_BYTES, RemoteFile, is_useless};
use remote::{Client, Remote, content_range, foreign_encoding, length};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::StatusCode;

/// How long a connection may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A file and its neighbours, or a directory, on a server.
pub struct HttpFiles {
    client: Client,
    address: Address,
    /// Of an address that may be either: the file, or None for a directory.
    probed: OnceCell<Result<Option<Rc<dyn ByteSource>>>>,
}

impl HttpFiles {
    /// From the URL of a file or of a directory. Nothing is asked for yet. `bad-request` for what is no URL.
    pub fn new(url: &str) -> Result<HttpFiles> {
        HttpFiles::with_agent(url, HttpFiles::config().new_agent(), Patience::default())
    }

    /// As `new`, through an agent of [`HttpFiles::config`] with another transport, or with another patience.
    pub fn with_agent(url: &str, agent: Agent, patience: Patience) -> Result<HttpFiles> {
        let client = Client { agent, patience, waiting: Rc::new(|_| ()), answered: Rc::new(Cell::new(false)) };
        Ok(HttpFiles { client, address: Address::parse(url)?, probed: OnceCell::new() })
    }

    /// What an agent has to be made of: statuses are answers, nothing is compressed on the way, silence ends.
    pub fn config() -> Config {
        Agent::config_builder()
            .http_status_as_error(false)
            .accept_encoding("identity")
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build()
    }

    /// Lets `waiting` hear, as a sentence, why a download waits and for how long.
    pub fn on_waiting(mut self, waiting: impl Fn(&str) + 'static) -> HttpFiles {
        self.client.waiting = Rc::new(waiting);
        self
    }

    fn remote(&self, name: &str, url: String) -> Remote {
        let authorization = self.address.authorization().map(str::to_string);
        Remote { client: self.client.clone(), url, authorization, name: name.to_string() }
    }

    /// Asks once what an address without a known ending is.
    fn probe(&self, name: &str) -> &Result<Option<Rc<dyn ByteSource>>> {
        self.probed.get_or_init(|| {
            let Some(file) = open(self.remote(name, self.address.own()), false)? else { return Ok(None) };
            let head = file.bytes(0, file.len().min(PAGE_HEAD))?;
            let source: Rc<dyn ByteSource> = Rc::new(file);
            Ok((head.starts_with(b"GGUF") || head.contains(&0)).then_some(source))
        })
    }

    fn open_now(&self, name: &str, needed: bool) -> Result<Option<Rc<dyn ByteSource>>> {
        let main = self.main();
        if main.as_deref() == Some(name) {
            if let Some(probed) = self.probed.get() {
                return probed.clone();
            }
            return Ok(open(self.remote(name, self.address.own()), true)?.map(|file| Rc::new(file) as _));
        }
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
            return Err(Error::BadFile(format!("{name:?} is not the name of a file in the model's own folder")));
        }
        let url = if main.is_some() { self.address.beside(name) } else { self.address.inside(name) };
        let config = main.is_none() && name == "config.json";
        let file = open(self.remote(name, url), needed || config).map_err(|e| match status(&e) {
            // What was given is no model at all.
            Some(code @ (404 | 410)) if config => {
                let expected = "expected the URL of a .gguf file, or of a Hugging Face directory with config.json";
                Error::BadRequest(format!("{e}; {expected}")).with("status", code)
            }
            _ => e,
        })?;
        Ok(file.map(|file| Rc::new(file) as _))
    }
}

impl Files for HttpFiles {
    fn main(&self) -> Option<String> {
        let name = self.address.name()?;
        // An address that cannot be asked for is a file, so that opening it says why.
        let is_file = self.address.is_file() || !matches!(self.probe(&name), Ok(None));
        is_file.then_some(name)
    }
    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move { self.open_now(name, false) })
    }
    fn need<'a>(&'a self, name: &'a str, _: &'a str) -> LocalFuture<'a, Result<Rc<dyn ByteSource>>> {
        let missing = move || Error::DownloadFailed(format!("{name} is missing"));
        Box::pin(async move { self.open_now(name, true)?.ok_or_else(missing) })
    }
}

fn status(e: &Error) -> Option<u64> {
    e.details()?.get("status")?.as_u64()
}

/// Finds out what there is, by asking for the beginning. None for a file that is absent and not `needed`.
fn open(remote: Remote, needed: bool) -> Result<Option<RemoteFile>> {
    let mut response = remote.get_patiently(Some((0, FIRST_BYTES)))?;
    let mut total = content_range(&response).and_then(|(_, total)| total);
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        // Some servers do not shorten a range that ends behind the file; an empty file has no range at all.
        let range = total.filter(|total| *total > 0).map(|total| (0, total.min(FIRST_BYTES)));
        response = remote.get_patiently(range)?;
        total = content_range(&response).and_then(|(_, total)| total);
    }
    if is_useless(&response) {
        response = remote.get_patiently(None)?;
    } else if response.status() == StatusCode::PARTIAL_CONTENT && total.is_none() {
        total = remote.head_length();
        if total.is_none() {
            response = remote.get_patiently(None)?;
        }
    }
    let status = response.status();
    if let Some(encoding) = foreign_encoding(&response) {
        return Err(remote.failed(&format!(
            "its server sends it compressed ({encoding}), which was not asked for; use another server"
        )));
    }
    let file = match (status, total, length(&response)) {
        (StatusCode::PARTIAL_CONTENT, Some(total), _) => RemoteFile::new(remote, total, response),
        (StatusCode::OK, _, Some(length)) => RemoteFile::new(remote, length, response),
        (StatusCode::OK, ..) => RemoteFile::of_unknown_length(remote, response)?,
        _ if !needed && status.is_client_error() => return Ok(None),
        _ => return Err(remote.refused(status)),
    };
    if !is_page(file.name(), &file.bytes(0, file.len().min(PAGE_HEAD))?) {
        return Ok(Some(file));
    }
    if needed {
        let why =
            "its server answers with a web page instead of the file; check the address and whether it needs a login";
        return Err(file.failed(why));
    }
    Ok(None)
}
