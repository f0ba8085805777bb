//! GGUF and safetensors: valid files of every kind, and every way of breaking them. The answer to a broken file is a
//! typed error with a sentence, never a panic.

#[path = "common/gguf_writer.rs"]
mod gguf_writer;

use gguf_writer::{Tensor, Written, write, write_with};
use lacewing::formats::gguf::{self, Metadata, Value};
use lacewing::formats::source::{ByteSource, Files, LocalFuture, MemoryFiles, is_plain_name, open_files};
use lacewing::formats::{DType, TensorFile, safetensors};
use lacewing::weights::random::Random;
use lacewing::{Error, Result};
use pollster::block_on;
use std::rc::Rc;

fn read(bytes: &[u8]) -> Result<(Metadata, TensorFile)> {
    block_on(gguf::read(&MemoryFiles::single("m.gguf", bytes)))
}

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

/// Metadata of every value kind.
fn metadata() -> Vec<(&'static str, Value)> {
    vec![
        ("general.architecture", Value::String("llama".into())),
        ("u32", Value::Int(7)),
        ("negative", Value::Int(-7)),
        ("u64", Value::Int(i128::from(u64::MAX))),
        ("i64", Value::Int(i128::from(i64::MIN))),
        ("f32", Value::Float(0.5)),
        ("f64", Value::Float(0.1)),
        ("yes", Value::Bool(true)),
        ("tokens", Value::Strings(vec!["<s>".into(), "\u{2581}a".into(), String::new()])),
        ("types", Value::Ints(vec![1, -2, 3])),
        ("long", Value::Ints(vec![1 << 40])),
        ("scores", Value::Floats(vec![0.0, -1.5])),
        ("flags", Value::Bools(vec![true, false])),
        ("none", Value::Strings(Vec::new())),
    ]
}

fn tensors() -> Vec<Tensor> {
    vec![
        Tensor::f32("norm", &[3], &[1.0, 2.0, 3.0]),
        Tensor::new("q4", DType::Q4_0, &[2, 64], (0..72).collect()),
        Tensor::new("experts", DType::Q8_0, &[2, 3, 32], (0..204).collect()),
        Tensor::new("k", DType::Q6_K, &[1, 256], vec![5; 210]),
    ]
}

#[test]
fn gguf_reads_back_what_was_written() {
    for version in [2, 3] {
        let written = write_with(version, &metadata(), &tensors(), None);
        let (found, file) = read(&written.bytes).unwrap();
        let want: Vec<_> = metadata().into_iter().map(|(k, v)| (k.to_string(), v)).collect();
        assert_eq!(found.entries, want);
        assert_eq!(found.str("general.architecture"), Some("llama"));
        assert_eq!((found.u32("u32"), found.u32("negative"), found.f64("f64")), (Some(7), None, Some(0.1)));
        assert_eq!(file.tensors.len(), 4);
        for (t, want) in file.tensors.iter().zip(tensors()) {
            assert_eq!((&t.name, &t.shape), (&want.name, &want.shape));
            assert_eq!(block_on(file.read(t, 0, t.bytes)).unwrap(), want.data);
        }
        let experts = file.get("experts").unwrap();
        assert_eq!((experts.rows(), experts.cols(), experts.row_bytes()), (6, 32, 34));
        assert_eq!(block_on(file.read(experts, 34, 34)).unwrap(), (34..68).collect::<Vec<u8>>());
    }
}

#[test]
fn gguf_alignment_comes_from_the_metadata() {
    for align in [8, 64, 4096] {
        let bytes = write(&[("general.alignment", Value::Int(align))], &tensors());
        let (_, file) = read(&bytes).unwrap();
        assert!(file.tensors.iter().all(|t| t.offset % align as u64 == 0));
        let last = file.get("k").unwrap();
        assert_eq!(block_on(file.read(last, 0, last.bytes)).unwrap(), vec![5; 210]);
    }
    for align in [0, 4, 12, 1 << 40, -32] {
        let bytes = write_with(3, &[("general.alignment", Value::Int(align))], &tensors(), None).bytes;
        expect(read(&bytes), "bad-file", "general.alignment");
    }
    let bytes = write(&[("general.alignment", Value::String("32".into()))], &[]);
    expect(read(&bytes), "bad-file", "general.alignment");
}

