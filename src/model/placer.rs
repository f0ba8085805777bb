//! Claims tensors and gives them buffers: the mechanics behind `load::place`.

use super::archs::Arch;
use super::spec::ModelSpec;
use super::tensors::{Dialect, Index, is_ignored};
use super::upload::{Target, Upload};
use crate::error::{Error, Result};
use crate::execute::{BufferUse, Executor};
use crate::formats::Weight;
use crate::kernels::{Bind, BufferId, Caps, Matrix, MatrixPart};
use crate::weights::Layout;
use std::collections::HashSet;

/// Where buffers come from.
pub(super) trait Buffers {
    /// As `Executor::create_buffer`.
    fn create(&mut self, label: &str, bytes: u64) -> Result<BufferId>;
    /// As `Executor::destroy_buffer`.
    fn destroy(&mut self, id: BufferId);
}

/// Buffers of a device.
pub(super) struct OnDevice<'e>(pub(super) &'e mut dyn Executor);

impl Buffers for OnDevice<'_> {
    fn create(&mut self, label: &str, bytes: u64) -> Result<BufferId> {
        self.0.create_buffer(label, bytes, BufferUse::Weights)
    }
    fn destroy(&mut self, id: BufferId) {
        self.0.destroy_buffer(id);
    }
}

/// Buffers on paper: counts them and their bytes.
#[derive(Default)]
pub(super) struct OnPaper {
    pub(super) count: u32,
    pub(super) bytes: u64,
}

impl Buffers for OnPaper {
    fn create(&mut self, _label: &str, bytes: u64) -> Result<BufferId> {
        self.count += 1;
        self.bytes += bytes;
        Ok(BufferId(self.count))
    }
    fn destroy(&mut self, _id: BufferId) {}
}

/// Rows of one weight.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) weight: &'a Weight,
    /// First row.
    pub(super) first: u32,
    pub(super) rows: u32,
    /// Rows of q or k in pairs (2i, 2i+1) within heads of this many rows.
    pub(super) permute: Option<u32>,
    /// Added to every element (vectors only): norms that multiply by 1 + w.
    pub(super) add: f32,
}

impl Rows<'_> {
    fn upload(&self, first: u32, rows: u32, target: Target) -> Upload {
        let (stored, tensors) = (self.weight.stored, self.weight.tensors.clone());
        Upload { stored, tensors, first, rows, permute: self.permute, add: self.add, target }
    }
}

pub(super) struct Placer<'a, 'e> {
    pub(super) index: Index<'a>,
    pub(super) arch: &'static Arch,
    pub(super) dialect: Dialect,
    pub(super) caps: Caps,
    pub(super) buffers: &'e mut dyn Buffers,
    pub(super) claimed: HashSet<usize>,
    pub(super) created: Vec<BufferId>,
    pub(super) uploads: Vec<Upload>,
    pub(super) no_meta: Option<Bind>,
}

