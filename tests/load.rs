//! Placing and uploading weights: what lies in the buffers afterwards is what the file says.

mod model_support;

use lacewing::formats::{DType, Stored, TensorFile};
use lacewing::kernels::{Bind, Caps};
use lacewing::model::build::build;
use lacewing::model::config::ArchInfo;
use lacewing::model::load::{GateUp, LayerWeights, Linear, Target, Upload, Weights, place, read_bytes, upload};
use lacewing::model::spec::ModelSpec;
use lacewing::weights::Layout;
use lacewing::{Error, Result};
use model_support::llama::{D, HEAD, VOCAB, hf, info, norms_f32};
use model_support::{Builder, Memory, Recorder};
use serde_json::json;
use std::cell::Cell;

fn placed(spec: &ModelSpec, file: &TensorFile, caps: Caps) -> (Result<(Weights, Vec<Upload>)>, Recorder) {
    let mut recorder = Recorder::new(caps);
    (place(spec, file, &mut recorder), recorder)
}

fn loaded(spec: &ModelSpec, file: &TensorFile, caps: Caps) -> (Weights, Recorder) {
    let (result, mut recorder) = placed(spec, file, caps);
    let (weights, uploads) = result.unwrap();
    let total = read_bytes(file, &uploads);
    let mut last = (0, 0);
    let mut progress = |read, written| {
        assert!(read >= last.0 && written >= last.1);
        last = (read, written);
    };
    pollster::block_on(upload(file, uploads, &mut recorder, &mut progress, &Cell::new(false))).unwrap();
    assert_eq!(last.0, total);
    assert!(recorder.flushes > 0);
    (weights, recorder)
}

#[track_caller]
fn same(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(a.to_bits() == b.to_bits(), "element {i}: {a} on the device, {b} in the file");
    }
}

fn bias(r: &Recorder, bind: Option<Bind>) -> Vec<f32> {
    r.floats(bind.expect("a bias"))
}

fn linear(r: &Recorder, b: &Builder, l: &Linear, name: &str) {
    same(&r.matrix(&l.matrix), &b.joined(&[&format!("{name}.weight")]));
    match b.values.get(&format!("{name}.bias")) {
        Some(expected) => same(&bias(r, l.bias), expected),
        None => assert!(l.bias.is_none()),
    }
}

/// Everything in a Hugging Face model's buffers against the file.
fn check_hf(r: &Recorder, b: &Builder, w: &Weights) {
    same(&r.matrix(&w.embed), &b.values["model.embed_tokens.weight"]);
    same(&r.matrix(w.output.as_ref().unwrap()), &b.values["lm_head.weight"]);
    same(&r.floats(w.final_norm), &b.values["model.norm.weight"]);
    for (i, l) in w.layers.iter().enumerate() {
        let p = format!("model.layers.{i}");
        same(&r.floats(l.norms.before_mixer.unwrap()), &b.values[&format!("{p}.input_layernorm.weight")]);
        same(&r.floats(l.norms.before_ffn.unwrap()), &b.values[&format!("{p}.post_attention_layernorm.weight")]);
        let [q, k, v] = ["q", "k", "v"].map(|n| format!("{p}.self_attn.{n}_proj.weight"));
        same(&qkv(r, l), &b.joined(&[&q, &k, &v]));
        linear(r, b, &l.attention().unwrap().o, &format!("{p}.self_attn.o_proj"));
        linear(r, b, &l.dense_ffn().unwrap().down, &format!("{p}.mlp.down_proj"));
        let [gate, up] = ["gate", "up"].map(|n| format!("{p}.mlp.{n}_proj"));
        match &l.dense_ffn().unwrap().gate_up {
            GateUp::Fused(both) => {
                same(&r.matrix(&both.matrix), &b.joined(&[&format!("{gate}.weight"), &format!("{up}.weight")]))
            }
            GateUp::Split { gate: g, up: u } => {
                linear(r, b, g, &gate);
                linear(r, b, u, &up);
            }
        }
    }
}

fn qkv(r: &Recorder, l: &LayerWeights) -> Vec<f32> {
    l.attention().unwrap().qkv.iter().flat_map(|part| r.matrix(&part.matrix)).collect()
}

