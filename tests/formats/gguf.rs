//! GGUF: valid files of every kind, and every way of breaking them.

use super::expect;
use super::gguf_writer::{Tensor, Written, write, write_with};
use lacewing::Result;
use lacewing::formats::gguf::{self, Metadata, Value};
use lacewing::formats::source::MemoryFiles;
use lacewing::formats::{DType, TensorFile};
use pollster::block_on;

pub fn read(bytes: &[u8]) -> Result<(Metadata, TensorFile)> {
    block_on(gguf::read(&MemoryFiles::single("m.gguf", bytes)))
}

/// Metadata of every value kind.
pub fn metadata() -> Vec<(&'static str, Value)> {
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

pub fn tensors() -> Vec<Tensor> {
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
    for align in [1, 2, 4, 8, 24, 64, 4096] {
        let bytes = write(&[("general.alignment", Value::Int(align))], &tensors());
        let (_, file) = read(&bytes).unwrap();
        assert!(file.tensors.iter().all(|t| t.offset % align as u64 == 0));
        let last = file.get("k").unwrap();
        assert_eq!(block_on(file.read(last, 0, last.bytes)).unwrap(), vec![5; 210]);
    }
    for align in [0, 3, 12, 1 << 40, -32] {
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
pub fn broken(written: &Written, index: usize, bytes: &[u8]) -> Vec<u8> {
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
    let w = write_with(3, &[("key", Value::Ints(vec![1, 2]))], &[], None);
    expect(read(&broken(&w, 7, &13_u32.to_le_bytes())), "bad-file", "element type");
    let twice = [("key", Value::Int(1)), ("key", Value::Int(2))];
    expect(read(&write(&twice, &[])), "bad-file", "twice");
}

/// What nobody reads must not refuse a file; who reads it finds the value wrong, or no such key.
#[test]
fn gguf_metadata_that_nobody_reads() {
    let value = |entries: &[(&str, Value)], field: usize, bytes: &[u8]| {
        let w = write_with(3, entries, &tensors(), None);
        let (metadata, file) = read(&broken(&w, field, bytes)).unwrap();
        assert_eq!(file.get("norm").unwrap().bytes, 12);
        metadata
    };
    // Not UTF-8: a key, a text, a text cut within a character, a token; they take the place of what they break only.
    let text = [("key", Value::String("Andre".into())), ("next", Value::Int(7))];
    let found = value(&text, 5, b"k\xFFy");
    assert_eq!((found.str("key"), found.u32("next")), (None, Some(7)));
    assert_eq!(value(&text, 8, b"\xE9").str("key"), Some("\u{FFFD}ndre"));
    assert_eq!(value(&text, 8, b"\xE9ndr\xC3").str("key"), Some("\u{FFFD}ndr\u{FFFD}"));
    let broken_keys = value(&[("\u{FFFD}", Value::Int(1)), ("\u{FFFD}", Value::Int(2))], 1, &3_u32.to_le_bytes());
    assert_eq!(broken_keys.entries.len(), 2);
    let list = [("key", Value::Strings(vec!["ab".into(), "c\0".into()]))];
    let found = value(&list, 10, b"\xFF");
    assert_eq!(found.strings("key"), Some(&["\u{FFFD}b".to_string(), "c\0".into()][..]));
    // NULs that were counted: at the end of keys, texts and names of tensors, but not of tokens.
    let counted = [("general.architecture\0", Value::String("llama\0".into())), ("n\0", Value::Int(7))];
    let (found, file) = read(&write(&counted, &[Tensor::f32("w\0", &[1], &[1.0])])).unwrap();
    assert_eq!((found.str("general.architecture"), found.u32("n")), (Some("llama"), Some(7)));
    assert!(file.get("w").is_some());
    // Numbers that no list of integers holds.
    let numbers = [("key", Value::Ints(vec![1, i64::MIN])), ("next", Value::Int(7))];
    let found = value(&numbers, 7, &10_u32.to_le_bytes());
    assert_eq!((found.ints("key"), found.u32("next")), (None, Some(7)));
    assert!(matches!(found.get("key"), Some(Value::Skipped(_))));
}

/// An entry whose value is `array`, the bytes after the type of its elements, and one after it.
fn nested(array: &[u8]) -> Result<(Metadata, TensorFile)> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([0_u64, 2, 1].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(b"k\x09\0\0\0\x09\0\0\0");
    bytes.extend(array);
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(b"n\0\0\0\0\x07");
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    read(&bytes)
}

#[test]
fn gguf_arrays_of_arrays_are_passed() {
    let array = |kind: u32, n: u64| [&kind.to_le_bytes()[..], &n.to_le_bytes()].concat();
    let count = |n: u64| n.to_le_bytes().to_vec();
    for good in [
        [count(0)].concat(),
        [count(2), array(4, 1), vec![0; 4], array(8, 2), count(1), vec![b'x'], count(0)].concat(),
        [count(2), array(9, 2), array(0, 1), vec![1], array(7, 0), array(12, 1), vec![0; 8]].concat(),
    ] {
        let (found, _) = nested(&good).unwrap();
        assert_eq!((found.u32("n"), found.get("k")), (Some(7), Some(&Value::Skipped("a list of lists"))));
    }
    for bad in [
        count(u64::MAX),
        [count(1), array(4, u64::MAX)].concat(),
        [count(1), array(8, 1), count(u64::MAX)].concat(),
        [count(1), array(13, 1)].concat(),
        [count(1), array(9, 1).repeat(100)].concat(),
    ] {
        expect(nested(&bad), "bad-file", "m.gguf");
    }
}

/// One tensor of given shape and type with `bytes` bytes of data.
fn one_tensor(kind: u32, shape: &[u64], bytes: usize) -> Result<(Metadata, TensorFile)> {
    read(&write(&[], &[Tensor { name: "w".into(), kind, shape: shape.into(), data: vec![0; bytes] }]))
}

#[test]
fn gguf_tensors_that_make_no_sense() {
    one_tensor(0, &[2, 4], 32).unwrap();
    one_tensor(0, &[], 32).unwrap();
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
    for (kind, name) in [(9, "Q8_1"), (10, "Q2_K"), (16, "IQ2_XXS"), (26, "I32"), (39, "MXFP4"), (31, "Q4_0_4_4")] {
        expect(one_tensor(kind, &[2, 256], 4096), "unsupported-format", name);
    }
    for kind in [77, u32::MAX] {
        expect(one_tensor(kind, &[2, 256], 4096), "unsupported-format", "\"w\"");
    }
}

/// A model in three parts, as (name, bytes).
pub fn parts() -> Vec<(String, Vec<u8>)> {
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
