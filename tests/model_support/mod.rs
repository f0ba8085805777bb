//! Models in memory and an executor that only keeps bytes.
#![allow(dead_code)]

pub mod llama;

use lacewing::execute::{BufferUse, Counters, Executor, PlanId};
use lacewing::formats::source::{ByteSource, Files, LocalFuture};
use lacewing::formats::{DType, TensorFile, TensorInfo};
use lacewing::kernels::{Bind, BufferId, Caps, Matrix, Step};
use lacewing::weights::decode;
use lacewing::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// The folder beside the checkout with other people's files.
pub fn shared(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path)
}

/// Files of `shared/...` or, for some goldens, of the repository; None and a line that says so.
pub fn folder(path: &str) -> Option<PathBuf> {
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path);
    let found = [shared(path), ours].into_iter().find(|p| p.exists());
    if found.is_none() {
        println!("skipped: shared/{path} is not here");
    }
    found
}

/// A file in memory that logs its reads.
pub struct Memory {
    pub data: Vec<u8>,
    pub reads: RefCell<Vec<(u64, u64)>>,
    /// Reads beyond this many fail.
    pub fail_after: Cell<usize>,
}

impl Memory {
    pub fn new(data: Vec<u8>) -> Memory {
        Memory { data, reads: RefCell::default(), fail_after: Cell::new(usize::MAX) }
    }
}

impl ByteSource for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn len(&self) -> u64 {
        self.data.len() as u64
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        self.reads.borrow_mut().push((offset, len));
        let failed = self.reads.borrow().len() > self.fail_after.get();
        Box::pin(async move {
            if failed {
                return Err(Error::DownloadFailed("the connection was cut".into()));
            }
            let range = offset as usize..(offset + len) as usize;
            self.data.get(range).map(<[u8]>::to_vec).ok_or_else(|| Error::BadFile("outside of the file".into()))
        })
    }
}

/// Named files in memory, or those of a folder.
#[derive(Default)]
pub struct Folder {
    pub main: Option<String>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// All files of a directory.
    pub fn directory(path: &std::path::Path) -> Folder {
        let entries = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file());
        let files = entries.map(|p| (p.file_name().unwrap().to_str().unwrap().to_string(), std::fs::read(&p).unwrap()));
        Folder { main: None, files: files.collect() }
    }
    /// One file.
    pub fn file(path: &std::path::Path) -> Folder {
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        Folder { main: Some(name.clone()), files: [(name, std::fs::read(path).unwrap())].into() }
    }
    pub fn with(mut self, name: &str, data: &[u8]) -> Folder {
        self.files.insert(name.into(), data.to_vec());
        self
    }
}

impl Files for Folder {
    fn main(&self) -> Option<String> {
        self.main.clone()
    }
    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        let file = self.files.get(name).map(|data| Rc::new(Memory::new(data.clone())) as Rc<dyn ByteSource>);
        Box::pin(std::future::ready(Ok(file)))
    }
}

/// xorshift64*
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
    pub fn unit(&mut self) -> f32 {
        self.next() as f32 / u32::MAX as f32 * 2.0 - 1.0
    }
}

/// Random, finite bytes of `elems` elements.
pub fn random_bytes(dtype: DType, elems: u64, random: &mut Random) -> Vec<u8> {
    let bytes = elems / dtype.block_elems() * dtype.block_bytes();
    match dtype {
        DType::F32 => (0..elems).flat_map(|_| random.unit().to_le_bytes()).collect(),
        DType::F16 => (0..elems).flat_map(|_| half::f16::from_f32(random.unit()).to_le_bytes()).collect(),
        DType::BF16 => (0..elems).flat_map(|_| half::bf16::from_f32(random.unit()).to_le_bytes()).collect(),
        _ => {
            let mut data: Vec<u8> = (0..bytes).map(|_| random.next() as u8).collect();
            let scales: &[usize] = match dtype {
                DType::Q6_K => &[208],
                DType::Q4_1 | DType::Q5_1 | DType::Q4_K | DType::Q5_K => &[0, 2],
                _ => &[0],
            };
            for block in data.chunks_exact_mut(dtype.block_bytes() as usize) {
                for at in scales {
                    block[*at..at + 2].copy_from_slice(&half::f16::from_f32(random.unit()).to_le_bytes());
                }
            }
            data
        }
    }
}

/// A tensor file being put together.
pub struct Builder {
    pub random: Random,
    data: Vec<u8>,
    tensors: Vec<TensorInfo>,
    /// Row-major f32 values by name, as another decoder sees them.
    pub values: BTreeMap<String, Vec<f32>>,
}

