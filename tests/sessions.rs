//! Sessions own their state: turns taken in turn, forks, and states given up and computed again. With the CPU references,
//! on a model of four layers' worth of arithmetic; `tests/platform` does the same in browsers and Node.

use lacewing::execute::cpu::CpuExecutor;
use lacewing::execute::{BufferUse, Executor};
use lacewing::formats::source::open_files;
use lacewing::kernels::{Bind, KvType};
use lacewing::model::spec::{Ffn, LayerSpec, Mixer, ModelSpec};
use lacewing::session::{GenerateOptions, LoadOptions, Model, SessionId, Usage};
use lacewing::state::{LayerState, RecurrentState, SessionState};
use pollster::block_on;
use std::path::Path;

fn load(parked_bytes: u64) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/hf/llama");
    let files = open_files(path.to_str().expect("UTF-8")).expect("the golden opens");
    let options = LoadOptions { kv_type: KvType::F32, parked_bytes, ..LoadOptions::default() };
    block_on(Model::load(files, Box::new(CpuExecutor::default()), options, &mut |_| {})).expect("the golden loads")
}

/// Greedy reply of `n` tokens, and what it cost.
fn reply(model: &mut Model, session: SessionId, ids: &[u32], n: u32) -> (Vec<u32>, Usage) {
    let options = GenerateOptions {
        max_tokens: Some(n),
        temperature: Some(0.0),
        repetition_penalty: Some(1.0),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    block_on(async {
        model.begin_in(session, ids, &options).await.expect("begin");
        let mut out = Vec::new();
        while let Some(piece) = model.next().await.expect("next") {
            out.extend(piece.ids);
        }
        (out, model.usage().expect("the reply is over"))
    })
}

fn prefilled(model: &Model) -> u64 {
    model.stats().prefilled_tokens
}

/// A turn of `who`: three tokens that differ by session and turn.
fn turn(who: u32, n: u32) -> [u32; 3] {
    [3 + 10 * who, 5 + n, 7 + who + n]
}

#[test]
fn sessions_that_take_turns_prefill_only_what_is_new() {
    const TOKENS: u32 = 4;
    let mut model = load(u64::MAX);
    let sessions = [model.create_session(), model.create_session()];
    let mut dialogues = [vec![1u32], vec![1u32]];
    let mut expected = 0;
    for n in 0..10 {
        for (who, session) in sessions.into_iter().enumerate() {
            let before = prefilled(&model);
            let held = dialogues[who].len();
            dialogues[who].extend(turn(who as u32, n));
            // The reply's last token was given out but not consumed: it is new, too.
            let new = if n == 0 { dialogues[who].len() } else { dialogues[who].len() - held + 1 } as u64;
            let (tokens, usage) = reply(&mut model, session, &dialogues[who], TOKENS);
            assert_eq!(prefilled(&model) - before, new, "session {who}, turn {n}");
            assert_eq!(u64::from(usage.prompt_tokens - usage.cached_tokens), new, "session {who}, turn {n}");
            dialogues[who].extend(tokens);
            expected += new;
        }
    }
    assert_eq!(prefilled(&model), expected);
    // What each said is what it says alone, from nothing.
    for (who, session) in sessions.into_iter().enumerate() {
        let (start, told) = dialogues[who].split_at(dialogues[who].len() - TOKENS as usize);
        let (alone, _) = reply(&mut load(0), SessionId::DEFAULT, start, TOKENS);
        assert_eq!(alone, told, "session {who}");
        block_on(model.close_session(session)).expect("close");
    }
    let e = block_on(model.begin_in(sessions[0], &[1], &GenerateOptions::default())).expect_err("it was closed");
    assert_eq!(e.code(), "disposed");
    reply(&mut model, SessionId::DEFAULT, &[1, 2, 3], 2);
}

#[test]
fn the_first_session_takes_what_was_made_while_loading() {
    let mut model = load(u64::MAX);
    let loaded = model.stats();
    assert!(loaded.session_bytes > 0);
    let first = model.create_session();
    reply(&mut model, first, &[1, 5, 9], 2);
    let after = model.stats();
    assert_eq!(after.session_bytes, loaded.session_bytes, "no second state");
    assert_eq!(after.dispatches_per_token, loaded.dispatches_per_token);
    let second = model.create_session();
    reply(&mut model, second, &[1, 5, 9], 2);
    assert_eq!(model.stats().session_bytes, 2 * loaded.session_bytes);
    // What is said of the model does not depend on the session used last.
    block_on(model.close_session(second)).expect("close");
    let closed = model.stats();
    assert_eq!((closed.dispatches_per_token, closed.kv_tokens), (loaded.dispatches_per_token, 0));
    assert_eq!(closed.session_bytes, loaded.session_bytes);
}

#[test]
fn a_fork_goes_on_where_the_first_is_and_both_stay_apart() {
    let mut model = load(u64::MAX);
    let first = model.create_session();
    let shared = [1, 9, 4, 33, 21, 8];
    let (said, _) = reply(&mut model, first, &shared, 3);
    let mut dialogue: Vec<u32> = shared.iter().chain(&said).copied().collect();
    let fork = block_on(model.fork_session(first)).expect("fork");
    let before = prefilled(&model);
    let mut other = dialogue.clone();
    dialogue.extend([50, 51]);
    other.extend([60, 61, 62]);
    let (a, _) = reply(&mut model, fork, &other, 5);
    let (b, _) = reply(&mut model, first, &dialogue, 5);
    // The reply's last token and what was added; nothing that they share.
    assert_eq!(prefilled(&model) - before, (1 + 3) + (1 + 2));
    assert_eq!(a, reply(&mut load(0), SessionId::DEFAULT, &other, 5).0);
    assert_eq!(b, reply(&mut load(0), SessionId::DEFAULT, &dialogue, 5).0);
    // A session without state forks, too.
    let empty = model.create_session();
    let copy = block_on(model.fork_session(empty)).expect("fork of an empty session");
    assert_eq!(reply(&mut model, copy, &other, 5).0, a);
}

#[test]
fn beyond_the_budget_the_least_recently_used_state_is_given_up() {
    let mut model = load(0);
    let bytes = |model: &Model| model.stats().session_bytes;
    let (a, b) = (model.create_session(), model.create_session());
    let (first, _) = reply(&mut model, a, &[1, 5, 9], 4);
    let one = bytes(&model);
    reply(&mut model, b, &[1, 6, 10], 4);
    assert_eq!(bytes(&model), one, "only the session in use keeps its state");
    let before = prefilled(&model);
    let (again, usage) = reply(&mut model, a, &[1, 5, 9], 4);
    assert_eq!((again, usage.cached_tokens, prefilled(&model) - before), (first, 0, 3));
    assert!(model.stats().session_evictions >= 2);

    // With room for one, the one used last stays.
    let mut model = load(one);
    let (a, b, c) = (model.create_session(), model.create_session(), model.create_session());
    for session in [a, b, c] {
        reply(&mut model, session, &[1, 5, 9, 11], 2);
    }
    let cached = |model: &mut Model, session| reply(model, session, &[1, 5, 9, 11], 2).1.cached_tokens;
    assert_eq!(cached(&mut model, b), 3, "b was parked when c came");
    assert_eq!(cached(&mut model, c), 3);
    assert_eq!(cached(&mut model, a), 0, "a was given up for b and c");
}

/// A state whose layers all are recurrent, which no architecture has yet.
fn recurrent(executor: &mut CpuExecutor) -> SessionState {
    let spec = ModelSpec {
        arch: "llama",
        d_model: 4,
        vocab_size: 4,
        context_length: 64,
        rms_norm_eps: 1e-6,
        ropes: Vec::new(),
        embedding_scale: 1.0,
        tied_embeddings: true,
        layers: Vec::<LayerSpec>::new(),
    };
    assert!(!spec.layers.iter().any(|l| matches!((&l.mixer, &l.ffn), (Mixer::Attention(_), Ffn::Dense(_)))));
    let mut state = SessionState::new(&spec, KvType::F16, 64, executor).expect("a state");
    for _ in 0..2 {
        let buffer = executor.create_buffer("state", 32, BufferUse::Cache).expect("a buffer");
        let state_bind = Bind { buffer, offset: 0, bytes: 32 };
        state.layers.push(LayerState::Recurrent(RecurrentState { state: state_bind, snapshots: Vec::new() }));
    }
    state
}

#[test]
fn recurrent_layers_go_back_to_snapshots_only() {
    let mut executor = CpuExecutor::default();
    let mut state = recurrent(&mut executor);
    let set = |state: &SessionState, executor: &mut CpuExecutor, value: u32| {
        for layer in &state.layers {
            let LayerState::Recurrent(r) = layer else { panic!("all are recurrent") };
            executor.write(r.state.buffer, 0, bytemuck::cast_slice(&[value; 8])).expect("write");
        }
    };
    let values = |state: &SessionState, executor: &mut CpuExecutor| -> Vec<u32> {
        let mut first = |layer: &LayerState| {
            let LayerState::Recurrent(r) = layer else { panic!("all are recurrent") };
            let bytes = block_on(executor.read(r.state.buffer, 0, 32)).expect("read");
            bytemuck::pod_collect_to_vec::<u8, u32>(&bytes)[7]
        };
        state.layers.iter().map(&mut first).collect()
    };
    let grow_to = |state: &mut SessionState, n: u32| {
        state.ids.extend(state.ids.len() as u32..n);
        state.position = n;
    };
    for n in [4, 9] {
        grow_to(&mut state, n);
        set(&state, &mut executor, n);
        state.snapshot(&mut executor).expect("snapshot");
    }
    grow_to(&mut state, 12);
    set(&state, &mut executor, 12);
    assert_eq!(state.rewind(12, &mut executor).unwrap(), 12, "nothing to forget");
    assert_eq!(values(&state, &mut executor), [12, 12]);
    // Steps in flight past the end have changed the state: it goes back to the last snapshot.
    state.position = 14;
    assert_eq!(state.rewind(12, &mut executor).unwrap(), 9);
    assert_eq!((state.ids.len(), state.position, values(&state, &mut executor)), (9, 9, vec![9, 9]));
    assert_eq!(state.rewind(6, &mut executor).unwrap(), 4);
    assert_eq!(values(&state, &mut executor), [4, 4]);
    assert_eq!(state.rewind(3, &mut executor).unwrap(), 0, "no snapshot is that old: from nothing");
    assert_eq!((state.ids.len(), values(&state, &mut executor)), (0, vec![0, 0]));
    let before = executor.counters().gpu_bytes;
    let bytes = state.bytes();
    state.free(&mut executor);
    assert_eq!(before - executor.counters().gpu_bytes, bytes, "all buffers are given back");
}