impl<'a> Placer<'a, '_> {
    pub(super) fn claim(&mut self, name: &str, shape: &[u32]) -> Result<Rows<'a>> {
        let weight = self.index.need(name)?;
        if !weight.shape.iter().copied().eq(shape.iter().map(|n| u64::from(*n))) {
            return Err(Error::BadFile(format!(
                "{name} has shape {:?}, expected {shape:?}: metadata and weights do not belong together",
                weight.shape
            )));
        }
        self.claimed.extend(self.index.position(name));
        Ok(Rows { weight, first: 0, rows: shape[0], permute: None, add: 0.0 })
    }

    pub(super) fn all_claimed(&self, spec: &ModelSpec) -> Result<()> {
        let unused = self.index.weights.iter().enumerate();
        let unused = unused.filter(|(i, w)| !self.claimed.contains(i) && !is_ignored(w));
        let unused: Vec<&str> = unused.map(|(_, w)| w.name.as_str()).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let (shown, more) = (&unused[..unused.len().min(5)], unused.len().saturating_sub(5));
        Err(Error::MissingTensor(format!(
            "the architecture {} does not use {} of the model's tensors, so its output would be wrong: {}{}",
            spec.arch,
            unused.len(),
            shown.join(", "),
            if more > 0 { format!(" and {more} more") } else { String::new() }
        ))
        .with("tensors", unused))
    }

    /// Whether these rows have one layout and fit one binding together.
    pub(super) fn fits(&self, stack: &[Rows<'a>]) -> bool {
        let layout = layout(stack);
        stack.iter().all(|r| Layout::of(r.weight.stored) == layout)
            && stack.iter().map(|r| u64::from(r.rows)).sum::<u64>() <= u64::from(self.max_rows(layout, cols(stack)))
    }

    /// Rows of a matrix that one binding may hold.
    fn max_rows(&self, layout: Layout, cols: u32) -> u32 {
        let limit = self.caps.max_binding_bytes.min(self.caps.max_buffer_bytes) & !15;
        let codes = u64::from(layout.row_code_words(cols)) * 4;
        let meta = u64::from(layout.row_high_words(cols) + layout.scale_words(cols)) * 4;
        let rows = (limit / codes.max(1)).min(limit / meta.max(1));
        u32::try_from(rows).unwrap_or(u32::MAX)
    }

    pub(super) fn one_part(&mut self, label: &str, stack: &[Rows<'a>]) -> Result<Matrix> {
        if !self.fits(stack) {
            return Err(self.too_large(label, stack));
        }
        self.split_matrix(label, stack)
    }

    fn too_large(&self, label: &str, stack: &[Rows<'a>]) -> Error {
        let needed = layout(stack).bytes(stack.iter().map(|r| r.rows).sum(), cols(stack));
        let allowed = self.caps.max_binding_bytes.min(self.caps.max_buffer_bytes);
        Error::LimitExceeded(format!(
            "{label} needs a binding of {needed} bytes, but this device binds {allowed} at most: use a smaller or \
             quantised model"
        ))
        .with("tensor", label)
        .with("neededBytes", needed)
        .with("allowedBytes", allowed)
    }

    /// A matrix of all rows of `stack` (equal layouts), in as many parts as the limits ask for.
    pub(super) fn split_matrix(&mut self, label: &str, stack: &[Rows<'a>]) -> Result<Matrix> {
        let (layout, cols) = (layout(stack), cols(stack));
        let rows: u32 = stack.iter().map(|r| r.rows).sum();
        let mut step = self.max_rows(layout, cols).min(rows);
        if step == 0 {
            return Err(self.too_large(label, stack));
        }
        if step < rows && step > 64 {
            step &= !63;
        }
        let mut parts = Vec::new();
        for row_start in (0..rows).step_by(step as usize) {
            let n = step.min(rows - row_start);
            let codes = u64::from(n) * u64::from(layout.row_code_words(cols)) * 4;
            let meta = u64::from(n) * u64::from(layout.row_high_words(cols) + layout.scale_words(cols)) * 4;
            let codes = self.buffer(&format!("{label}.codes"), codes)?;
            let meta = match (meta, self.no_meta) {
                (0, Some(bind)) => bind,
                (0, None) => {
                    let bind = self.buffer("no_meta", 16)?;
                    *self.no_meta.insert(bind)
                }
                (n, _) => self.buffer(&format!("{label}.meta"), n)?,
            };
            parts.push(MatrixPart { row_start, rows: n, codes, meta });
        }
        let mut at = 0;
        for source in stack {
            for part in &parts {
                let start = at.max(part.row_start);
                let end = (at + source.rows).min(part.row_start + part.rows);
                if start < end {
                    assert!(source.add == 0.0, "{label}: only vectors take an addend");
                    let target = Target::Rows { layout, cols, part: *part, row: start - part.row_start };
                    self.uploads.push(source.upload(source.first + start - at, end - start, target));
                }
            }
            at += source.rows;
        }
        Ok(Matrix { layout, rows, cols, parts })
    }

    fn buffer(&mut self, label: &str, bytes: u64) -> Result<Bind> {
        let bytes = bytes.next_multiple_of(16);
        let buffer = self.buffers.create(label, bytes)?;
        self.created.push(buffer);
        Ok(Bind { buffer, offset: 0, bytes })
    }

    /// One buffer for all vectors of a layer; the binds in the order of `add`.
    pub(super) fn vectors(&mut self, label: &str, vectors: Vectors<'a>) -> Result<Vec<Bind>> {
        let all = self.buffer(label, vectors.bytes)?;
        for (source, offset) in vectors.sources {
            let bind = Bind { offset, bytes: u64::from(source.rows) * 4, ..all };
            self.uploads.push(source.upload(source.first, source.rows, Target::Vector(bind)));
        }
        Ok(vectors.binds.into_iter().map(|(offset, bytes)| Bind { offset, bytes, ..all }).collect())
    }
}

fn layout(stack: &[Rows<'_>]) -> Layout {
    stack.first().map_or(Layout::F32, |r| Layout::of(r.weight.stored))
}

fn cols(stack: &[Rows<'_>]) -> u32 {
    stack.first().map_or(0, |r| u32::try_from(r.weight.cols()).unwrap_or(u32::MAX))
}

/// Small f32 vectors that share a buffer, each at a multiple of 256 bytes.
#[derive(Default)]
pub(super) struct Vectors<'a> {
    bytes: u64,
    binds: Vec<(u64, u64)>,
    sources: Vec<(Rows<'a>, u64)>,
}

impl<'a> Vectors<'a> {
    pub(super) fn add(&mut self, source: Rows<'a>) -> usize {
        self.add_stacked(&[(source.rows, Some(source))]).unwrap_or_default()
    }

    /// Vectors one after another, zeros where there is none; None when all are absent.
    pub(super) fn add_stacked(&mut self, stack: &[(u32, Option<Rows<'a>>)]) -> Option<usize> {
        stack.iter().find(|(_, source)| source.is_some())?;
        let start = self.bytes.next_multiple_of(256);
        let mut offset = start;
        for (rows, source) in stack {
            self.sources.extend(source.map(|s| (s, offset)));
            offset += u64::from(*rows) * 4;
        }
        self.bytes = offset;
        self.binds.push((start, offset - start));
        Some(self.binds.len() - 1)
    }
}
