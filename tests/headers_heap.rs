//! The heap that a model's metadata takes, measured: hostile files end in a typed error or in few bytes, large honest
//! ones load.
//! One test alone, because the counters are those of the process.

#[path = "common/counting.rs"]
mod counting;
#[path = "common/gguf_writer.rs"]
mod gguf_writer;

use counting::{live, measured};
use gguf_writer::{Tensor, write};
use lacewing::formats::gguf::{self, Metadata, Value};
use lacewing::formats::source::MemoryFiles;
use lacewing::formats::{TensorFile, safetensors};
use lacewing::model::open::{TextFiles, open};
use lacewing::session::text::Text;
use lacewing::{Error, Result};
use pollster::block_on;

/// What DESIGN.md 3.1 allows while a model loads.
const MOST: usize = 192 << 20;
/// Longest header that is parsed at all.
const HEADER: usize = 99_000_000;

/// Holds a result to the bound; says what became of it.
fn check<T>(label: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let (result, peak) = measured(f);
    let outcome = match &result {
        Ok(_) => "read".to_string(),
        Err(e) => format!("{}: {}", e.code(), e.to_string().chars().take(150).collect::<String>()),
    };
    println!("{label}: {:.1} MiB, {outcome}", peak as f64 / 1048576.0);
    assert!(peak > 1000, "{label}: the allocator is not counted");
    assert!(peak <= MOST, "{label}: {peak} bytes at once");
    result
}

fn refused<T>(label: &str, part: &str, f: impl FnOnce() -> Result<T>) {
    match check(label, f) {
        Err(Error::BadFile(m)) if m.contains(part) && m.len() < 3000 => {}
        Err(e) => panic!("{label}: {} is not about {part:?}", e.to_string().chars().take(400).collect::<String>()),
        Ok(_) => panic!("{label}: it was read"),
    }
}

fn st(header: String, data: usize) -> MemoryFiles {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.resize(out.len() + data, 0);
    MemoryFiles::new().with("model.safetensors", out)
}

