//! GGUF v2/v3, single and split files (spec: ggml/docs/gguf.md).

use super::gguf_header::{self, Header};
use super::memory::{Memory, check_table};
use super::source::{ByteSource, Files};
use super::{TensorFile, TensorInfo};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::rc::Rc;

/// A metadata value. Integers of any width are one kind: files in the wild use several types for the same key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// U8..U64, I8..I64
    Int(i128),
    /// F32, F64
    Float(f64),
    /// BOOL
    Bool(bool),
    /// STRING
    String(String),
    /// ARRAY of any integer type
    Ints(Vec<i64>),
    /// ARRAY of F32 or F64
    Floats(Vec<f32>),
    /// ARRAY of BOOL
    Bools(Vec<bool>),
    /// ARRAY of STRING
    Strings(Vec<String>),
    /// What no key that is read may hold: an array of arrays, or of integers beyond 2^63. It is skipped, and says so.
    Skipped(&'static str),
}

/// Metadata of a GGUF file, in file order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Key, value.
    pub entries: Vec<(String, Value)>,
}

impl Metadata {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
    /// A string value.
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::String(s) => Some(s),
            _ => None,
        }
    }
    /// An integer value of any width that fits u32.
    pub fn u32(&self, key: &str) -> Option<u32> {
        match self.get(key)? {
            Value::Int(i) => u32::try_from(*i).ok(),
            _ => None,
        }
    }
    /// A float (or integer) value.
    pub fn f64(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Value::Float(f) => Some(*f),
            Value::Int(i) => Some(*i as f64),
            _ => None,
        }
    }
    /// A bool value, or an integer 0 or 1, as some writers have it.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(b) => Some(*b),
            Value::Int(i @ 0..=1) => Some(*i == 1),
            _ => None,
        }
    }
    /// An array of strings.
    pub fn strings(&self, key: &str) -> Option<&[String]> {
        match self.get(key)? {
            Value::Strings(s) => Some(s),
            _ => None,
        }
    }
    /// An array of integers.
    pub fn ints(&self, key: &str) -> Option<&[i64]> {
        match self.get(key)? {
            Value::Ints(i) => Some(i),
            _ => None,
        }
    }
    /// An array of floats.
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.get(key)? {
            Value::Floats(f) => Some(f),
            _ => None,
        }
    }
}

/// Reads the header of the GGUF that `files` names, and of its other parts when it is a split file; no tensor data.
///
/// Any part of a split file may be named. Errors: `bad-file` for a file that breaks the format, `unsupported-format`
/// for versions and tensor types that are not supported, `download-failed` for a missing part.
pub async fn read(files: &dyn Files) -> Result<(Metadata, TensorFile)> {
    let main = files.main().ok_or_else(|| {
        Error::BadRequest("a GGUF model is named by its .gguf file, not by a directory; name the file".into())
    })?;
    let source = open(files, &main).await?;
    let mut memory = Memory::default();
    let header = gguf_header::read(&*source, &mut memory).await?;
    let count = integer(&header.metadata, "split.count", &main)?.unwrap_or(1);
    if count <= 1 {
        let mut file = TensorFile::default();
        let metadata = add(&mut file, source, header)?;
        check_table(&mut file, &main)?;
        check_names(&file, &main)?;
        return Ok((metadata, file));
    }
    read_parts(files, main, (source, header), count, &mut memory).await
}

/// Reads all `count` parts in order; the metadata is that of the first.
async fn read_parts(
    files: &dyn Files,
    main: String,
    given: (Rc<dyn ByteSource>, Header),
    count: u64,
    memory: &mut Memory,
) -> Result<(Metadata, TensorFile)> {
    let (prefix, suffix) = part_name(&main, count).ok_or_else(|| {
        Error::BadFile(format!(
            "{main} is one of {count} parts, but is not named NAME-00001-of-{count:05}.gguf, so the other parts cannot \
             be found; give the parts their original names, or make links with these names"
        ))
    })?;
    let mut given = Some(given);
    let mut metadata = Metadata::default();
    let mut file = TensorFile::default();
    for part in 0..count {
        let name = format!("{prefix}{:05}{suffix}", part + 1);
        let (source, header) = match given.take_if(|_| name == main) {
            Some(given) => given,
            None => {
                let source = open(files, &name).await?;
                let header = gguf_header::read(&*source, memory).await?;
                (source, header)
            }
        };
        let no = integer(&header.metadata, "split.no", &name)?;
        let of = integer(&header.metadata, "split.count", &name)?;
        if no != Some(part) || of != Some(count) {
            return Err(Error::BadFile(format!(
                "{name} says that it is part {no:?} (counted from 0) of {of:?} instead of part {part} of {count}: parts \
                 of different files are mixed or renamed"
            )));
        }
        let bytes = header.metadata_bytes;
        let one = add(&mut file, source, header)?;
        if part == 0 {
            metadata = one;
        } else {
            memory.give(bytes);
        }
    }
    if let Some(total) = integer(&metadata, "split.tensors.count", &main)?
        && total != file.tensors.len() as u64
    {
        return Err(Error::BadFile(format!(
            "the {count} parts of {main} hold {} tensors instead of {total}: parts of different files are mixed",
            file.tensors.len()
        )));
    }
    check_table(&mut file, &main)?;
    check_names(&file, &main)?;
    Ok((metadata, file))
}

