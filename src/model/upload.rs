//! Streams tensors from their file to the buffers that `load::place` made: in file order, in slices of whole rows, so
//! that the heap holds two slices of input and one of output at most.

use crate::error::{Error, Result};
use crate::execute::Executor;
use crate::formats::source::LocalFuture;
use crate::formats::{Role, Stored, TensorFile, TensorInfo};
use crate::kernels::{Bind, BufferId, MatrixPart};
use crate::weights::{Layout, transcode};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::task::Poll;

/// Most bytes of a slice, in the file and on the device. A single head or row that is larger goes alone.
pub const SLICE: u64 = 16 << 20;
/// Gap between two tensors (alignment) that is read along rather than costing a request.
const GAP: u64 = 64 << 10;
/// Bytes written between two waits for the queue.
const FLUSH: u64 = 64 << 20;

/// Where uploaded rows go.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// f32 values from the bind's start.
    Vector(Bind),
    /// Rows of a matrix.
    Rows {
        /// Of the matrix.
        layout: Layout,
        /// Of the matrix.
        cols: u32,
        /// The part they belong to.
        part: MatrixPart,
        /// First row within that part.
        row: u32,
    },
}

/// Consecutive rows of one weight (elements, for a vector) and where they go.
#[derive(Debug, Clone)]
pub struct Upload {
    /// How the file stores them.
    pub stored: Stored,
    /// The tensors that hold them, as in `Weight::tensors`.
    pub tensors: Vec<(Role, usize)>,
    /// First row.
    pub first: u32,
    /// Rows.
    pub rows: u32,
    /// Rows come in rotary pairs (2i, 2i+1) within heads of this many rows, and go to (i, i + half).
    pub permute: Option<u32>,
    /// Added to every element of a vector (norms that multiply by 1 + w), in f32.
    pub add: f32,
    /// Destination.
    pub target: Target,
}

/// Bytes that [`upload`] reads, without gaps: the total of its progress.
pub fn read_bytes(tensors: &TensorFile, uploads: &[Upload]) -> u64 {
    uploads.iter().flat_map(|u| spans(tensors, u)).map(|s| s.bytes).sum()
}

/// A stretch of a source.
#[derive(Clone, Copy)]
struct Span {
    source: usize,
    offset: u64,
    bytes: u64,
}

impl Span {
    fn end(&self) -> u64 {
        self.offset + self.bytes
    }
}

/// Where an upload's bytes lie, one span per tensor. A vector is taken whole, it may be one row of blocks.
fn spans(tensors: &TensorFile, u: &Upload) -> Vec<Span> {
    let infos = u.tensors.iter().map(|(_, i)| &tensors.tensors[*i]);
    let span = |t: &TensorInfo| {
        let (start, bytes) = match u.target {
            Target::Vector(_) => (0, t.bytes),
            Target::Rows { .. } => (u64::from(u.first) * t.row_bytes(), u64::from(u.rows) * t.row_bytes()),
        };
        Span { source: t.source, offset: t.offset + start, bytes }
    };
    infos.map(span).collect()
}

/// A slice of an upload, one span per tensor.
struct Piece {
    upload: Upload,
    spans: Vec<Span>,
}

/// Neighbouring pieces, and one read for each of their spans.
struct Batch {
    reads: Vec<Span>,
    pieces: Vec<Piece>,
}

/// Streams everything. `progress(read, written)` gets bytes so far (of tensors read, of buffers written); a `cancel`
/// that is set ends the upload with `aborted`. When it ends with any error, all buffers that `uploads` names are
/// destroyed: plans that use them must not run again.
pub async fn upload(
    tensors: &TensorFile,
    uploads: Vec<Upload>,
    executor: &mut dyn Executor,
    progress: &mut dyn FnMut(u64, u64),
    cancel: &Cell<bool>,
) -> Result<()> {
    let result = stream(tensors, &uploads, executor, progress, cancel).await;
    if result.is_err() {
        let buffers = uploads.iter().flat_map(|u| match u.target {
            Target::Vector(bind) => [bind.buffer, bind.buffer],
            Target::Rows { part, .. } => [part.codes.buffer, part.meta.buffer],
        });
        for id in buffers.collect::<BTreeSet<BufferId>>() {
            executor.destroy_buffer(id);
        }
    }
    result
}

