//! File blocks against the reference decoder's values (goldens), and the two independent views of the device layouts.

use half::f16;
use lacewing::formats::{DType, Stored};
use lacewing::weights::transcode::{self, Rows};
use lacewing::weights::{Layout, decode, random, unpack};

/// Transcodes, with the layout that is meant.
fn transcoded(dtype: DType, cols: u32, data: &[u8]) -> lacewing::Result<(Layout, Rows)> {
    let stored = Stored::Blocks(dtype);
    Ok((Layout::of(stored), transcode::rows(stored, cols, &[data])?))
}

/// Values of a matrix of one part.
fn decoded(layout: Layout, cols: u32, rows: &Rows) -> Vec<f32> {
    let n = rows.codes.len() as u32 / layout.row_code_words(cols);
    let meta: Vec<u32> = rows.high.iter().chain(&rows.scales).copied().collect();
    (0..n).flat_map(|r| decode::row(layout, &rows.codes, &meta, n, cols, r)).map(|v| v as f32).collect()
}

/// Blocks `[rows, bytes_per_row]` and values `[rows, cols]` of a golden, with `cols`.
fn golden(dtype: DType) -> (Vec<u8>, Vec<f32>, u32) {
    let path = format!("{}/tests/goldens/gguf-blocks/{}.safetensors", env!("CARGO_MANIFEST_DIR"), dtype.name());
    let file = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let values = file.tensor("values").unwrap();
    let cols = values.shape()[1] as u32;
    let values = values.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (file.tensor("blocks").unwrap().data().to_vec(), values, cols)
}

/// Equal bit for bit, but for the sign of zero (`d * 0` and `d * -0`).
fn assert_equal(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(g.to_bits() == w.to_bits() || (*g == 0.0 && *w == 0.0), "{what}[{i}]: {g} instead of {w}");
    }
}

#[test]
fn unpack_equals_the_reference_decoder() {
    for dtype in DType::ALL.iter().copied().filter(|t| *t != DType::F32) {
        let (blocks, values, _) = golden(dtype);
        assert!(values.len() >= 256, "{}", dtype.name());
        assert_equal(&unpack::unpack(dtype, &blocks).unwrap(), &values, dtype.name());
    }
}

#[test]
fn device_layout_equals_the_reference_decoder() {
    for dtype in DType::ALL.iter().copied().filter(|t| *t != DType::F32) {
        let (blocks, values, cols) = golden(dtype);
        let (layout, rows) = transcoded(dtype, cols, &blocks).unwrap();
        let what = format!("{} as {}", dtype.name(), layout.name());
        assert_equal(&decoded(layout, cols, &rows), &values, &what);
    }
}

/// Random bytes with finite f16 fields.
fn random_blocks(dtype: DType, n: usize, seed: u64) -> Vec<u8> {
    let mut rng = random::Random::new(seed);
    let fields: &[usize] = match dtype {
        DType::Q4_0 | DType::Q5_0 | DType::Q8_0 => &[0],
        DType::Q4_1 | DType::Q5_1 => &[0, 2],
        DType::Q4_K | DType::Q5_K => &[0, 2],
        DType::Q6_K => &[208],
        _ => &[],
    };
    let mut out = Vec::new();
    for _ in 0..n {
        let mut block: Vec<u8> = match dtype {
            DType::F32 => rng.signed().to_le_bytes().to_vec(),
            DType::F16 => f16::from_f32(rng.signed()).to_le_bytes().to_vec(),
            DType::BF16 => half::bf16::from_f32(rng.signed()).to_le_bytes().to_vec(),
            _ => (0..dtype.block_bytes()).map(|_| rng.next_u64() as u8).collect(),
        };
        for &o in fields {
            block[o..o + 2].copy_from_slice(&f16::from_f32(rng.signed() * 0.1).to_le_bytes());
        }
        out.extend(block);
    }
    out
}

#[test]
fn two_ways_to_f32_agree_on_any_width_and_any_range_of_rows() {
    for &dtype in DType::ALL {
        let per = dtype.block_elems() as usize;
        for blocks_per_row in [1, 2, 3, 31, 33] {
            let cols = (blocks_per_row * per) as u32;
            let n = 5;
            let data = random_blocks(dtype, n * blocks_per_row, 3 + blocks_per_row as u64);
            let want = unpack::unpack(dtype, &data).unwrap();
            let (layout, rows) = transcoded(dtype, cols, &data).unwrap();
            assert_eq!(
                (rows.codes.len() + rows.high.len() + rows.scales.len()) as u64 * 4,
                layout.bytes(n as u32, cols)
            );
            let what = format!("{} with {cols} columns", dtype.name());
            assert_equal(&decoded(layout, cols, &rows), &want, &what);
            // A slice of rows is the same words: loading streams in slices.
            let row_bytes = data.len() / n;
            let (_, slice) = transcoded(dtype, cols, &data[2 * row_bytes..4 * row_bytes]).unwrap();
            let code_words = layout.row_code_words(cols) as usize;
            assert_eq!(slice.codes, rows.codes[2 * code_words..4 * code_words], "{what}");
            let high_words = layout.row_high_words(cols) as usize;
            assert_eq!(slice.high, rows.high[2 * high_words..4 * high_words], "{what}");
            let scale_words = layout.scale_words(cols) as usize;
            assert_eq!(slice.scales, rows.scales[2 * scale_words..4 * scale_words], "{what}");
            // Columns beyond the row are zero words.
            if layout == Layout::F32 {
                for row in rows.codes.chunks(code_words) {
                    assert!(row[cols as usize..].iter().all(|w| *w == 0), "{what}");
                }
            }
        }
    }
}

