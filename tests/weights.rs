//! File blocks against the reference decoder's values (goldens), and the two independent views of the device layouts.

use half::f16;
use lacewing::formats::DType;
use lacewing::weights::{Layout, random, transcode, unpack};

const TYPES: [DType; 8] =
    [DType::F32, DType::F16, DType::BF16, DType::Q4_0, DType::Q8_0, DType::Q4_K, DType::Q5_K, DType::Q6_K];

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
    for dtype in TYPES.into_iter().filter(|t| *t != DType::F32) {
        let (blocks, values, _) = golden(dtype);
        assert!(values.len() >= 256, "{}", dtype.name());
        assert_equal(&unpack::unpack(dtype, &blocks).unwrap(), &values, dtype.name());
    }
}

#[test]
fn device_layout_equals_the_reference_decoder() {
    for dtype in TYPES.into_iter().filter(|t| *t != DType::F32) {
        let (blocks, values, cols) = golden(dtype);
        for layout in [Layout::of(dtype), Layout::F32] {
            let rows = transcode::rows(dtype, layout, cols, &blocks).unwrap();
            let what = format!("{} as {}", dtype.name(), layout.name());
            assert_equal(&transcode::layout_to_f32(layout, cols, &rows), &values, &what);
        }
    }
}

/// Random bytes with finite f16 fields.
fn random_blocks(dtype: DType, n: usize, seed: u64) -> Vec<u8> {
    let mut rng = random::Random::new(seed);
    let fields: &[usize] = match dtype {
        DType::Q4_0 | DType::Q8_0 => &[0],
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
    for dtype in TYPES {
        let per = dtype.block_elems() as usize;
        for blocks_per_row in [1, 2, 3, 31, 33] {
            let cols = (blocks_per_row * per) as u32;
            let n = 5;
            let data = random_blocks(dtype, n * blocks_per_row, 3 + blocks_per_row as u64);
            let want = unpack::unpack(dtype, &data).unwrap();
            let layout = Layout::of(dtype);
            let rows = transcode::rows(dtype, layout, cols, &data).unwrap();
            assert_eq!(
                (rows.codes.len() + rows.high.len() + rows.scales.len()) as u64 * 4,
                layout.bytes(n as u32, cols)
            );
            let what = format!("{} with {cols} columns", dtype.name());
            assert_equal(&transcode::layout_to_f32(layout, cols, &rows), &want, &what);
            // A slice of rows is the same words: loading streams in slices.
            let row_bytes = data.len() / n;
            let slice = transcode::rows(dtype, layout, cols, &data[2 * row_bytes..4 * row_bytes]).unwrap();
            let code_words = layout.row_code_words(cols) as usize;
            assert_eq!(slice.codes, rows.codes[2 * code_words..4 * code_words], "{what}");
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
    let rows = transcode::rows(DType::Q4_0, Layout::Ga4Sym, 32, &block).unwrap();
    assert_eq!(rows.codes, [0x7362_5140, 0xFBEA_D9C8, 0x7362_5140, 0xFBEA_D9C8]);
    assert_eq!(rows.scales, [0x3C00]);
    // Q8_0: the byte of element i is i - 16 in the file, + 128 on the device.
    let mut block = vec![0, 0x3C];
    block.extend((0..32u8).map(|i| i.wrapping_sub(16)));
    let rows = transcode::rows(DType::Q8_0, Layout::Ga8Sym, 32, &block).unwrap();
    assert_eq!(rows.codes[0], 0x7372_7170);
    assert_eq!(rows.codes[7], 0x8F8E_8D8C);
}

#[test]
fn cut_rows_and_lossy_layouts_are_typed_errors() {
    for dtype in TYPES {
        let (bytes, elems) = (dtype.block_bytes() as usize, dtype.block_elems() as u32);
        let data = vec![0; 2 * bytes];
        for cut in 1..2 * bytes {
            if cut != bytes {
                let got = transcode::rows(dtype, Layout::of(dtype), elems, &data[..cut]);
                assert_eq!(got.unwrap_err().code(), "bad-file", "{} cut at {cut}", dtype.name());
                assert_eq!(transcode::to_f32(dtype, &data[..cut]).unwrap_err().code(), "bad-file");
            }
        }
        assert_eq!(transcode::rows(dtype, Layout::of(dtype), 0, &data).unwrap_err().code(), "bad-file");
        if elems > 1 {
            let got = transcode::rows(dtype, Layout::of(dtype), elems + 1, &data);
            assert_eq!(got.unwrap_err().code(), "bad-file");
            let got = transcode::rows(dtype, Layout::F16, elems, &data);
            assert_eq!(got.unwrap_err().code(), "bad-request");
        }
    }
}

#[test]
fn random_rows_have_the_promised_size_and_spread() {
    for &layout in Layout::ALL {
        for cols in [256, 300, 1024, 4096] {
            let rows = random::random_rows(layout, 16, cols, 7);
            let words = rows.codes.len() + rows.high.len() + rows.scales.len();
            assert_eq!(words as u64 * 4, layout.bytes(16, cols), "{}", layout.name());
            let values = transcode::layout_to_f32(layout, cols, &rows);
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
