//! safetensors: single files and shards, valid and broken.

use super::expect;
use lacewing::Result;
use lacewing::formats::source::{MemoryFiles, is_plain_name};
use lacewing::formats::{DType, TensorFile, safetensors};
use pollster::block_on;

/// A safetensors file of a header and data.
pub fn st(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.extend((0..data).map(|i| i as u8));
    out
}

pub fn read_st(bytes: &[u8]) -> Result<TensorFile> {
    block_on(safetensors::read(&MemoryFiles::new().with("model.safetensors", bytes)))
}

pub const GOOD: &str = r#"{"__metadata__":{"format":"pt"},
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
        (entry("F32", "[0,4]", "[0,8]"), "bad-file", "\"w\""),
        (entry("F32", "[0,4]", "[0,0]"), "bad-file", "32 bytes of data"),
        (entry("F64", "[2,4]", "[0,32]"), "bad-file", "\"w\""),
        (entry("BOOL", "[2,4]", "[0,32]"), "bad-file", "\"w\""),
        (entry("F4", "[2,4]", "[0,32]"), "bad-file", "\"w\""),
        (entry("I64", "[2305843009213693952]", "[0,32]"), "bad-file", "\"w\""),
        (entry("F99", "[2,4]", "[32,0]"), "bad-file", "\"w\""),
        (entry("F32", "[4294967296,4294967296]", "[0,32]"), "bad-file", "\"w\""),
        (entry("F32", "[18446744073709551615]", "[0,18446744073709551615]"), "bad-file", "\"w\""),
        (entry("F32", "[2,-4]", "[0,32]"), "bad-file", "header"),
        (entry("F32", "[2,4]", "[0]"), "bad-file", "header"),
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
    let mixed = two("[0,16]", "[16,32]", ["a", "a"]).replacen("F32", "I32", 1);
    expect(read_st(&st(&mixed, 32)), "bad-file", "two tensors");
    for length in [0, 5, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7] {
        let mut bytes = st(GOOD, 30);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        expect(read_st(&bytes), "bad-file", "model.safetensors");
    }
}

/// What no weight can be is passed over, wherever it lies; who needs it refuses the model (`tests/cases.rs`).
#[test]
fn tensors_that_nothing_computes_with_are_kept_apart() {
    let header = r#"{"e":{"dtype":"F32","shape":[2,0],"data_offsets":[40,40]},
        "i":{"dtype":"I64","shape":[1],"data_offsets":[40,48]},"d":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},
        "w":{"dtype":"F32","shape":[4],"data_offsets":[16,32]},"z":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]},
        "q":{"dtype":"F4","shape":[4,4],"data_offsets":[32,40]},"n":{"dtype":"F3_NEW","shape":[9],"data_offsets":[48,50]}}"#;
    let file = read_st(&st(header, 50)).unwrap();
    assert_eq!(file.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["w"]);
    assert_eq!(block_on(file.read(&file.tensors[0], 0, 2)).unwrap(), [16, 17]);
    let unread: Vec<_> = file.unread.iter().map(|t| (t.name.as_str(), t.dtype.as_str(), &t.shape[..])).collect();
    let wanted: [(_, _, &[u64]); 6] = [
        ("e", "F32", &[2, 0]),
        ("i", "I64", &[1]),
        ("d", "F64", &[2]),
        ("z", "BF16", &[0]),
        ("q", "F4", &[4, 4]),
        ("n", "F3_NEW", &[9]),
    ];
    assert_eq!(unread, wanted);
    expect(read_st(&st(&header.replace("[40,48]", "[41,49]"), 50)), "bad-file", "\"i\"");
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
    // An index that has gone stale: the shards' own contents count.
    let swapped = index.replace("-1", "-3").replace("-2", "-1").replace("-3", "-2");
    let extra = index.replace(r#""a":"#, r#""c":"s-1.safetensors","a":"#);
    let other = index.replace(r#""a":"#, r#""z":"#);
    let bare = r#"{"weight_map":{"":"s-1.safetensors","b":"s-2.safetensors"}}"#.to_string();
    let marked = format!("\u{feff}{index}");
    for stale in [swapped, extra, other, bare, marked] {
        assert_eq!(read_index(&stale, &shards).unwrap().tensors, file.tensors, "{stale}");
    }
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
