//! File formats and byte sources. The answer to a broken file or server is a typed error with a sentence, never a
//! panic.

#[path = "../common/gguf_writer.rs"]
mod gguf_writer;
#[path = "../common/mutate.rs"]
mod mutate;
#[path = "../common/node_server.rs"]
mod node_server;

mod disk;
mod gguf;
mod hostile;
mod http;
mod safetensors;

use lacewing::Result;

/// The error's code; its message has to name what was found.
fn code<T>(result: Result<T>) -> &'static str {
    let Err(e) = result else { return "ok" };
    let message = e.to_string();
    assert!(message.len() > 20 && message.contains(' '), "{message:?} is not a sentence");
    e.code()
}

fn expect<T>(result: Result<T>, want: &str, part: &str) {
    let message = match &result {
        Err(e) => e.to_string(),
        Ok(_) => "read without an error".into(),
    };
    assert_eq!(code(result), want, "{message}");
    assert!(message.contains(part), "{message:?} does not say {part:?}");
}