#[test]
fn a_model_of_floats_with_biases_arrives_bit_for_bit() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let sizes = [(4, 2, 96), (4, 2, 96)];
        let b = hf(&sizes, true, |_| dtype);
        let (file, _) = b.file();
        let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
        let (w, r) = loaded(&spec, &file, Caps::BASE);
        check_hf(&r, &b, &w);
        for (i, l) in w.layers.iter().enumerate() {
            let [part] = &l.attention().unwrap().qkv[..] else { panic!("q, k and v of one layout are one matrix") };
            assert_eq!((part.q_heads, part.k_heads, part.v_heads), (4, 2, 2));
            let p = format!("model.layers.{i}");
            let mut expected = b.joined(&[&format!("{p}.self_attn.q_proj.bias")]);
            expected.extend(vec![0.0; 2 * HEAD as usize]);
            expected.extend(b.joined(&[&format!("{p}.self_attn.v_proj.bias")]));
            same(&bias(&r, part.bias), &expected);
            let GateUp::Fused(both) = &l.dense_ffn().unwrap().gate_up else {
                panic!("gate and up of one layout are one matrix")
            };
            let [gate, up] = ["gate", "up"].map(|n| format!("{p}.mlp.{n}_proj.bias"));
            same(&bias(&r, both.bias), &b.joined(&[&gate, &up]));
        }
    }
}

#[test]
fn device_bytes_are_those_of_the_layouts() {
    let sizes = [(4, 4, 96)];
    let b = hf(&sizes, false, |n| norms_f32(n, if n.contains("down") { DType::Q8_0 } else { DType::Q4_0 }));
    let (file, _) = b.file();
    let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
    let (w, r) = loaded(&spec, &file, Caps::BASE);
    check_hf(&r, &b, &w);
    let matrices = file.tensors.iter().filter(|t| t.shape.len() == 2);
    let expected: u64 =
        matrices.map(|t| Layout::of(Stored::Blocks(t.dtype)).bytes(t.rows() as u32, t.cols() as u32)).sum();
    let l = &w.layers[0];
    let GateUp::Fused(gate_up) = &l.dense_ffn().unwrap().gate_up else { panic!() };
    let all = [
        &w.embed,
        w.output.as_ref().unwrap(),
        &l.attention().unwrap().qkv[0].matrix,
        &l.attention().unwrap().o.matrix,
        &gate_up.matrix,
        &l.dense_ffn().unwrap().down.matrix,
    ];
    assert_eq!(all.iter().map(|m| m.bytes()).sum::<u64>(), expected);
    // Norms: 3 vectors of 256 bytes.
    assert_eq!(r.bytes(), expected + 3 * 256);
}

#[test]
fn projections_of_different_layouts_are_not_stacked() {
    let sizes = [(4, 2, 96)];
    let kinds = |q: DType, k: DType, v: DType| {
        hf(&sizes, false, move |n| {
            norms_f32(
                n,
                match n {
                    n if n.contains("q_proj") => q,
                    n if n.contains("k_proj") => k,
                    n if n.contains("v_proj") => v,
                    n if n.contains("up_proj") => DType::Q8_0,
                    _ => DType::F16,
                },
            )
        })
    };
    let cases = [
        (DType::Q4_0, DType::Q4_0, DType::Q8_0, vec![(4, 2, 0), (0, 0, 2)]),
        (DType::Q4_0, DType::Q8_0, DType::Q8_0, vec![(4, 0, 0), (0, 2, 0), (0, 0, 2)]),
        (DType::Q4_0, DType::Q4_0, DType::Q4_0, vec![(4, 2, 2)]),
    ];
    for (q, k, v, expected) in cases {
        let b = kinds(q, k, v);
        let (file, _) = b.file();
        let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
        let (w, r) = loaded(&spec, &file, Caps::BASE);
        check_hf(&r, &b, &w);
        let heads: Vec<_> =
            w.layers[0].attention().unwrap().qkv.iter().map(|p| (p.q_heads, p.k_heads, p.v_heads)).collect();
        assert_eq!(heads, expected);
        assert!(matches!(w.layers[0].dense_ffn().unwrap().gate_up, GateUp::Split { .. }));
    }
}