async fn open(files: &dyn Files, name: &str) -> Result<Rc<dyn ByteSource>> {
    files.need(name, "but all parts of a model have to be in one place").await
}

/// A non-negative integer of any width; None when the key is absent.
pub(super) fn integer(metadata: &Metadata, key: &str, file: &str) -> Result<Option<u64>> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::Int(i)) if u64::try_from(*i).is_ok() => Ok(Some(*i as u64)),
        Some(_) => Err(Error::BadFile(format!("{file}: {key} has to be a non-negative integer"))),
    }
}

/// The name of a part, before and after its number, when it fits the number of parts.
fn part_name(name: &str, count: u64) -> Option<(&str, &str)> {
    let (rest, last) = name.rsplit_once("-of-")?;
    let (digits, extension) = last.split_at_checked(5)?;
    let (_, number) = rest.rsplit_once('-')?;
    let is_number = |s: &str| s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit());
    let fits = is_number(number) && is_number(digits) && digits.parse() == Ok(count);
    (fits && (extension.is_empty() || extension.starts_with('.')))
        .then(|| (&rest[..rest.len() - 5], &name[rest.len()..]))
}

/// Places the tensors of one file; returns its metadata.
fn add(file: &mut TensorFile, source: Rc<dyn ByteSource>, header: Header) -> Result<Metadata> {
    let (name, total) = (source.name().to_string(), source.len());
    let align = match integer(&header.metadata, "general.alignment", &name)? {
        None => 32,
        // The format asks for multiples of 8; llama.cpp reads 1, 2 and 4, too.
        Some(a) if a > 0 && (a % 8 == 0 || a.is_power_of_two()) && a <= u64::from(u32::MAX) => a,
        Some(a) => {
            return Err(Error::BadFile(format!(
                "{name}: general.alignment is {a} instead of a power of 2 or a multiple of 8; convert the model again"
            )));
        }
    };
    let start = header.end.next_multiple_of(align);
    let index = file.sources.len();
    let mut ranges = Vec::with_capacity(header.tensors.len());
    file.tensors.reserve(header.tensors.len());
    for t in header.tensors {
        let at = |what: String| Error::BadFile(format!("{name}: tensor {:?} {what}", t.name));
        let block = t.dtype.block_elems();
        let cols = t.shape.last().copied().unwrap_or(1);
        if cols % block != 0 {
            let dtype = t.dtype.name();
            return Err(at(format!("has rows of {cols} elements, which are not whole {dtype} blocks of {block}")));
        }
        let elements = t.shape.iter().try_fold(1_u64, |n, d| n.checked_mul(*d));
        let bytes = elements.and_then(|n| (n / block).checked_mul(t.dtype.block_bytes()));
        let offset = start.checked_add(t.offset);
        let end = offset.zip(bytes).and_then(|(o, b)| o.checked_add(b));
        let (Some(offset), Some(bytes), Some(end)) = (offset, bytes, end) else {
            return Err(at(format!("of shape {:?} is larger than any file", t.shape)));
        };
        if t.offset % align != 0 {
            return Err(at(format!("is at offset {}, which is not a multiple of {align}", t.offset)));
        }
        if end > total {
            return Err(at(format!("ends at byte {end}, but the file at byte {total}: the file is cut; get it again")));
        }
        ranges.push((offset, end, file.tensors.len()));
        file.tensors.push(TensorInfo { name: t.name, dtype: t.dtype, shape: t.shape, source: index, offset, bytes });
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if pair[1].0 < pair[0].1 {
            let (a, b) = (&file.tensors[pair[0].2].name, &file.tensors[pair[1].2].name);
            return Err(Error::BadFile(format!("{name}: tensors {a:?} and {b:?} overlap")));
        }
    }
    file.sources.push(source);
    Ok(header.metadata)
}

/// `bad-file` when two tensors have one name.
pub(super) fn check_names(table: &TensorFile, file: &str) -> Result<()> {
    let mut seen = HashSet::with_capacity(table.tensors.len() + table.unread.len());
    let mut names = table.tensors.iter().map(|t| t.name.as_str()).chain(table.unread.iter().map(|t| t.name.as_str()));
    match names.find(|name| !seen.insert(*name)) {
        Some(name) => Err(Error::BadFile(format!("{file}: two tensors are called {name:?}"))),
        None => Ok(()),
    }
}