async fn stream(
    tensors: &TensorFile,
    uploads: &[Upload],
    executor: &mut dyn Executor,
    progress: &mut dyn FnMut(u64, u64),
    cancel: &Cell<bool>,
) -> Result<()> {
    let aborted = || if cancel.get() { Err(Error::Aborted("loading was cancelled".into())) } else { Ok(()) };
    let (mut read, mut written, mut flushed) = (0, 0, 0);
    let mut batches = batches(tensors, uploads).into_iter();
    aborted()?;
    let mut next = batches.next().map(|batch| (read_all(tensors, &batch.reads), batch));
    while let Some((bytes, batch)) = next {
        let bytes = bytes.await?;
        aborted()?;
        // The next read starts now and runs while this slice is transcoded.
        next = match batches.next() {
            Some(batch) => Some((started(read_all(tensors, &batch.reads)).await, batch)),
            None => None,
        };
        for piece in &batch.pieces {
            let mut data = Vec::with_capacity(bytes.len());
            for ((bytes, read), span) in bytes.iter().zip(&batch.reads).zip(&piece.spans) {
                data.push(&bytes[(span.offset - read.offset) as usize..][..span.bytes as usize]);
            }
            written += write(&piece.upload, &data, executor)?;
            read += piece.spans.iter().map(|s| s.bytes).sum::<u64>();
        }
        drop(bytes);
        progress(read, written);
        if written - flushed >= FLUSH {
            executor.flush().await?;
            flushed = written;
            aborted()?;
        }
    }
    executor.flush().await?;
    aborted()
}

/// The bytes of every span.
fn read_all<'a>(tensors: &'a TensorFile, spans: &[Span]) -> LocalFuture<'a, Result<Vec<Vec<u8>>>> {
    let spans = spans.to_vec();
    Box::pin(async move {
        let mut out = Vec::with_capacity(spans.len());
        for span in spans {
            let source = &tensors.sources[span.source];
            let bytes = source.read(span.offset, span.bytes).await?;
            if bytes.len() as u64 != span.bytes {
                return Err(Error::DownloadFailed(format!(
                    "{} gave {} bytes of {} asked for at offset {}: try again",
                    source.name(),
                    bytes.len(),
                    span.bytes,
                    span.offset
                )));
            }
            out.push(bytes);
        }
        Ok(out)
    })
}

/// Polls a future once, so that it gets to work, and gives it back.
async fn started<'a, T: 'a>(mut future: LocalFuture<'a, T>) -> LocalFuture<'a, T> {
    let mut ready = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            ready = Some(value);
        }
        Poll::Ready(())
    })
    .await;
    match ready {
        Some(value) => Box::pin(std::future::ready(value)),
        None => future,
    }
}

/// Cuts uploads into slices of whole rows (whole heads, where rows are permuted), in file order, and joins neighbours
/// into one read.
fn batches(tensors: &TensorFile, uploads: &[Upload]) -> Vec<Batch> {
    let mut pieces: Vec<Piece> = Vec::new();
    for upload in uploads {
        let mut push = |upload: Upload| pieces.push(Piece { spans: spans(tensors, &upload), upload });
        match upload.target {
            Target::Vector(_) => push(upload.clone()),
            Target::Rows { layout, cols, part, row } => {
                let grain = u64::from(upload.permute.unwrap_or(1));
                let in_file: u64 = upload.tensors.iter().map(|(_, i)| tensors.tensors[*i].row_bytes()).sum();
                let step = (SLICE / (in_file.max(layout.bytes(1, cols)).max(1) * grain)).max(1) * grain;
                for start in (0..upload.rows).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
                    push(Upload {
                        first: upload.first + start,
                        rows: (upload.rows - start).min(u32::try_from(step).unwrap_or(u32::MAX)),
                        target: Target::Rows { layout, cols, part, row: row + start },
                        ..upload.clone()
                    });
                }
            }
        }
    }
    pieces.sort_by_key(|p| p.spans.first().map(|s| (s.source, s.offset)));
    let mut out: Vec<Batch> = Vec::new();
    for piece in pieces {
        let joined = out.last().and_then(|batch| joined(&batch.reads, &piece.spans));
        match (out.last_mut(), joined) {
            (Some(batch), Some(reads)) => {
                batch.reads = reads;
                batch.pieces.push(piece);
            }
            _ => out.push(Batch { reads: piece.spans.clone(), pieces: vec![piece] }),
        }
    }
    out
}

/// The reads made longer so that they hold these spans, too, when each span lies near the end of its read and the bytes
/// of all are not more than a slice.
fn joined(reads: &[Span], spans: &[Span]) -> Option<Vec<Span>> {
    let join = |(read, span): (&Span, &Span)| {
        let near = read.source == span.source && (read.offset..=read.end() + GAP).contains(&span.offset);
        near.then(|| Span { bytes: span.end().max(read.end()) - read.offset, ..*read })
    };
    let reads = if reads.len() == spans.len() { reads.iter().zip(spans).map(join).collect() } else { None };
    reads.filter(|reads: &Vec<Span>| reads.iter().map(|r| r.bytes).sum::<u64>() <= SLICE)
}