#[test]
fn layers_may_differ_in_size() {
    let sizes = [(4, 2, 96), (2, 1, 32), (6, 2, 160)];
    let b = hf(&sizes, false, |_| DType::BF16);
    let (file, _) = b.file();
    let spec = build(&info(&sizes, json!({"intermediate_size": 96})), &file, None).unwrap();
    for (layer, (heads, kv, d_ff)) in spec.layers.iter().zip(sizes) {
        let a = layer.attention().unwrap();
        assert_eq!((a.n_heads, a.n_kv_heads, layer.d_ff()), (heads as u32, kv as u32, d_ff as u32));
    }
    let (w, r) = loaded(&spec, &file, Caps::BASE);
    check_hf(&r, &b, &w);
}

#[test]
fn large_matrices_are_split_by_rows_and_stacks_come_apart() {
    let sizes = [(4, 2, 160)];
    for dtype in [DType::F32, DType::Q8_0] {
        let b = hf(&sizes, false, |n| norms_f32(n, dtype));
        let (file, _) = b.file();
        let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
        // q, k, v (128 rows) still fit together; gate and up (320) do not, nor does up (160) in one part.
        let limit = u64::from(Layout::of(Stored::Blocks(dtype)).row_code_words(64)) * 4 * 130;
        let caps = Caps { max_binding_bytes: limit, ..Caps::BASE };
        let (w, r) = loaded(&spec, &file, caps);
        check_hf(&r, &b, &w);
        assert_eq!(w.layers[0].attention().unwrap().qkv.len(), 1);
        let GateUp::Split { up, .. } = &w.layers[0].dense_ffn().unwrap().gate_up else { panic!("too large to be one") };
        assert_eq!(up.matrix.parts.iter().map(|p| p.rows).collect::<Vec<_>>(), [128, 32]);
        assert!(r.buffers.values().all(|b| b.len() as u64 <= limit));
        // Now q and k fit together but not with v; down and the embedding are split.
        let limit = u64::from(Layout::of(Stored::Blocks(dtype)).row_code_words(64)) * 4 * 100;
        let caps = Caps { max_buffer_bytes: limit, ..Caps::BASE };
        let (w, r) = loaded(&spec, &file, caps);
        check_hf(&r, &b, &w);
        assert_eq!(w.layers[0].attention().unwrap().qkv.len(), 2);
        assert!(w.layers[0].dense_ffn().unwrap().down.matrix.parts.len() > 1);
        // Not even q alone.
        let limit = u64::from(Layout::of(Stored::Blocks(dtype)).row_code_words(64)) * 4 * 60;
        let (error, r) = placed(&spec, &file, Caps { max_binding_bytes: limit, ..Caps::BASE });
        let error = error.err().unwrap();
        assert_eq!(error.code(), "limit-exceeded", "{error}");
        assert!(r.buffers.is_empty());
    }
}