impl Builder {
    pub fn new(seed: u64) -> Builder {
        Builder { random: Random(seed), data: vec![0; 40], tensors: Vec::new(), values: BTreeMap::new() }
    }
    /// Adds a random tensor.
    pub fn add(&mut self, name: &str, dtype: DType, shape: &[u64]) -> &mut Builder {
        let data = random_bytes(dtype, shape.iter().product(), &mut self.random);
        self.values.insert(name.into(), lacewing::weights::unpack::unpack(dtype, &data).unwrap());
        self.raw(name, dtype, shape, data)
    }
    /// Adds a random tensor whose rows are stored as the GGUF converter does q and k: `reshape(heads, 2, D/2, cols)
    /// .swapaxes(1, 2)`. `values` keeps the order before that.
    pub fn add_permuted(&mut self, name: &str, dtype: DType, shape: &[u64], head_dim: usize) -> &mut Builder {
        let data = random_bytes(dtype, shape.iter().product(), &mut self.random);
        self.values.insert(name.into(), lacewing::weights::unpack::unpack(dtype, &data).unwrap());
        let row = data.len() / shape[0] as usize;
        let stored = permute_rows(&data, row, head_dim);
        self.raw(name, dtype, shape, stored)
    }
    pub fn raw(&mut self, name: &str, dtype: DType, shape: &[u64], data: Vec<u8>) -> &mut Builder {
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        let (offset, bytes) = (self.data.len() as u64, data.len() as u64);
        self.data.extend(data);
        self.tensors.push(TensorInfo { name: name.into(), dtype, shape: shape.to_vec(), source: 0, offset, bytes });
        self
    }
    pub fn remove(&mut self, name: &str) -> &mut Builder {
        self.tensors.retain(|t| t.name != name);
        self
    }
    pub fn file(&self) -> (TensorFile, Rc<Memory>) {
        let memory = Rc::new(Memory::new(self.data.clone()));
        (TensorFile { sources: vec![memory.clone()], tensors: self.tensors.clone(), ..TensorFile::default() }, memory)
    }
    pub fn joined(&self, names: &[&str]) -> Vec<f32> {
        names.iter().flat_map(|n| self.values.get(*n).unwrap_or_else(|| panic!("no {n}")).clone()).collect()
    }
}

/// Rows of heads as `[head_dim/2, 2]` instead of `[2, head_dim/2]`.
pub fn permute_rows(data: &[u8], row: usize, head_dim: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for head in data.chunks_exact(row * head_dim) {
        for i in 0..head_dim / 2 {
            for s in 0..2 {
                out.extend(&head[(s * head_dim / 2 + i) * row..][..row]);
            }
        }
    }
    out
}

/// Keeps bytes, runs nothing.
pub struct Recorder {
    pub caps: Caps,
    pub buffers: BTreeMap<u32, Vec<u8>>,
    pub created: u32,
    pub flushes: u32,
}

impl Recorder {
    pub fn new(caps: Caps) -> Recorder {
        Recorder { caps, buffers: BTreeMap::new(), created: 0, flushes: 0 }
    }
    pub fn words(&self, bind: Bind) -> Vec<u32> {
        assert_eq!(bind.offset % 256, 0);
        let data = &self.buffers[&bind.buffer.0][bind.offset as usize..(bind.offset + bind.bytes) as usize];
        data.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
    }
    pub fn floats(&self, bind: Bind) -> Vec<f32> {
        self.words(bind).into_iter().map(f32::from_bits).collect()
    }
    /// The matrix decoded from its words on the device.
    pub fn matrix(&self, m: &Matrix) -> Vec<f32> {
        let mut out = Vec::new();
        let mut at = 0;
        for part in &m.parts {
            assert_eq!(part.row_start, at);
            at += part.rows;
            let (codes, meta) = (self.words(part.codes), self.words(part.meta));
            assert_eq!(codes.len() as u32, part.rows * m.layout.row_code_words(m.cols));
            for r in 0..part.rows {
                let row = decode::row(m.layout, &codes, &meta, part.rows, m.cols, r);
                out.extend(row.iter().map(|v| *v as f32));
            }
        }
        assert_eq!(at, m.rows);
        out
    }
    pub fn bytes(&self) -> u64 {
        self.buffers.values().map(|b| b.len() as u64).sum()
    }
}

fn no<T>() -> Result<T> {
    Err(Error::BadRequest("this executor only keeps bytes".into()))
}

impl Executor for Recorder {
    fn adapter(&self) -> String {
        "recorder".into()
    }
    fn caps(&self) -> Caps {
        self.caps
    }
    fn create_buffer(&mut self, label: &str, bytes: u64, usage: BufferUse) -> Result<BufferId> {
        assert_eq!(usage, BufferUse::Weights);
        let bytes = bytes.next_multiple_of(16);
        if bytes > self.caps.max_buffer_bytes {
            return Err(Error::LimitExceeded(format!("{label}: {bytes} bytes")));
        }
        self.created += 1;
        self.buffers.insert(self.created, vec![0; bytes as usize]);
        Ok(BufferId(self.created))
    }
    fn destroy_buffer(&mut self, id: BufferId) {
        assert!(self.buffers.remove(&id.0).is_some(), "destroyed twice");
    }
    fn write(&mut self, id: BufferId, offset: u64, data: &[u8]) -> Result<()> {
        assert!(offset.is_multiple_of(4) && data.len().is_multiple_of(4));
        self.buffers.get_mut(&id.0).unwrap()[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        Ok(())
    }
    fn copy(&mut self, _: BufferId, _: u64, _: BufferId, _: u64, _: u64) -> Result<()> {
        no()
    }
    fn flush(&mut self) -> LocalFuture<'static, Result<()>> {
        self.flushes += 1;
        Box::pin(std::future::ready(Ok(())))
    }
    fn read(&mut self, _: BufferId, _: u64, _: u64) -> LocalFuture<'static, Result<Vec<u8>>> {
        Box::pin(std::future::ready(no()))
    }
    fn compile(&mut self, _: &[Step]) -> Result<PlanId> {
        no()
    }
    fn warm_up(&mut self, _: &[Step]) -> Result<()> {
        no()
    }
    fn drop_plan(&mut self, _: PlanId) {}
    fn run(&mut self, _: PlanId) -> Result<()> {
        no()
    }
    fn run_and_read_word(&mut self, _: PlanId, _: BufferId, _: u64) -> Result<LocalFuture<'static, Result<u32>>> {
        no()
    }
    fn run_step(&mut self, _: PlanId, _: usize) -> Result<()> {
        no()
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
}