#[test]
fn gguf_headers_longer_than_a_read_and_without_tensors() {
    let tokens: Vec<String> = (0..400_000).map(|i| format!("token {i}")).collect();
    let scores: Vec<f32> = (0..400_000).map(|i| i as f32).collect();
    let long = "x".repeat(3 << 20);
    let metadata = [
        ("tokens", Value::Strings(tokens.clone())),
        ("template", Value::String(long.clone())),
        ("scores", Value::Floats(scores.clone())),
    ];
    let (found, file) = read(&write(&metadata, &[])).unwrap();
    assert_eq!(found.strings("tokens"), Some(&tokens[..]));
    assert_eq!(found.str("template"), Some(&long[..]));
    assert_eq!(found.floats("scores"), Some(&scores[..]));
    assert!(file.tensors.is_empty());
}

#[test]
fn gguf_cut_anywhere_is_a_bad_file() {
    let written = write_with(3, &metadata(), &tensors(), None);
    for cut in 0..written.bytes.len() {
        let result = read(&written.bytes[..cut]);
        expect(result, "bad-file", "m.gguf");
    }
    assert!(written.fields.len() > 100);
    read(&written.bytes).unwrap();
}

/// A valid file with the field `index` (counted from the start of the header) overwritten.
fn broken(written: &Written, index: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = written.bytes.clone();
    let at = written.fields[index];
    out[at..at + bytes.len()].copy_from_slice(bytes);
    out
}

#[test]
fn gguf_wrong_magic_and_versions() {
    let w = write_with(3, &metadata(), &tensors(), None);
    expect(read(&broken(&w, 0, b"ggml")), "bad-file", "not a GGUF file");
    expect(read(&broken(&w, 0, b"PK\x03\x04")), "bad-file", "not a GGUF file");
    expect(read(&broken(&w, 1, &1_u32.to_le_bytes())), "unsupported-format", "version 1");
    expect(read(&broken(&w, 1, &4_u32.to_le_bytes())), "unsupported-format", "version 4");
    expect(read(&broken(&w, 1, &0_u32.to_le_bytes())), "unsupported-format", "version 0");
    expect(read(&broken(&w, 1, &3_u32.to_be_bytes())), "unsupported-format", "big-endian");
    expect(read(b""), "bad-file", "cut");
}

#[test]
fn gguf_counts_and_lengths_beyond_the_file() {
    let one = [("key", Value::String("value".into()))];
    let list = [("key", Value::Strings(vec!["value".into()]))];
    let number = [("key", Value::Ints(vec![1, 2]))];
    // Fields: 0 magic, 1 version, 2 tensors, 3 entries, 4 key length, 5 key, 6 type, then the value.
    for huge in [1 << 20, 1 << 32, 1 << 62, u64::MAX] {
        let huge = huge.to_le_bytes();
        let w = write_with(3, &one, &tensors(), None);
        for field in [2, 3, 4, 7] {
            expect(read(&broken(&w, field, &huge)), "bad-file", "m.gguf");
        }
        let w = write_with(3, &list, &tensors(), None);
        for field in [8, 9] {
            expect(read(&broken(&w, field, &huge)), "bad-file", "m.gguf");
        }
        let w = write_with(3, &number, &tensors(), None);
        expect(read(&broken(&w, 8, &huge)), "bad-file", "elements of \"key\"");
    }
}