/// A GGUF model of 256 columns, whose q and k the converter has permuted.
fn gguf(fused: bool, layers: u64) -> (Builder, ArchInfo) {
    use lacewing::formats::gguf::{Metadata, Value};
    let (d, head, heads, kv, d_ff) = (256, 32, 8, 2, 512);
    let mut b = Builder::new(99);
    b.add("token_embd.weight", DType::Q6_K, &[VOCAB, d]).add("rope_freqs.weight", DType::F32, &[head / 2]);
    for i in 0..layers {
        let name = |n: &str| format!("blk.{i}.{n}");
        if fused {
            let mut all = Vec::new();
            for (kind, n) in [("q", heads), ("k", kv), ("v", kv)] {
                let bytes = model_support::random_bytes(DType::Q5_K, n * head * d, &mut b.random);
                let values = lacewing::weights::unpack::unpack(DType::Q5_K, &bytes).unwrap();
                b.values.insert(name(&format!("attn_{kind}.weight")), values);
                let row = bytes.len() / (n * head) as usize;
                all.extend(if kind == "v" { bytes } else { model_support::permute_rows(&bytes, row, head as usize) });
            }
            b.raw(&name("attn_qkv.weight"), DType::Q5_K, &[(heads + 2 * kv) * head, d], all);
        } else {
            b.add_permuted(&name("attn_q.weight"), DType::Q4_K, &[heads * head, d], head as usize);
            b.add_permuted(&name("attn_q.bias"), DType::F32, &[heads * head], head as usize);
            b.add_permuted(&name("attn_k.weight"), DType::Q4_K, &[kv * head, d], head as usize);
            b.add_permuted(&name("attn_k.bias"), DType::F32, &[kv * head], head as usize);
            b.add(&name("attn_v.weight"), DType::Q6_K, &[kv * head, d]);
        }
        b.add(&name("attn_output.weight"), DType::Q5_K, &[d, heads * head]);
        for (n, shape) in [("ffn_gate", [d_ff, d]), ("ffn_up", [d_ff, d]), ("ffn_down", [d, d_ff])] {
            b.add(&name(&format!("{n}.weight")), DType::Q4_K, &shape);
        }
        b.add(&name("attn_norm.weight"), DType::F32, &[d]).add(&name("ffn_norm.weight"), DType::F32, &[d]);
    }
    b.add("output_norm.weight", DType::F32, &[d]);
    let int = |k: &str, n: u64| (format!("llama.{k}"), Value::Int(n.into()));
    let entries = vec![
        ("general.architecture".into(), Value::String("llama".into())),
        int("block_count", layers),
        int("embedding_length", d),
        int("attention.head_count", heads),
        int("attention.head_count_kv", kv),
        int("context_length", 128),
        ("llama.attention.layer_norm_rms_epsilon".into(), Value::Float(1e-5)),
    ];
    (b, ArchInfo::from_gguf(&Metadata { entries }).unwrap())
}

#[test]
fn a_gguf_is_unpermuted_and_keeps_its_mixed_types() {
    let (b, info) = gguf(false, 2);
    let (file, _) = b.file();
    let factors = vec![2.0; 16];
    let spec = build(&info, &file, Some(factors.clone())).unwrap();
    assert_eq!(spec.ropes[0].scaling, lacewing::model::spec::RopeScaling::Factors(factors));
    assert!(spec.tied_embeddings);
    let (w, r) = loaded(&spec, &file, Caps::BASE);
    assert!(w.output.is_none());
    same(&r.matrix(&w.embed), &b.values["token_embd.weight"]);
    for (i, l) in w.layers.iter().enumerate() {
        let name = |n: &str| format!("blk.{i}.{n}");
        let [qk, v] = &l.attention().unwrap().qkv[..] else { panic!("Q6_K values beside Q4_K queries and keys") };
        same(&r.matrix(&qk.matrix), &b.joined(&[&name("attn_q.weight"), &name("attn_k.weight")]));
        same(&bias(&r, qk.bias), &b.joined(&[&name("attn_q.bias"), &name("attn_k.bias")]));
        same(&r.matrix(&v.matrix), &b.values[&name("attn_v.weight")]);
        assert!(v.bias.is_none());
        assert_eq!((qk.q_heads, qk.k_heads, qk.v_heads, v.v_heads), (8, 2, 0, 2));
        linear(&r, &b, &l.attention().unwrap().o, &name("attn_output"));
        linear(&r, &b, &l.dense_ffn().unwrap().down, &name("ffn_down"));
    }
}

#[test]
fn a_fused_qkv_tensor_is_one_matrix() {
    let (b, info) = gguf(true, 1);
    let (file, _) = b.file();
    let spec = build(&info, &file, None).unwrap();
    let (w, r) = loaded(&spec, &file, Caps::BASE);
    assert_eq!(w.layers[0].attention().unwrap().qkv.len(), 1);
    same(&qkv(&r, &w.layers[0]), &b.joined(&["blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"]));
}

