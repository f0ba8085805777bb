//! Tokenizes through the public API, for comparison with other engines: `tokenize_texts PATH`, a GGUF file, a
//! tokenizer.json or a directory with one. JSON lines of one text each in; out, for each,
//! `{ids, with_special, text, all, streamed}`: ids without and with BOS and EOS, their text without and with special
//! tokens, and the former as the pieces of a stream.

use lacewing::formats::{gguf, local};
use lacewing::text::{Detokenizer, Tokenizer, TokenizerConfig};
use std::io::BufRead;
use std::path::Path;

type Failure = Box<dyn std::error::Error>;

fn open(path: &Path) -> Result<Tokenizer, Failure> {
    let json = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
    if json.extension().is_none_or(|extension| extension != "json") {
        let files = local::open_files(path.to_str().ok_or("the path is not UTF-8")?)?;
        return Ok(Tokenizer::from_gguf(pollster::block_on(gguf::read(&*files))?.0)?);
    }
    let beside = |name: &str| -> Result<Option<serde_json::Value>, Failure> {
        let file = path.join(name);
        Ok(if file.is_file() { Some(serde_json::from_slice(&std::fs::read(file)?)?) } else { None })
    };
    let (config, map) = (beside("tokenizer_config.json")?, beside("special_tokens_map.json")?);
    let added = beside("added_tokens.json")?;
    let files =
        TokenizerConfig { config: config.as_ref(), special_tokens_map: map.as_ref(), added_tokens: added.as_ref() };
    Ok(Tokenizer::from_json(std::fs::read(json)?, files)?)
}

fn main() -> Result<(), Failure> {
    let path = std::env::args().nth(1).ok_or("usage: tokenize_texts PATH")?;
    let tokenizer = open(Path::new(&path))?;
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let ids = tokenizer.encode(&text, false)?;
        let mut stream = Detokenizer::new(&tokenizer);
        let mut streamed = String::new();
        for id in &ids {
            streamed += &stream.push(*id)?;
        }
        streamed += &stream.finish()?;
        let answer = serde_json::json!({
            "with_special": tokenizer.encode(&text, true)?,
            "text": tokenizer.decode(&ids, true)?,
            "all": tokenizer.decode(&ids, false)?,
            "ids": ids,
            "streamed": streamed,
        });
        println!("{answer}");
    }
    Ok(())
}