#[test]
fn gguf_values_that_make_no_sense() {
    let w = write_with(3, &[("key", Value::String("value".into()))], &[], None);
    for kind in [13_u32, 99, u32::MAX] {
        expect(read(&broken(&w, 6, &kind.to_le_bytes())), "bad-file", "value type");
    }
    expect(read(&broken(&w, 5, b"\xFF")), "bad-file", "UTF-8");
    expect(read(&broken(&w, 8, b"\xC0\x80")), "bad-file", "UTF-8");
    let w = write_with(3, &[("key", Value::Ints(vec![1, 2]))], &[], None);
    expect(read(&broken(&w, 7, &13_u32.to_le_bytes())), "bad-file", "element type");
    expect(read(&broken(&w, 7, &9_u32.to_le_bytes())), "unsupported-format", "array of arrays");
    let w = write_with(3, &[("key", Value::Ints(vec![-1, 1 << 40]))], &[], None);
    expect(read(&broken(&w, 7, &10_u32.to_le_bytes())), "bad-file", "2^63");
    let twice = [("key", Value::Int(1)), ("key", Value::Int(2))];
    expect(read(&write(&twice, &[])), "bad-file", "twice");
}

/// One tensor of given shape and type with `bytes` bytes of data.
fn one_tensor(kind: u32, shape: &[u64], bytes: usize) -> Result<(Metadata, TensorFile)> {
    read(&write(&[], &[Tensor { name: "w".into(), kind, shape: shape.into(), data: vec![0; bytes] }]))
}

#[test]
fn gguf_tensors_that_make_no_sense() {
    one_tensor(0, &[2, 4], 32).unwrap();
    expect(one_tensor(0, &[], 32), "bad-file", "dimensions");
    expect(one_tensor(0, &[1, 1, 1, 1, 2], 32), "bad-file", "dimensions");
    for shape in [&[0_u64][..], &[0, 4], &[4, 0], &[0, u64::MAX]] {
        expect(one_tensor(0, shape, 32), "bad-file", "no elements");
    }
    for shape in [&[u64::MAX][..], &[1 << 62], &[1 << 32, 1 << 32], &[u64::MAX, u64::MAX], &[1 << 20, 1 << 20]] {
        expect(one_tensor(0, shape, 32), "bad-file", "\"w\"");
    }
    expect(one_tensor(0, &[2, 5], 32), "bad-file", "ends at byte");
    expect(one_tensor(2, &[2, 48], 72), "bad-file", "blocks of 32");
    expect(one_tensor(12, &[2, 128], 144), "bad-file", "blocks of 256");
    let two = [Tensor::f32("a", &[16], &[0.0; 16]), Tensor::f32("b", &[16], &[0.0; 16])];
    read(&write(&[], &two)).unwrap();
    for (offsets, part) in [
        ([0, 0], "overlap"),
        ([0, 32], "overlap"),
        ([32, 0], "overlap"),
        ([0, 65], "multiple of 32"),
        ([0, 96], "ends at byte"),
        ([0, u64::MAX - 31], "larger than any file"),
    ] {
        expect(read(&write_with(3, &[], &two, Some(&offsets)).bytes), "bad-file", part);
    }
    // Any order is fine as long as nothing overlaps.
    read(&write_with(3, &[], &two, Some(&[64, 0])).bytes).unwrap();
    let twins = [Tensor::f32("a", &[16], &[0.0; 16]), Tensor::f32("a", &[16], &[0.0; 16])];
    expect(read(&write(&[], &twins)), "bad-file", "two tensors");
}

#[test]
fn gguf_unsupported_types_are_named() {
    for (kind, name) in [(3, "Q4_1"), (10, "Q2_K"), (16, "IQ2_XXS"), (26, "I32"), (39, "MXFP4"), (31, "Q4_0_4_4")] {
        expect(one_tensor(kind, &[2, 256], 4096), "unsupported-format", name);
    }
    for kind in [77, u32::MAX] {
        expect(one_tensor(kind, &[2, 256], 4096), "unsupported-format", "\"w\"");
    }
}