#[test]
fn large_tensors_come_in_slices_and_small_ones_together() {
    // 5120 x 1024 f32: 20 MiB.
    let (d, vocab) = (1024, 5120);
    let mut b = hf(&[], false, |_| DType::F32);
    for name in ["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"] {
        b.remove(name);
    }
    b.add("lm_head.weight", DType::F32, &[vocab, d]);
    for n in ["input_layernorm", "post_attention_layernorm"] {
        b.add(&format!("model.layers.0.{n}.weight"), DType::BF16, &[d]);
    }
    for n in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"] {
        b.add(&format!("model.layers.0.{n}.weight"), DType::BF16, &[16, d]);
    }
    for n in ["self_attn.o_proj", "mlp.down_proj"] {
        b.add(&format!("model.layers.0.{n}.weight"), DType::BF16, &[d, 16]);
    }
    b.add("model.norm.weight", DType::F32, &[d]);
    let (file, memory) = b.file();
    let extra = json!({"hidden_size": d, "vocab_size": vocab, "tie_word_embeddings": true, "num_hidden_layers": 1});
    let spec = build(&info(&[], extra), &file, None).unwrap();
    let (w, r) = loaded(&spec, &file, Caps::BASE);
    same(&r.matrix(&w.embed), &b.values["lm_head.weight"]);
    let reads = memory.reads.borrow();
    assert!(reads.iter().all(|(_, len)| *len <= 16 << 20));
    // 16 + 4 MiB of the table, the rest of the model with the last slice.
    assert_eq!(reads.len(), 2, "{reads:?}");
    assert!(reads.windows(2).all(|w| w[0].0 < w[1].0), "in file order");
}