fn entry(name: &str, i: usize) -> String {
    format!(r#""{name}":{{"dtype":"F16","shape":[1],"data_offsets":[{},{}]}},"#, 2 * i, 2 * i + 2)
}

/// A header of entries named by `name` that is `bytes` long, or has `most` of them.
fn table(bytes: usize, most: usize, name: impl Fn(usize) -> String) -> (String, usize) {
    let (mut header, mut n) = ("{".to_string(), 0);
    while header.len() < bytes && n < most {
        header += &entry(&name(n), n);
        n += 1;
    }
    header.pop();
    (header + "}", 2 * n)
}

fn read_st(files: &MemoryFiles) -> Result<TensorFile> {
    block_on(safetensors::read(files))
}

fn hostile_safetensors() {
    let (header, data) = table(HEADER, usize::MAX, |i| format!("{i:x}"));
    let files = st(header, data);
    refused("tiny tensors", "144 MiB", || read_st(&files));
    let (header, data) = table(HEADER, usize::MAX, |i| format!("{i:x}"));
    let files = st(header.replace("F16", "I16"), data);
    refused("tiny tensors of another type", "144 MiB", || read_st(&files));
    let (header, data) = table(HEADER, usize::MAX, |i| format!("{i:01000}"));
    let files = st(header, data);
    refused("long names", "144 MiB", || read_st(&files));
    let long = |c: &str| c.repeat(HEADER / 2 / c.len());
    for (label, header, part) in [
        ("one long name", format!("{{{}}}", entry(&long("a"), 0)), "144 MiB"),
        (
            "a shorter long name",
            format!("{{{}}}", entry(&"a".repeat(4 << 20), 0).trim_end_matches(',')),
            "at most 1024",
        ),
        ("escapes", format!("{{\"{}\":1}}", long("\\u0000")), "144 MiB"),
        ("a type", format!(r#"{{"w":{{"dtype":"{}"}}}}"#, long("a")), "144 MiB"),
        ("a long shape", format!(r#"{{"w":{{"dtype":"F16","shape":[{}1]}}}}"#, long("1,")), "at most 8"),
        ("a text for a shape", format!(r#"{{"w":{{"shape":"{}"}}}}"#, "a".repeat(8 << 20)), "expected a list"),
        ("deep lists", long("["), "144 MiB"),
        ("deep objects", long("{\"a\":"), "header"),
        ("deep metadata", format!("{{\"__metadata__\":{}", "[".repeat(HEADER / 2)), "144 MiB"),
        ("less deep, closed", format!("{{\"w\":{}{}}}", "[".repeat(10 << 20), "]".repeat(10 << 20)), "header"),
        ("a long metadata text", format!("{{\"__metadata__\":{{\"a\":\"{}\"}}}}", long("a")), "144 MiB"),
    ] {
        let files = st(header, 2);
        refused(label, part, || read_st(&files));
    }
    // Nothing of this is kept: it is legal, and cheap.
    let metadata: String = (0..HEADER / 40).map(|i| format!(r#""{i:012}":"{i:016}","#)).collect();
    let w = entry("w", 0);
    let files =
        st(format!("{{\"__metadata__\":{{{}}},{}}}", metadata.trim_end_matches(','), w.trim_end_matches(',')), 2);
    assert_eq!(check("much metadata", || read_st(&files)).unwrap().tensors.len(), 1);
    let files = st(format!("{{\"__metadata__\":{{\"a\":\"{}\"}}}}", "a\\n".repeat(1 << 20)), 0);
    assert_eq!(check("a metadata text of 3 MiB", || read_st(&files)).unwrap().tensors.len(), 0);
}

fn hostile_index() {
    let index = |tensor: fn(usize) -> String, shard: fn(usize) -> String| {
        let (mut json, mut i) = ("{\"weight_map\":{".to_string(), 0);
        while json.len() < HEADER {
            json += &format!("\"{}\":\"{}\",", tensor(i), shard(i));
            i += 1;
        }
        json.pop();
        MemoryFiles::new().with("model.safetensors.index.json", (json + "}}").into_bytes())
    };
    let files = index(|i| format!("{i:x}"), |_| "s".into());
    // Only the names of shards are kept.
    let result = check("an index of tiny names", || read_st(&files));
    assert!(matches!(result, Err(Error::DownloadFailed(m)) if m.contains("s is missing")));
    let files = index(|i| format!("{i:x}"), |i| format!("{i:x}"));
    refused("an index of shards", "144 MiB", || read_st(&files));
}

/// `GGUF`, version and counts, then `body`.
fn raw_gguf(tensors: u64, entries: u64, body: &[u8]) -> MemoryFiles {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend(tensors.to_le_bytes());
    out.extend(entries.to_le_bytes());
    out.extend_from_slice(body);
    MemoryFiles::single("m.gguf", out)
}

/// The start of an array: its key, `ARRAY`, the type of its elements and their number.
fn array(kind: u32, n: u64) -> Vec<u8> {
    let mut out = [&1_u64.to_le_bytes()[..], b"k", &9_u32.to_le_bytes(), &kind.to_le_bytes()].concat();
    out.extend(n.to_le_bytes());
    out
}

fn hostile_gguf() {
    const N: usize = 120 << 20;
    let read = |files: &MemoryFiles| block_on(gguf::read(files));
    let zeros = vec![0; N];
    for (label, files, part) in [
        ("more entries than bytes", raw_gguf(0, 1 << 40, &zeros), "announces"),
        ("more tensors than bytes", raw_gguf(1 << 40, 0, &zeros), "announces"),
        ("empty texts", raw_gguf(0, 1, &[array(8, N as u64 / 8), zeros.clone()].concat()), "144 MiB"),
        ("bytes as integers", raw_gguf(0, 1, &[array(0, N as u64), zeros.clone()].concat()), "144 MiB"),
        ("numbers", raw_gguf(0, 1, &[array(6, N as u64 / 4), zeros.clone()].concat()), "144 MiB"),
    ] {
        refused(label, part, || read(&files));
    }
    let files = raw_gguf(0, 1, &[array(8, 3 << 20), zeros.clone()].concat());
    assert!(check("three million empty texts", || read(&files)).is_ok(), "within the bound, so it has to load");
    let entries: Vec<u8> = (0..N as u64 / 21).flat_map(|i| entry_bytes(&format!("{i:08x}"))).collect();
    let files = raw_gguf(0, N as u64 / 21, &entries);
    refused("tiny entries", "144 MiB", || read(&files));
    let tensors: Vec<u8> = (0..N as u64 / 40).flat_map(|i| tensor_bytes(&format!("{i:08x}"))).collect();
    let files = raw_gguf(N as u64 / 40, 0, &tensors);
    refused("tiny tensors in a GGUF", "144 MiB", || read(&files));
    let text = [&1_u64.to_le_bytes()[..], b"k", &8_u32.to_le_bytes(), &(N as u64).to_le_bytes(), &zeros].concat();
    let files = raw_gguf(0, 1, &text);
    assert!(check("one long text", || read(&files)).is_ok());
    let invalid =
        [&1_u64.to_le_bytes()[..], b"k", &8_u32.to_le_bytes(), &(N as u64).to_le_bytes(), &vec![255; N]].concat();
    let files = raw_gguf(0, 1, &invalid);
    refused("one long text that is none", "144 MiB", || read(&files));
}

/// A bool.
fn entry_bytes(key: &str) -> Vec<u8> {
    [&(key.len() as u64).to_le_bytes()[..], key.as_bytes(), &7_u32.to_le_bytes(), &[1]].concat()
}

/// F32 `[1]` at offset 0.
fn tensor_bytes(name: &str) -> Vec<u8> {
    let n = (name.len() as u64).to_le_bytes();
    [&n[..], name.as_bytes(), &1_u32.to_le_bytes(), &1_u64.to_le_bytes(), &0_u32.to_le_bytes(), &[0; 8]].concat()
}

/// Vocabularies as large as any model's: 262144 tokens, half a million merges.
fn large_and_honest() {
    const N: usize = 262_144;
    // Words of hexadecimal digits: each is the word before its last digit and that digit.
    let word = |i: usize| format!("{:x}", i + 1);
    let mut tokens: Vec<String> = (0..N).map(word).collect();
    tokens[N - 1] = "<|end_of_text|>".into();
    let merges: Vec<String> =
        (0..2 * N).map(|i| word(i % N)).map(|w| format!("{} {}", &w[..w.len() - 1], &w[w.len() - 1..])).collect();
    let metadata = [
        ("general.architecture", Value::String("llama".into())),
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("llama-bpe".into())),
        ("tokenizer.ggml.tokens", Value::Strings(tokens)),
        ("tokenizer.ggml.token_type", Value::Ints(vec![1; N])),
        ("tokenizer.ggml.scores", Value::Floats(vec![0.0; N])),
        ("tokenizer.ggml.merges", Value::Strings(merges)),
        ("tokenizer.ggml.eos_token_id", Value::Int(N as i128 - 1)),
    ];
    let names: Vec<String> = (0..2000).map(|i| format!("blk.{}.attn_{i}.weight", i / 10)).collect();
    let tensors: Vec<Tensor> = names.iter().map(|n| Tensor::f32(n, &[4, 8], &[1.0; 32])).collect();
    let files = MemoryFiles::single("m.gguf", write(&metadata, &tensors));
    drop(metadata);
    let (meta, file) = check("a large GGUF", || block_on(gguf::read(&files))).unwrap();
    assert_eq!((meta.strings("tokenizer.ggml.tokens").unwrap().len(), file.tensors.len()), (N, 2000));
    drop((meta, file));
    let (header, data) = table(usize::MAX, 100_000, |i| format!("model.layers.{}.mlp.experts.{i}.weight", i / 1000));
    let files = st(header, data);
    assert_eq!(check("100000 tensors", || read_st(&files)).unwrap().tensors.len(), 100_000);
}

/// A vocabulary of `n` words of hexadecimal digits that `n_merges` merges make of one another, the last ones repeated.
fn vocabulary(n: usize, n_merges: usize) -> (Vec<String>, Vec<(String, String)>) {
    let tokens: Vec<String> = (0..n).map(|i| format!("{i:x}")).collect();
    let merge = |i: usize| {
        let word = &tokens[16 + i % (n - 16)];
        (word[..word.len() - 1].to_string(), word[word.len() - 1..].to_string())
    };
    let merges = (0..n_merges).map(merge).collect();
    (tokens, merges)
}

fn tokenizer_json(n: usize, n_merges: usize) -> Vec<u8> {
    let (tokens, merges) = vocabulary(n, n_merges);
    let vocab: Vec<String> = tokens.iter().enumerate().map(|(id, t)| format!("\"{t}\":{id}")).collect();
    let merges: Vec<String> = merges.iter().map(|(a, b)| format!("[\"{a}\",\"{b}\"]")).collect();
    let (vocab, merges) = (vocab.join(","), merges.join(","));
    format!(r#"{{"version":"1.0","model":{{"type":"BPE","vocab":{{{vocab}}},"merges":[{merges}]}}}}"#).into_bytes()
}

fn tokenizer_gguf(n: usize, n_merges: usize) -> Metadata {
    let (tokens, merges) = vocabulary(n, n_merges);
    let merges = merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
    let entries = [
        ("model", Value::String("gpt2".into())),
        ("token_type", Value::Ints(vec![1; n])),
        ("scores", Value::Floats(vec![0.0; n])),
        ("tokens", Value::Strings(tokens)),
        ("merges", Value::Strings(merges)),
    ];
    Metadata { entries: entries.map(|(k, v)| (format!("tokenizer.ggml.{k}"), v)).into() }
}

/// Vocabularies as they are read before the first weight: all of them through `Text`, which frees its files.
fn tokenizers() {
    const N: usize = 262_144;
    for (label, n, n_merges, gguf, kept_mib) in [
        ("the largest tokenizer.json", 2 * N, 4 * N, false, 128),
        ("the largest GGUF vocabulary", 2 * N, 4 * N, true, 128),
    ] {
        let make = || match gguf {
            true => TextFiles { gguf: Some(tokenizer_gguf(n, n_merges)), ..TextFiles::default() },
            false => TextFiles { tokenizer_json: Some(tokenizer_json(n, n_merges)), ..TextFiles::default() },
        };
        // The files themselves count: they live while the tokenizer is built of them.
        let before = live();
        let files = make();
        let held = live() - before;
        let (text, peak) = measured(|| Text::new(files).unwrap());
        let (peak, kept) = (held + peak, live() - before);
        println!("{label}: {} MiB, of which {} MiB stay", peak >> 20, kept >> 20);
        assert!(peak <= MOST, "{label}: {peak} bytes");
        assert!(kept < kept_mib << 20, "{label}: {kept} bytes stay: the files were not freed");
        let ids = text.tokenizer().unwrap().encode("12", false).unwrap();
        assert_eq!(ids, [0x12], "{label}");
    }
}

/// Files beside the weights that are made to take memory.
fn hostile_texts() {
    let bpe = |vocab: String, merges: String| {
        format!(r#"{{"model":{{"type":"BPE","vocab":{{{vocab}}},"merges":[{merges}]}}}}"#).into_bytes()
    };
    let unigram = |vocab: String| format!(r#"{{"model":{{"type":"Unigram","vocab":[{vocab}]}}}}"#).into_bytes();
    const N: usize = 38 << 20;
    for (label, json, part) in [
        ("too many merges", bpe(String::new(), vec!["\"a b\""; 1_100_000].join(",")), "1100000 merges"),
        (
            "too many tokens",
            bpe((0..530_000).map(|i| format!("\"{i}\":1,")).collect::<String>() + "\"\":0", String::new()),
            "530001 tokens",
        ),
        ("a long text", unigram("[".repeat(41 << 20)), "tokenizer.json"),
        ("empty lists", unigram(vec!["[]"; N / 3].join(",")), "values"),
        ("a list of lists", unigram(format!("[{}]", vec!["[]"; N / 3].join(","))), "values"),
        ("a long token", bpe(format!("\"{}\":1", "a".repeat(N)), "3".into()), "merge"),
        (
            "a normalizer",
            format!(r#"{{"normalizer":[{}1],"model":{{"type":"BPE","vocab":{{}},"merges":[]}}}}"#, "1,".repeat(N / 2))
                .into_bytes(),
            "values",
        ),
    ] {
        refused(label, part, || {
            Text::new(TextFiles { tokenizer_json: Some(json.clone()), ..TextFiles::default() }).map(|_| ())
        });
    }
    let pieces: Vec<String> = (0..258_000).map(|i| format!("[\"{i:x}\",-1.5]")).collect();
    let json = unigram(pieces.join(","));
    let made = check("the most pieces", || {
        Text::new(TextFiles { tokenizer_json: Some(json.clone()), ..TextFiles::default() })
    });
    assert!(made.is_ok());
    let config = |text: String| MemoryFiles::new().with("config.json", text.into_bytes());
    for (label, text) in [
        ("a list in config.json", format!("{{\"a\":[{}1]}}", "1,".repeat(4_000_000))),
        (
            "members of config.json",
            format!("{{{}\"a\":1}}", (0..800_000).map(|i| format!("\"{i:x}\":1,")).collect::<String>()),
        ),
        ("NaN in config.json", format!("{{\"a\":[{}1]}}", "NaN,".repeat(2_000_000))),
    ] {
        let files = config(text);
        refused(label, "values", || block_on(open(&files)).map(|_| ()));
    }
    let template = "a".repeat(100 << 20);
    let gguf = Metadata { entries: vec![("tokenizer.chat_template".into(), Value::String(template))] };
    // Refused only when somebody chats; it must not be copied before.
    check("a long template", || Text::new(TextFiles { gguf: Some(gguf.clone()), ..TextFiles::default() }).map(|_| ()))
        .unwrap();
}

#[test]
fn headers_stay_within_their_memory() {
    hostile_safetensors();
    hostile_index();
    hostile_gguf();
    large_and_honest();
    hostile_texts();
    tokenizers();
}