/// A model in three parts, as (name, bytes).
fn parts() -> Vec<(String, Vec<u8>)> {
    (0..3)
        .map(|i| {
            let mut metadata = vec![("split.no", Value::Int(i)), ("split.count", Value::Int(3))];
            metadata.push(("split.tensors.count", Value::Int(3)));
            if i == 0 {
                metadata.push(("general.architecture", Value::String("llama".into())));
            }
            let tensor = Tensor::f32(&format!("t{i}"), &[8], &[i as f32; 8]);
            (format!("model-x-{:05}-of-00003.gguf", i + 1), write(&metadata, &[tensor]))
        })
        .collect()
}

fn read_split(main: usize, parts: &[(String, Vec<u8>)]) -> Result<(Metadata, TensorFile)> {
    let (name, bytes) = &parts[main];
    let mut files = MemoryFiles::single(name, bytes.as_slice());
    for (i, (name, bytes)) in parts.iter().enumerate() {
        if i != main {
            files = files.with(name, bytes.as_slice());
        }
    }
    block_on(gguf::read(&files))
}

#[test]
fn gguf_split_files_are_read_from_any_part() {
    for main in 0..3 {
        let (metadata, file) = read_split(main, &parts()).unwrap();
        assert_eq!(metadata.str("general.architecture"), Some("llama"));
        let names: Vec<_> = file.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["t0", "t1", "t2"]);
        for (i, t) in file.tensors.iter().enumerate() {
            assert_eq!(block_on(file.read(t, 0, 4)).unwrap(), (i as f32).to_le_bytes());
        }
    }
}

#[test]
fn gguf_split_files_that_do_not_fit() {
    let mut missing = parts();
    missing.remove(2);
    expect(read_split(0, &missing), "download-failed", "model-x-00003-of-00003.gguf");
    let mut mixed = parts();
    mixed[1].1 = mixed[2].1.clone();
    expect(read_split(0, &mixed), "bad-file", "part");
    let mut renamed = parts();
    renamed[0].0 = "first.gguf".into();
    expect(read_split(0, &renamed), "bad-file", "original names");
    let mut fewer = parts();
    let metadata = [("split.no", Value::Int(2)), ("split.count", Value::Int(3))];
    fewer[2].1 = write(&metadata, &[]);
    expect(read_split(0, &fewer), "bad-file", "instead of 3");
    let mut twins = parts();
    twins[2].1 = write(&metadata, &[Tensor::f32("t1", &[8], &[0.0; 8])]);
    expect(read_split(0, &twins), "bad-file", "two tensors");
    for count in [-1, 4, 70_000, i128::from(u64::MAX)] {
        let mut wrong = parts();
        wrong[0].1 = write(&[("split.count", Value::Int(count))], &[]);
        expect(read_split(0, &wrong), "bad-file", "");
    }
    expect(block_on(gguf::read(&MemoryFiles::new())), "bad-request", ".gguf");
}

/// A safetensors file of a header and data.
fn st(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.extend((0..data).map(|i| i as u8));
    out
}

fn read_st(bytes: &[u8]) -> Result<TensorFile> {
    block_on(safetensors::read(&MemoryFiles::new().with("model.safetensors", bytes)))
}

const GOOD: &str = r#"{"__metadata__":{"format":"pt"},
    "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},
    "a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
    "scalar":{"dtype":"F16","shape":[],"data_offsets":[28,30]}}   "#;

#[test]
fn safetensors_reads_tensors_wherever_the_header_lists_them() {
    let file = read_st(&st(GOOD, 30)).unwrap();
    let b = file.get("b").unwrap();
    assert_eq!((b.dtype, &b.shape[..], b.rows(), b.row_bytes()), (DType::BF16, &[2, 3][..], 2, 6));
    assert_eq!(block_on(file.read(b, 6, 6)).unwrap(), [22, 23, 24, 25, 26, 27]);
    assert_eq!(file.get("scalar").unwrap().bytes, 2);
    assert_eq!(file.tensors.len(), 3);
}