#[track_caller]
fn refused(change: impl Fn(&mut Builder), code: &str, mentions: &[&str]) {
    let sizes = [(4, 2, 96)];
    let mut b = hf(&sizes, false, |_| DType::F16);
    let spec = build(&info(&sizes, json!({})), &b.file().0, None).unwrap();
    change(&mut b);
    let (file, _) = b.file();
    // The spec is checked against the tensors, and so is every claim.
    let (result, r) = placed(&spec, &file, Caps::BASE);
    let error = result.expect_err("an error");
    assert_eq!(error.code(), code, "{error}");
    for text in mentions {
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(r.created > 0 && r.buffers.is_empty(), "all buffers are destroyed");
    if let Err(e) = build(&info(&sizes, json!({})), &file, None) {
        assert_eq!(e.code(), code, "{e}");
    }
}

#[test]
fn missing_unused_and_misshapen_tensors_are_named() {
    let down = "model.layers.0.mlp.down_proj.weight";
    refused(|b| _ = b.remove(down), "missing-tensor", &[down]);
    refused(|b| _ = b.remove("model.norm.weight"), "missing-tensor", &["model.norm.weight"]);
    let extra = "model.layers.0.self_attn.q_norm.weight";
    refused(|b| _ = b.add(extra, DType::F32, &[HEAD]), "missing-tensor", &[extra, "llama"]);
    refused(|b| _ = b.remove(down).add(down, DType::F16, &[D, 95]), "bad-file", &[down, "95", "96"]);
    refused(|b| _ = b.remove(down).add(down, DType::F16, &[D]), "bad-file", &[down]);
    let sizes = [(4, 2, 96)];
    let mut b = hf(&sizes, false, |_| DType::F16);
    b.add("model.layers.0.self_attn.rotary_emb.inv_freq", DType::F32, &[8]);
    let (file, _) = b.file();
    let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
    assert!(placed(&spec, &file, Caps::BASE).0.is_ok(), "rotary tables in the file are not weights");
}

#[test]
fn a_tied_model_may_hold_either_table_or_both() {
    let sizes = [(4, 2, 96)];
    for (gone, kept) in [
        ("lm_head.weight", "model.embed_tokens.weight"),
        ("model.embed_tokens.weight", "lm_head.weight"),
        ("", "model.embed_tokens.weight"),
    ] {
        let mut b = hf(&sizes, false, |_| DType::F16);
        b.remove(gone);
        let (file, _) = b.file();
        let spec = build(&info(&sizes, json!({"tie_word_embeddings": true})), &file, None).unwrap();
        assert!(spec.tied_embeddings);
        let (w, r) = loaded(&spec, &file, Caps::BASE);
        assert!(w.output.is_none());
        same(&r.matrix(&w.embed), &b.values[kept]);
        if !gone.is_empty() {
            let error = build(&info(&sizes, json!({"tie_word_embeddings": false})), &file, None).unwrap_err();
            assert_eq!(error.code(), "missing-tensor", "{error}");
            assert!(error.to_string().contains(gone));
        }
    }
}

/// Norms that multiply by 1 + w: the sum is made in f32, whatever the type in the file.
#[test]
fn vectors_take_an_addend() {
    let sizes = [(4, 2, 96)];
    for dtype in [DType::F32, DType::BF16] {
        let b = hf(&sizes, true, |_| dtype);
        let (file, _) = b.file();
        let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
        let (result, mut r) = placed(&spec, &file, Caps::BASE);
        let (w, mut uploads) = result.unwrap();
        for u in &mut uploads {
            u.add = if matches!(u.target, Target::Vector(bind) if bind == w.final_norm) { 1.0 } else { 0.0 };
        }
        pollster::block_on(upload(&file, uploads, &mut r, &mut |_, _| (), &Cell::new(false))).unwrap();
        let expected: Vec<f32> = b.values["model.norm.weight"].iter().map(|v| 1.0 + v).collect();
        same(&r.floats(w.final_norm), &expected);
        same(&r.floats(w.layers[0].norms.before_mixer.unwrap()), &b.values["model.layers.0.input_layernorm.weight"]);
    }
}

fn failing(prepare: impl Fn(&Memory), cancel_after: usize) -> Error {
    let sizes = [(4, 2, 96); 3];
    let b = hf(&sizes, true, |_| DType::F32);
    let (file, memory) = b.file();
    let spec = build(&info(&sizes, json!({})), &file, None).unwrap();
    let (result, mut r) = placed(&spec, &file, Caps::BASE);
    let (_, uploads) = result.unwrap();
    prepare(&memory);
    let cancel = Cell::new(cancel_after == 0);
    let mut calls = 0;
    let mut progress = |_, _| {
        calls += 1;
        cancel.set(calls >= cancel_after);
    };
    let error = pollster::block_on(upload(&file, uploads, &mut r, &mut progress, &cancel)).unwrap_err();
    assert!(r.created > 0 && r.buffers.is_empty(), "all buffers are destroyed");
    error
}

#[test]
fn a_cancelled_or_failed_upload_frees_everything() {
    assert_eq!(failing(|_| (), 0).code(), "aborted");
    assert_eq!(failing(|_| (), 1).code(), "aborted");
    assert_eq!(failing(|m| m.fail_after.set(0), usize::MAX).code(), "download-failed");
}

/// Through the real readers: every matrix of a quantised file, by another path from its bytes.
#[test]
fn a_gguf_from_llama_cpp_arrives_whole() {
    for ty in ["Q4_0", "Q4_K_M"] {
        let Some(path) = model_support::folder(&format!("goldens/gguf-models/llama-{ty}.gguf")) else { return };
        let m = pollster::block_on(lacewing::model::open::open(&model_support::Folder::file(&path))).unwrap();
        let (w, r) = loaded(&m.spec, &m.tensors, Caps::BASE);
        let direct = |name: &str| {
            let t = m.tensors.get(name).unwrap();
            let bytes = pollster::block_on(m.tensors.read(t, 0, t.bytes)).unwrap();
            lacewing::weights::unpack::unpack(t.dtype, &bytes).unwrap()
        };
        same(&r.matrix(&w.embed), &direct("token_embd.weight"));
        same(&r.matrix(w.output.as_ref().unwrap()), &direct("output.weight"));
        for (i, l) in w.layers.iter().enumerate() {
            let name = |n: &str| format!("blk.{i}.{n}.weight");
            same(&r.matrix(&l.attention().unwrap().o.matrix), &direct(&name("attn_output")));
            same(&r.matrix(&l.dense_ffn().unwrap().down.matrix), &direct(&name("ffn_down")));
            same(&r.floats(l.norms.before_ffn.unwrap()), &direct(&name("ffn_norm")));
            let rows = qkv(&r, l);
            // Head 1 of q starts at row 64: row 1 of the reference code is row 2 of the file, row 32 is row 1.
            let (q, v) = (direct(&name("attn_q")), direct(&name("attn_v")));
            let row = |data: &[f32], n: usize| data[n * 256..(n + 1) * 256].to_vec();
            same(&row(&rows, 64 + 1), &row(&q, 64 + 2));
            same(&row(&rows, 64 + 32), &row(&q, 64 + 1));
            same(&rows[rows.len() - v.len()..], &v);
        }
    }
}