#[test]
fn lane_order_of_one_block_is_as_documented() {
    // Q4_0 with element i = i % 16, so that each word can be written by hand.
    let mut block = vec![0, 0x3C]; // d = 1
    block.extend((0..16u8).map(|j| j | j << 4));
    let (_, rows) = transcoded(DType::Q4_0, 32, &block).unwrap();
    assert_eq!(rows.codes, [0x7362_5140, 0xFBEA_D9C8, 0x7362_5140, 0xFBEA_D9C8]);
    assert_eq!(rows.scales, [0x3C00]);
    // Q5_1: the same nibbles, the fifth bit set in columns 1, 10, 19 and 28.
    let mut block = vec![0, 0x3C, 0, 0x40]; // d = 1, m = 2
    block.extend(0x1008_0402u32.to_le_bytes());
    block.extend((0..16u8).map(|j| j | j << 4));
    let (_, rows) = transcoded(DType::Q5_1, 32, &block).unwrap();
    assert_eq!(rows.codes, [0x7362_5140, 0xFBEA_D9C8, 0x7362_5140, 0xFBEA_D9C8]);
    assert_eq!(rows.high, [1 << 8 | 1 << (16 + 2) | 1 << (24 + 4) | 1 << 7]);
    assert_eq!(rows.scales, [0x4000_3C00]);
    // Q8_0: the byte of element i is i - 16 in the file, + 128 on the device.
    let mut block = vec![0, 0x3C];
    block.extend((0..32u8).map(|i| i.wrapping_sub(16)));
    let (_, rows) = transcoded(DType::Q8_0, 32, &block).unwrap();
    assert_eq!(rows.codes[0], 0x7372_7170);
    assert_eq!(rows.codes[7], 0x8F8E_8D8C);
}

#[test]
fn cut_rows_are_typed_errors() {
    let code = |dtype, cols, data: &[&[u8]]| transcode::rows(Stored::Blocks(dtype), cols, data).unwrap_err().code();
    for &dtype in DType::ALL {
        let (bytes, elems) = (dtype.block_bytes() as usize, dtype.block_elems() as u32);
        let data = vec![0; 2 * bytes];
        for cut in 1..2 * bytes {
            if cut != bytes {
                assert_eq!(code(dtype, elems, &[&data[..cut]]), "bad-file", "{} cut at {cut}", dtype.name());
                let vector = transcode::to_f32(Stored::Blocks(dtype), &[&data[..cut]]);
                assert_eq!(vector.unwrap_err().code(), "bad-file");
            }
        }
        assert_eq!(code(dtype, 0, &[&data]), "bad-file");
        assert_eq!(code(dtype, elems, &[]), "bad-file");
        assert_eq!(code(dtype, elems, &[&data, &data]), "bad-file");
        if elems > 1 {
            assert_eq!(code(dtype, elems + 1, &[&data]), "bad-file");
        }
    }
}

/// `Layout::of` is total, no layout is unused, and none keeps a type that another keeps.
#[test]
fn every_type_has_its_layout() {
    let mut layouts: Vec<Layout> = DType::ALL.iter().map(|t| Layout::of(Stored::Blocks(*t))).collect();
    for (layout, dtype) in layouts.iter().zip(DType::ALL) {
        assert_eq!(u64::from(layout.grain()), dtype.block_elems(), "{}", dtype.name());
    }
    layouts.sort();
    assert_eq!(layouts, Layout::ALL);
}

#[test]
fn random_rows_have_the_promised_size_and_spread() {
    for &layout in Layout::ALL {
        for cols in [256, 300, 1024, 4096] {
            let rows = random::random_rows(layout, 16, cols, 7);
            let words = rows.codes.len() + rows.high.len() + rows.scales.len();
            assert_eq!(words as u64 * 4, layout.bytes(16, cols), "{}", layout.name());
            let values = decoded(layout, cols, &rows);
            assert_eq!(values.len(), 16 * cols as usize);
            let n = values.len() as f64;
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
            let std = (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
            let want = 1.0 / f64::from(cols).sqrt();
            assert!((0.85..1.2).contains(&(std / want)), "{} {cols}: std {std} instead of {want}", layout.name());
            assert!(mean.abs() < 0.15 * want, "{} {cols}: mean {mean}", layout.name());
            assert_eq!(rows, random::random_rows(layout, 16, cols, 7));
            assert_ne!(rows.codes, random::random_rows(layout, 16, cols, 8).codes);
        }
    }
}