#[test]
fn safetensors_cut_anywhere_is_a_bad_file() {
    let bytes = st(GOOD, 30);
    for cut in 0..bytes.len() {
        expect(read_st(&bytes[..cut]), "bad-file", "model.safetensors");
    }
    expect(read_st(&st(GOOD, 31)), "bad-file", "30");
}

#[test]
fn safetensors_headers_that_make_no_sense() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    read_st(&st(&entry("F32", "[2,4]", "[0,32]"), 32)).unwrap();
    for (header, want, part) in [
        (entry("F32", "[2,4]", "[0,40]"), "bad-file", "\"w\""),
        (entry("F32", "[2,5]", "[0,32]"), "bad-file", "\"w\""),
        (entry("F32", "[2,4]", "[32,0]"), "bad-file", "\"w\""),
        (entry("F32", "[2,4]", "[4,36]"), "bad-file", "hole"),
        (entry("F32", "[0,4]", "[0,0]"), "bad-file", "\"w\""),
        (entry("F32", "[4294967296,4294967296]", "[0,32]"), "bad-file", "\"w\""),
        (entry("F32", "[18446744073709551615]", "[0,18446744073709551615]"), "bad-file", "\"w\""),
        (entry("F32", "[2,-4]", "[0,32]"), "bad-file", "header"),
        (entry("F32", "[2,4]", "[0]"), "bad-file", "header"),
        (entry("I64", "[4]", "[0,32]"), "unsupported-format", "I64"),
        (entry("F8_E4M3", "[32]", "[0,32]"), "unsupported-format", "F8_E4M3"),
        ("[]".into(), "bad-file", "header"),
        ("{".into(), "bad-file", "header"),
        (String::new(), "bad-file", "header"),
        ("[".repeat(100_000), "bad-file", "header"),
        (format!(r#"{{"w":{}"#, r#"{"w":"#.repeat(100_000)), "bad-file", "header"),
        ("{\"\u{0}\":1}".into(), "bad-file", "header"),
    ] {
        expect(read_st(&st(&header, 32)), want, part);
    }
    let two = |a: &str, b: &str, names: [&str; 2]| {
        let [n, m] = names;
        format!(
            r#"{{"{n}":{{"dtype":"F32","shape":[4],"data_offsets":{a}}},"{m}":{{"dtype":"F32","shape":[4],"data_offsets":{b}}}}}"#
        )
    };
    read_st(&st(&two("[16,32]", "[0,16]", ["a", "b"]), 32)).unwrap();
    expect(read_st(&st(&two("[0,16]", "[8,24]", ["a", "b"]), 32)), "bad-file", "overlap");
    expect(read_st(&st(&two("[0,16]", "[0,16]", ["a", "b"]), 32)), "bad-file", "overlap");
    expect(read_st(&st(&two("[0,16]", "[20,36]", ["a", "b"]), 36)), "bad-file", "hole");
    expect(read_st(&st(&two("[0,16]", "[16,32]", ["a", "a"]), 32)), "bad-file", "two tensors");
    for length in [0, 5, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7] {
        let mut bytes = st(GOOD, 30);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        expect(read_st(&bytes), "bad-file", "model.safetensors");
    }
}

fn shard(name: &str) -> Vec<u8> {
    st(&format!(r#"{{"{name}":{{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}}}"#), 32)
}

fn read_index(index: &str, shards: &[(&str, Vec<u8>)]) -> Result<TensorFile> {
    let mut files = MemoryFiles::new().with("model.safetensors.index.json", index.as_bytes());
    for (name, bytes) in shards {
        files = files.with(name, bytes.as_slice());
    }
    block_on(safetensors::read(&files))
}

#[test]
fn safetensors_shards() {
    let shards = [("s-2.safetensors", shard("b")), ("s-1.safetensors", shard("a"))];
    let index = r#"{"metadata":{"total_size":64},"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}}"#;
    let file = read_index(index, &shards).unwrap();
    let names: Vec<_> = file.tensors.iter().map(|t| (t.name.as_str(), file.sources[t.source].name())).collect();
    assert_eq!(names, [("a", "s-1.safetensors"), ("b", "s-2.safetensors")]);
    expect(read_index(index, &shards[..1]), "download-failed", "s-1.safetensors");
    let swapped = index.replace("-1", "-3").replace("-2", "-1").replace("-3", "-2");
    expect(read_index(&swapped, &shards), "bad-file", "does not hold");
    let extra = index.replace(r#""a":"#, r#""c":"s-1.safetensors","a":"#);
    expect(read_index(&extra, &shards), "bad-file", "\"c\"");
    let twins = [("s-2.safetensors", shard("a")), ("s-1.safetensors", shard("a"))];
    expect(read_index(index, &twins), "bad-file", "two tensors");
    for bad in ["../s.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "C:x", "a\\\\b"] {
        let index = format!(r#"{{"weight_map":{{"a":"{bad}"}}}}"#);
        expect(read_index(&index, &[]), "bad-file", "plain file name");
    }
    for bad in ["", "{}", "[]", r#"{"weight_map":[]}"#, r#"{"weight_map":{"a":1}}"#] {
        expect(read_index(bad, &[]), "bad-file", "index");
    }
    expect(block_on(safetensors::read(&MemoryFiles::new())), "download-failed", "neither");
    assert!(is_plain_name("model-00001-of-00002.safetensors") && !is_plain_name("a/b") && !is_plain_name(".."));
}

/// Changes a few bytes: random ones, extreme ones, single bits, or the length.
fn mutate(bytes: &[u8], rng: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(out.len() as u32) as usize;
        match rng.below(5) {
            0 => out[at] = rng.next_u64() as u8,
            1 => out[at] = [0, 1, 0x7F, 0x80, 0xFF][rng.below(5) as usize],
            2 => out[at] ^= 1 << rng.below(8),
            3 => out.truncate(at.max(1)),
            _ => out.insert(at, rng.next_u64() as u8),
        }
    }
    out
}

/// What is read from a mutated file has to lie within it; everything else has to be a typed error.
fn check_mutant(result: Result<TensorFile>) -> bool {
    match result {
        Ok(file) => {
            for t in &file.tensors {
                assert!(t.offset + t.bytes <= file.sources[t.source].len());
                assert_eq!(t.rows() * t.row_bytes(), t.bytes);
                assert_eq!(block_on(file.read(t, 0, t.bytes)).unwrap().len() as u64, t.bytes);
            }
            true
        }
        Err(Error::BadFile(_) | Error::UnsupportedFormat(_) | Error::DownloadFailed(_)) => false,
        Err(e) => panic!("unexpected error {e:?}"),
    }
}

#[test]
fn mutated_files_give_tensors_or_typed_errors() {
    let mut rng = Random::new(11);
    let gguf = write(&metadata(), &tensors());
    let st = st(GOOD, 30);
    let (mut read_well, n) = ([0, 0], 6000);
    for _ in 0..n {
        let mutant = mutate(&gguf, &mut rng);
        read_well[0] += u32::from(check_mutant(read(&mutant).map(|(_, file)| file)));
        let mutant = mutate(&st, &mut rng);
        read_well[1] += u32::from(check_mutant(read_st(&mutant)));
    }
    // Both outcomes occur, or the loop tests nothing.
    assert!(read_well.iter().all(|k| (1..n).contains(k)), "{read_well:?}");
}

/// A file of 4 TiB, zeros after its first bytes: here no count is refused for the size of the file.
struct Endless(Vec<u8>);

impl ByteSource for Endless {
    fn name(&self) -> &str {
        "endless"
    }
    fn len(&self) -> u64 {
        1 << 42
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        assert!(len <= 128 << 20, "{len} bytes asked for at {offset}");
        Box::pin(async move {
            let at = |i| usize::try_from(i).ok().and_then(|i: usize| self.0.get(i).copied()).unwrap_or(0);
            Ok((offset..offset + len).map(at).collect())
        })
    }
}

impl Files for Endless {
    fn main(&self) -> Option<String> {
        Some("endless".into())
    }
    fn open<'a>(&'a self, _: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move { Ok(Some(Rc::new(Endless(self.0.clone())) as Rc<dyn ByteSource>)) })
    }
}

#[test]
fn the_memory_for_a_header_is_bounded_however_large_the_file_is() {
    let string = write_with(3, &[("key", Value::String("value".into()))], &[], None);
    let ints = write_with(3, &[("key", Value::Ints(vec![1, 2]))], &[], None);
    let strings = write_with(3, &[("key", Value::Strings(vec!["value".into()]))], &[], None);
    for (written, field) in [(&string, 7), (&ints, 8), (&strings, 8), (&strings, 9), (&string, 4)] {
        let bytes = broken(written, field, &(1_u64 << 38).to_le_bytes());
        expect(block_on(gguf::read(&Endless(bytes))), "bad-file", "MiB");
    }
    let entries = broken(&string, 3, &(1_u64 << 38).to_le_bytes());
    expect(block_on(gguf::read(&Endless(entries))), "bad-file", "twice");
    let header = (1_u64 << 38).to_le_bytes().to_vec();
    expect(block_on(safetensors::read(&Endless(header))), "bad-file", "announces");
}

#[test]
fn real_files_of_the_disk() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    let Ok(models) = std::fs::read_dir(format!("{shared}/models")) else {
        println!("skipped: shared/models is not here");
        return;
    };
    let mut seen = 0;
    for path in models.map(|e| e.unwrap().path()) {
        let shown = path.to_str().unwrap();
        let file = if shown.ends_with(".gguf") {
            let (metadata, file) = block_on(gguf::read(&*open_files(shown).unwrap())).unwrap();
            assert_eq!(metadata.str("general.architecture"), Some("llama"));
            assert!(metadata.strings("tokenizer.ggml.tokens").is_some_and(|t| t.len() >= 512));
            file
        } else if path.join("model.safetensors").exists() {
            block_on(safetensors::read(&*open_files(shown).unwrap())).unwrap()
        } else {
            continue;
        };
        seen += 1;
        assert!(file.tensors.len() > 10);
        for t in &file.tensors {
            let data = block_on(file.read(t, 0, t.bytes)).unwrap();
            let values = lacewing::weights::unpack::unpack(t.dtype, &data).unwrap();
            assert!(values.iter().all(|v| v.is_finite() && v.abs() < 1e4), "{shown}: {}", t.name);
        }
    }
    assert!(seen >= 3);
}

#[test]
fn local_paths() {
    let folder = std::env::temp_dir().join(format!("lacewing-formats-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in parts() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("weights.bin"), b"x").unwrap();
    let shown = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let files = open_files(&shown("model-x-00002-of-00003.gguf")).unwrap();
    assert_eq!(files.main().as_deref(), Some("model-x-00002-of-00003.gguf"));
    assert_eq!(block_on(gguf::read(&*files)).unwrap().1.tensors.len(), 3);
    let files = open_files(folder.to_str().unwrap()).unwrap();
    assert_eq!(files.main(), None);
    assert!(block_on(files.open("config.json")).unwrap().is_none());
    assert_eq!(code(block_on(files.open("../config.json")).map(|_| ())), "bad-file");
    let source = block_on(files.open("weights.bin")).unwrap().unwrap();
    assert_eq!(block_on(source.read(0, 1)).unwrap(), b"x");
    for (offset, len) in [(0, 2), (1, 1), (2, 0), (u64::MAX, 2), (0, u64::MAX)] {
        assert_eq!(code(block_on(source.read(offset, len))), "bad-file");
    }
    assert_eq!(code(open_files(&shown("weights.bin")).map(|_| ())), "bad-request");
    assert_eq!(code(open_files(&shown("nothing.gguf")).map(|_| ())), "download-failed");
    std::fs::remove_dir_all(&folder).unwrap();
}
