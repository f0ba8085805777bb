//! What commands print. `println!` panics when stdout fails; here a closed pipe (`lacewing inspect | head`) ends the
//! command quietly and a full disk is an error. What goes to stderr is for people: when nobody can read it, it is lost.

use lacewing::{Error, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Marks, as the cause of an error, that the reader of stdout has seen enough.
#[derive(Debug)]
struct ClosedPipe;

impl Display for ClosedPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("the reader of the output has gone")
    }
}

impl std::error::Error for ClosedPipe {}

/// Writes to stdout, all the way: what is only buffered could fail later, where nobody looks.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(failed)
}

/// `print` and a line break.
pub fn line(text: impl Display) -> Result<()> {
    print(format_args!("{text}\n"))
}

/// Indented JSON on stdout.
pub fn json(report: &serde_json::Value) -> Result<()> {
    line(serde_json::to_string_pretty(report).expect("JSON of plain values"))
}

/// The error for a failed write to stdout.
pub fn failed(e: std::io::Error) -> Error {
    let error = Error::BadRequest(format!("cannot write the output: {e}"));
    if e.kind() == ErrorKind::BrokenPipe { error.because(ClosedPipe) } else { error.because(e) }
}

/// Whether a command ended because nobody reads its output any more.
pub fn is_closed(error: &Error) -> bool {
    error.cause().is_some_and(|cause| cause.is::<ClosedPipe>())
}

/// A line on stderr.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
