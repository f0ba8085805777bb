//! Files that nobody planned: random mutations, and sizes that would fit a file of terabytes.

use super::expect;
use super::gguf::{broken, metadata, read, tensors};
use super::gguf_writer::{write, write_with};
use super::mutate::mutate;
use super::safetensors::{GOOD, read_st, st};
use lacewing::formats::gguf::{self, Value};
use lacewing::formats::source::{ByteSource, Files, LocalFuture};
use lacewing::formats::{TensorFile, safetensors};
use lacewing::weights::random::Random;
use lacewing::{Error, Result};
use pollster::block_on;
use std::rc::Rc;

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
        Err(e) => match e.kind() {
            Error::BadFile(_) | Error::UnsupportedFormat(_) | Error::DownloadFailed(_) => false,
            _ => panic!("unexpected error {e:?}"),
        },
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
    for (written, field) in [(&string, 7), (&ints, 8), (&strings, 8), (&strings, 9)] {
        let bytes = broken(written, field, &(1_u64 << 38).to_le_bytes());
        expect(block_on(gguf::read(&Endless(bytes))), "bad-file", "MiB");
    }
    let key = broken(&string, 4, &(1_u64 << 38).to_le_bytes());
    expect(block_on(gguf::read(&Endless(key))), "bad-file", "at most 65535");
    let entries = broken(&string, 3, &(1_u64 << 38).to_le_bytes());
    expect(block_on(gguf::read(&Endless(entries))), "bad-file", "twice");
    let header = (1_u64 << 38).to_le_bytes().to_vec();
    expect(block_on(safetensors::read(&Endless(header))), "bad-file", "announces");
}