/// Transcodes and writes one piece, given its bytes in each tensor; returns the bytes written.
fn write(upload: &Upload, data: &[&[u8]], executor: &mut dyn Executor) -> Result<u64> {
    match upload.target {
        Target::Vector(bind) => {
            let all = transcode::to_f32(upload.stored, data)?;
            let wanted = upload.first as usize..upload.first as usize + upload.rows as usize;
            let values = all.get(wanted).ok_or_else(|| {
                Error::BadFile(format!("a vector has {} values, expected {} or more", all.len(), upload.rows))
            })?;
            let mut bytes: Vec<u8> = values.iter().flat_map(|v| (v + upload.add).to_le_bytes()).collect();
            if let Some(head) = upload.permute {
                bytes = unpermuted(&bytes, 4, head as usize);
            }
            executor.write(bind.buffer, bind.offset, &bytes)?;
            Ok(bytes.len() as u64)
        }
        Target::Rows { layout, cols, part, row } => {
            let rows = match upload.permute {
                Some(head) => {
                    let sorted = data.iter().map(|d| unpermuted(d, d.len() / upload.rows as usize, head as usize));
                    let sorted: Vec<Vec<u8>> = sorted.collect();
                    transcode::rows(upload.stored, cols, &sorted.iter().map(Vec::as_slice).collect::<Vec<_>>())?
                }
                None => transcode::rows(upload.stored, cols, data)?,
            };
            // meta = [high plane of all rows of the part][scales of all rows of the part]
            let high_row = u64::from(layout.row_high_words(cols)) * 4;
            let scale_row = u64::from(layout.scale_words(cols)) * 4;
            let code_row = u64::from(layout.row_code_words(cols)) * 4;
            let (row, meta) = (u64::from(row), part.meta);
            let mut written = 0;
            for (bind, offset, words) in [
                (part.codes, row * code_row, &rows.codes),
                (meta, row * high_row, &rows.high),
                (meta, u64::from(part.rows) * high_row + row * scale_row, &rows.scales),
            ] {
                if !words.is_empty() {
                    let bytes: &[u8] = bytemuck::cast_slice(words);
                    executor.write(bind.buffer, bind.offset + offset, bytes)?;
                    written += bytes.len() as u64;
                }
            }
            Ok(written)
        }
    }
}

/// The rows of whole heads in the order of the reference code: hf[s*half + i] = gguf[2*i + s].
fn unpermuted(data: &[u8], row_bytes: usize, head: usize) -> Vec<u8> {
    let half = head / 2;
    let mut sorted = vec![0; data.len()];
    for (from, to) in data.chunks_exact(row_bytes * head).zip(sorted.chunks_exact_mut(row_bytes * head)) {
        for (i, row) in from.chunks_exact(row_bytes).enumerate() {
            let at = (i % 2) * half + i / 2;
            to[at * row_bytes..(at + 1) * row_bytes].copy_from_slice(row);
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::DType;

    /// A weight of packed words and scales in two tensors of one file, cut into slices.
    #[test]
    fn slices_of_several_tensors_hold_the_same_rows_of_each() {
        let tensor = |name: &str, dtype, cols: u64, offset| TensorInfo {
            name: name.into(),
            dtype,
            shape: vec![100_000, cols],
            source: 0,
            offset,
            bytes: 100_000 * cols * 4,
        };
        let tensors = [tensor("codes", DType::F32, 96, 1000), tensor("scales", DType::F32, 8, 90_000_000)];
        let file = TensorFile { tensors: tensors.to_vec(), ..TensorFile::default() };
        let bind = Bind { buffer: BufferId(0), offset: 0, bytes: 0 };
        let part = MatrixPart { row_start: 0, rows: 99_990, codes: bind, meta: bind };
        let upload = Upload {
            stored: Stored::Blocks(DType::F32),
            tensors: vec![(Role::Weight, 0), (Role::Weight, 1)],
            first: 10,
            rows: 99_990,
            permute: None,
            add: 0.0,
            target: Target::Rows { layout: Layout::F32, cols: 96, part, row: 0 },
        };
        assert_eq!(read_bytes(&file, std::slice::from_ref(&upload)), 99_990 * (96 + 8) * 4);
        let batches = batches(&file, &[upload]);
        let (mut at, mut rows) = ([1000 + 10 * 96 * 4, 90_000_000 + 10 * 8 * 4], 0);
        for batch in &batches {
            assert!(batch.reads.iter().map(|r| r.bytes).sum::<u64>() <= SLICE);
            for piece in &batch.pieces {
                let n = u64::from(piece.upload.rows);
                for ((span, read), (at, row_bytes)) in
                    piece.spans.iter().zip(&batch.reads).zip(at.iter_mut().zip([96 * 4, 8 * 4]))
                {
                    assert_eq!((span.offset, span.bytes), (*at, n * row_bytes));
                    assert!(read.offset <= span.offset && span.end() <= read.end());
                    *at = span.end();
                }
                rows += n;
            }
        }
        assert_eq!((rows, batches.len()), (99_990, 3));
    }
}
