//! Streams tensors from their file to the buffers that `load::place` made: in file order, in slices of whole rows, so
//! that the heap holds two slices of input and one of output at most.

use crate::error::{Error, Result};
use crate::execute::Executor;
use crate::formats::source::LocalFuture;
use crate::formats::{TensorFile, TensorInfo};
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

/// Consecutive rows of one tensor (elements, for a vector) and where they go.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    /// Index into `TensorFile::tensors`.
    pub tensor: usize,
    /// First row.
    pub first: u32,
    /// Rows.
    pub rows: u32,
    /// Rows come in rotary pairs (2i, 2i+1) within heads of this many rows, and go to (i, i + half).
    pub permute: Option<u32>,
    /// Added to every element of a vector.
    pub add: f32,
    /// Destination.
    pub target: Target,
}

/// Bytes that [`upload`] reads, without gaps: the total of its progress.
pub fn read_bytes(tensors: &TensorFile, uploads: &[Upload]) -> u64 {
    uploads.iter().map(|u| span(&tensors.tensors[u.tensor], u).1).sum()
}

/// Start within the tensor and length of an upload's bytes. A vector is taken whole, it may be one row of blocks.
fn span(t: &TensorInfo, u: &Upload) -> (u64, u64) {
    match u.target {
        Target::Vector(_) => (0, t.bytes),
        Target::Rows { .. } => (u64::from(u.first) * t.row_bytes(), u64::from(u.rows) * t.row_bytes()),
    }
}

/// A slice of an upload.
struct Piece {
    upload: Upload,
    source: usize,
    offset: u64,
    bytes: u64,
}

/// Pieces that one read brings.
struct Batch {
    source: usize,
    offset: u64,
    bytes: u64,
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
    let start = |batch: &Batch| tensors.sources[batch.source].read(batch.offset, batch.bytes);
    aborted()?;
    let mut next = batches.next().map(|batch| (start(&batch), batch));
    while let Some((bytes, batch)) = next {
        let bytes = bytes.await?;
        aborted()?;
        if bytes.len() as u64 != batch.bytes {
            return Err(Error::DownloadFailed(format!(
                "{} gave {} bytes of {} asked for at offset {}: try again",
                tensors.sources[batch.source].name(),
                bytes.len(),
                batch.bytes,
                batch.offset
            )));
        }
        // The next read starts now and runs while this slice is transcoded.
        next = match batches.next() {
            Some(batch) => Some((started(start(&batch)).await, batch)),
            None => None,
        };
        for piece in &batch.pieces {
            let from = (piece.offset - batch.offset) as usize;
            let data = &bytes[from..from + piece.bytes as usize];
            written += write(&tensors.tensors[piece.upload.tensor], &piece.upload, data, executor)?;
            read += piece.bytes;
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
        let t = &tensors.tensors[upload.tensor];
        let mut push = |upload: Upload| {
            let (start, bytes) = span(t, &upload);
            pieces.push(Piece { upload, source: t.source, offset: t.offset + start, bytes });
        };
        match upload.target {
            Target::Vector(_) => push(*upload),
            Target::Rows { layout, cols, part, row } => {
                let grain = u64::from(upload.permute.unwrap_or(1));
                let row_bytes = t.row_bytes().max(layout.bytes(1, cols)).max(1);
                let step = (SLICE / (row_bytes * grain)).max(1) * grain;
                for start in (0..upload.rows).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
                    push(Upload {
                        first: upload.first + start,
                        rows: (upload.rows - start).min(u32::try_from(step).unwrap_or(u32::MAX)),
                        target: Target::Rows { layout, cols, part, row: row + start },
                        ..*upload
                    });
                }
            }
        }
    }
    pieces.sort_by_key(|p| (p.source, p.offset));
    let mut out: Vec<Batch> = Vec::new();
    for piece in pieces {
        let end = piece.offset + piece.bytes;
        match out.last_mut() {
            Some(b)
                if b.source == piece.source
                    && piece.offset <= b.offset + b.bytes + GAP
                    && end.max(b.offset + b.bytes) - b.offset <= SLICE =>
            {
                b.bytes = end.max(b.offset + b.bytes) - b.offset;
                b.pieces.push(piece);
            }
            _ => {
                out.push(Batch { source: piece.source, offset: piece.offset, bytes: piece.bytes, pieces: vec![piece] })
            }
        }
    }
    out
}

/// Transcodes and writes one piece; returns the bytes written.
fn write(t: &TensorInfo, upload: &Upload, data: &[u8], executor: &mut dyn Executor) -> Result<u64> {
    match upload.target {
        Target::Vector(bind) => {
            let all = transcode::to_f32(t.dtype, data)?;
            let wanted = upload.first as usize..upload.first as usize + upload.rows as usize;
            let values = all.get(wanted).ok_or_else(|| {
                Error::BadFile(format!("{} has {} values, expected {} or more", t.name, all.len(), upload.rows))
            })?;
            let values: Vec<f32> = values.iter().map(|v| v + upload.add).collect();
            let mut bytes: Vec<u8> = bytemuck::cast_slice(&values).to_vec();
            if let Some(head) = upload.permute {
                unpermute(&mut bytes, 4, head as usize);
            }
            executor.write(bind.buffer, bind.offset, &bytes)?;
            Ok(bytes.len() as u64)
        }
        Target::Rows { layout, cols, part, row } => {
            let rows = match upload.permute {
                Some(head) => {
                    let mut data = data.to_vec();
                    unpermute(&mut data, t.row_bytes() as usize, head as usize);
                    transcode::rows(t.dtype, layout, cols, &data)?
                }
                None => transcode::rows(t.dtype, layout, cols, data)?,
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

/// Puts the rows of whole heads back into the order of the reference code: hf[s*half + i] = gguf[2*i + s].
fn unpermute(data: &mut [u8], row_bytes: usize, head: usize) {
    let half = head / 2;
    let mut sorted = vec![0; row_bytes * head];
    for block in data.chunks_exact_mut(row_bytes * head) {
        for (from, row) in block.chunks_exact(row_bytes).enumerate() {
            let to = (from % 2) * half + from / 2;
            sorted[to * row_bytes..(to + 1) * row_bytes].copy_from_slice(row);
        }
        block.copy_from_slice(&sorted);
    }
}
