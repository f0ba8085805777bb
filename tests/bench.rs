//! `lacewing bench` prints the counts that it promises, and they are what the shapes say. Needs a GPU or lavapipe.

use lacewing::weights::Layout;
use std::process::Command;

fn bench(args: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_lacewing")).arg("bench").args(args).output().expect("the CLI runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bench {args:?} failed: {stderr}");
    serde_json::from_slice(&output.stdout).expect("JSON on stdout")
}

#[test]
fn counts_of_smollm2_135m() {
    let size = ["--prompt", "4", "--tokens", "7", "--repeats", "1", "--json"];
    let r = bench(&[&["--synthetic", "smollm2-135m:q4", "--profile"], &size[..]].concat());
    let number = |key: &str| r[key].as_f64().unwrap_or_else(|| panic!("{key} is missing: {r}"));
    let layers = 30.0;
    assert_eq!(number("dispatches_per_layer"), 5.0, "{r}");
    assert_eq!(number("dispatches_per_token"), 5.0 * layers + 4.0, "{r}");
    assert_eq!(number("submits_per_token"), 1.0, "{r}");
    assert_eq!(number("uploads_bytes_per_token"), 0.0, "{r}");
    assert_eq!(number("readback_bytes_per_token"), 4.0, "{r}");
    assert_eq!(number("objects_created_per_token"), 0.0, "{r}");
    // Every matrix once (the tied table as the output matrix), every norm vector, one row of the table for embed.
    let (d, ff, kv, vocab) = (576u32, 1536u32, 192u32, 49152u32);
    let q4 = |rows, cols| Layout::Ga4Sym.bytes(rows, cols);
    let layer = q4(d, d) * 2 + q4(kv, d) * 2 + q4(ff, d) * 2 + q4(d, ff) + 2 * u64::from(d) * 4;
    let expected = 30 * layer + q4(vocab, d) + u64::from(d) * 4 + q4(1, d);
    assert_eq!(number("weight_bytes_per_token"), expected as f64, "{r}");
    // f16 K and V of 3 heads of 64 in 30 layers.
    assert_eq!(number("kv_bytes_per_token"), 30.0 * 2.0 * 192.0 * 2.0, "{r}");
    for key in [
        "load_s",
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
        "time_to_first_token_ms",
        "achieved_gb_per_s",
        "copy_gb_per_s",
        "roofline_fraction",
        "gpu_bytes",
        "heap_peak_bytes",
        "record_us_per_token",
    ] {
        assert!(number(key) > 0.0, "{key} in {r}");
    }
    assert!(r["adapter"].as_str().is_some_and(|a| !a.is_empty()), "{r}");
    assert!(r["tier"].as_str().is_some_and(|t| !t.is_empty()), "{r}");
    assert!(number("heap_peak_bytes") < f64::from(192 << 20), "{r}");

    // The profile has every dispatch of a token once, the slowest kernel first, and only times that passed.
    let kernels = r["profile"].as_array().expect("profile");
    let column = |key: &str| kernels.iter().map(|k| k[key].as_f64().expect(key)).collect::<Vec<_>>();
    assert_eq!(column("dispatches").iter().sum::<f64>(), 5.0 * layers + 4.0, "{r}");
    assert!(column("us").iter().all(|us| *us > 0.0) && column("us").is_sorted_by(|a, b| a >= b), "{r}");
    assert!((column("share").iter().sum::<f64>() - 1.0).abs() < 1e-6, "{r}");
}

#[test]
fn a_kernel_can_be_timed() {
    let r = bench(&["--kernel", "rms_norm", "--json"]);
    let cases = r["cases"].as_array().expect("cases");
    assert!(!cases.is_empty() && cases.iter().all(|c| c["us"].as_f64().is_some_and(|us| us > 0.0)), "{r}");
}
