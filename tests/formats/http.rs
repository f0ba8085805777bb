//! Files over HTTP: the cases of `tests/goldens/http`, which the JavaScript suites run, too, and what only this side has.

use super::node_server::{bytes_of, cases, server};
use super::{code, expect};
use lacewing::formats::TensorFile;
use lacewing::formats::http::{HttpFiles, Patience};
use lacewing::formats::source::{ByteSource, Files, open_files};
use lacewing::model::open::open;
use lacewing::{Error, Result};
use pollster::block_on;
use serde_json::Value;
use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Outages as real ones, a hundred times faster.
const PATIENCE: Patience = Patience {
    first: Duration::from_millis(5),
    longest: Duration::from_millis(50),
    outage: Duration::from_millis(3000),
};

fn http_files(url: &str) -> Result<HttpFiles> {
    HttpFiles::with_agent(url, HttpFiles::config().new_agent(), PATIENCE)
}

/// `url` below the server's address, with `case=id` in its query.
fn address(url: &str, id: &str, user: Option<&str>) -> String {
    let (path, fragment) = url.split_once('#').map_or((url, String::new()), |(path, rest)| (path, format!("#{rest}")));
    let mark = if path.contains('?') { '&' } else { '?' };
    let base = match user {
        Some(user) => server().url.replacen("://", &format!("://{user}@"), 1),
        None => server().url.clone(),
    };
    format!("{base}{path}{mark}case={id}{fragment}")
}

/// As a model is read: the beginning, forward, back again, the end, everything in slices.
fn check(source: &dyn ByteSource, bytes: &[u8]) -> Result<()> {
    let n = bytes.len();
    if source.len() != n as u64 {
        return Err(Error::BadFile(format!("{} bytes instead of {n}", source.len())));
    }
    let mut ranges =
        vec![(0, n.min(8)), (n / 3, n / 4), (n.min(10), 100.min(n - n.min(10))), (n - n.min(1), n.min(1)), (n, 0)];
    ranges.extend((0..n).step_by(1_000_000).map(|at| (at, 1_000_000.min(n - at))));
    for (offset, len) in ranges {
        let got = block_on(source.read(offset as u64, len as u64))?;
        assert!(got == bytes[offset..offset + len], "{len} bytes at {offset} differ");
    }
    assert_eq!(block_on(source.read(n as u64, 1)).unwrap_err().code(), "bad-file");
    Ok(())
}

/// What went wrong in a case.
fn run(id: &str, case: &Value, trees: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let url = case["url"].as_str().unwrap();
    let path = url.split(['?', '#']).next().unwrap().replace("./x/../", "");
    let tree = &trees[path.split('/').nth(1).unwrap()];
    let waits = Rc::new(Cell::new(0));
    let heard = waits.clone();
    let files = http_files(&address(url, id, case["user"].as_str())).unwrap();
    let files = files.on_waiting(move |_| heard.set(heard.get() + 1));
    if let Some(main) = case.get("main")
        && files.main().as_deref() != main.as_str()
    {
        faults.push(format!("the file is {:?}", files.main()));
    }
    for (name, want) in case["files"].as_object().unwrap() {
        let opened = match case["need"] == true {
            true => block_on(files.need(name, "")).map(Some),
            false => block_on(files.open(name)),
        };
        let folder = tree.as_object().unwrap();
        let content = folder
            .iter()
            .find(|(path, _)| *path == name || path.rsplit('/').next() == Some(name))
            .map(|(_, content)| content);
        let result = opened.and_then(|source| match source {
            None => Ok("absent"),
            Some(source) => check(&*source, &bytes_of(content.expect("in the tree"))).map(|()| "same"),
        });
        let said = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let found = result.as_ref().copied().unwrap_or_else(Error::code);
        if want != found {
            faults.push(format!("{name} is {found}, not {want} {said}"));
        }
        let details = result.as_ref().err().and_then(Error::details);
        if case.get("status") != details.and_then(|details| details.get("status")) {
            faults.push(format!("{details:?} has another status"));
        }
        let parts =
            |key: &str| case[key].as_array().into_iter().flatten().map(|part| part.as_str().unwrap().to_string());
        faults.extend(parts("says").filter(|part| !said.contains(part)).map(|part| format!("{said:?} lacks {part:?}")));
        faults.extend(parts("unsaid").filter(|part| said.contains(part)).map(|part| format!("{said:?} has {part:?}")));
    }
    if case["waits"] == true && waits.get() == 0 {
        faults.push("it did not say that it waits".into());
    }
    let log = server().log(id);
    if case["requests"].as_u64().is_some_and(|most| log.len() as u64 > most) {
        faults.push(format!("{} requests: {log:?}", log.len()));
    }
    faults
}

#[test]
fn what_servers_do() {
    let all = cases();
    let (trees, list) = (&all["trees"], all["cases"].as_array().unwrap());
    let next = AtomicUsize::new(0);
    let one = || {
        let mut faults = Vec::new();
        while let Some((i, case)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, list.get(i)?))) {
            let url = &case["url"];
            faults.extend(run(&format!("n{i}"), case, trees).iter().map(|fault| format!("{url}: {fault}")));
        }
        faults
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "of {} cases:\n{}", list.len(), faults.join("\n"));
}

/// Whole models through the loader: what it does without must not be in the way, and weights are the same bytes.
#[test]
fn models_load_from_every_kind_of_server() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let models = [("hf/llama", "/"), ("gguf-models/llama-Q4_0.gguf", "")];
    for (model, slash) in models {
        let local = block_on(open(&*open_files(goldens.join(model).to_str().unwrap()).unwrap())).unwrap();
        for mode in ["s3", "spa", "xml200", "gzip", "later200", "star", "chunked", "cutat-200000"] {
            let files = http_files(&address(&format!("{mode}/goldens/{model}{slash}"), "models", None)).unwrap();
            let remote = block_on(open(&files)).unwrap_or_else(|e| panic!("{mode} {model}: {e}"));
            assert_eq!(remote.tensors.tensors, local.tensors.tensors, "{mode} {model}");
            assert!(remote.text.chat_template_jinja.is_none(), "{mode} {model}: a page became a template");
            for t in &local.tensors.tensors {
                let read = |file: &TensorFile| block_on(file.read(t, 0, t.bytes)).unwrap();
                assert!(read(&remote.tensors) == read(&local.tensors), "{mode} {model}: {}", t.name);
            }
        }
    }
}

#[test]
fn a_server_that_is_gone_is_not_asked_for_other_files() {
    let files = http_files(&address("outage-100000/goldens/hf/llama/", "gone", None)).unwrap();
    expect(block_on(open(&files)).map(|_| ()), "download-failed", "model.safetensors?");
    assert!(server().log("gone").iter().skip(1).all(|[_, path, _]| path.contains("model.safetensors?")));
}

#[test]
fn ranges_are_asked_for_and_no_more() {
    let files = http_files(&address("plain/m/m.gguf", "ranges", None)).unwrap();
    let source = block_on(files.open("m.gguf")).unwrap().unwrap();
    for (offset, len) in [(5_000, 1_000), (2_000_000, 1_000), (1_048_000, 1_000), (0, 1_048_576)] {
        assert_eq!(block_on(source.read(offset, len)).unwrap().len() as u64, len);
    }
    let ranges: Vec<String> = server().log("ranges").into_iter().map(|[.., range]| range).collect();
    assert_eq!(ranges, ["bytes=0-1048575", "bytes=2000000-2000999", "bytes=1048576-1048999"]);
}

#[test]
fn a_cut_slice_resumes_where_it_broke_off() {
    let files = http_files(&address("cutat-700000/m/m.gguf", "resumes", None)).unwrap();
    let source = block_on(files.open("m.gguf")).unwrap().unwrap();
    assert_eq!(block_on(source.read(0, 2_000_000)).unwrap().len(), 2_000_000);
    let ranges: Vec<String> = server().log("resumes").into_iter().map(|[.., range]| range).collect();
    assert_eq!(ranges, ["bytes=0-1048575", "bytes=700000-1999999", "bytes=1400000-1999999"]);
}

#[test]
fn a_stream_without_ranges_is_read_once_when_read_forward() {
    let files = http_files(&address("norange/m/m.gguf", "once", None)).unwrap();
    let source = block_on(files.open("m.gguf")).unwrap().unwrap();
    for offset in (0..3_000_000).step_by(50_000) {
        assert_eq!(block_on(source.read(offset, 40_000)).unwrap().len(), 40_000);
    }
    // The head is kept: header bytes are read again without a request.
    assert_eq!(block_on(source.read(0, 4)).unwrap(), b"GGUF");
    assert_eq!(server().log("once").len(), 1);
}

#[test]
fn without_a_server_and_without_a_url() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let files = http_files(&format!("http://{closed}/m.gguf")).unwrap();
    expect(block_on(files.open("m.gguf")).map(|_| ()), "download-failed", "/m.gguf");
    let files = http_files(&format!("http://{closed}/model")).unwrap();
    assert_eq!(files.main().as_deref(), Some("model"));
    expect(block_on(files.open("model")).map(|_| ()), "download-failed", "/model");
    for bad in ["http://", "HTTPS:///m.gguf", "http://:80/m.gguf", "http://b\u{fc}cher.example/m.gguf"] {
        assert_eq!(code(open_files(bad).map(|_| ())), "bad-request", "{bad}");
    }
    let files = open_files(&address("plain/dir/", "names", None)).unwrap();
    assert_eq!(code(block_on(files.open("../config.json")).map(|_| ())), "bad-file");
}

#[test]
fn the_command_line_says_that_it_waits() {
    let inspect = |path: &str| {
        let url = address(path, "cli", None);
        Command::new(env!("CARGO_BIN_EXE_lacewing")).args(["inspect", &url]).output().unwrap()
    };
    let output = inspect("late-1000/goldens/hf/llama/");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("waiting: config.json: ") && said.contains("trying again in 0.3 s"), "{said}");
    let output = inspect("status-403/m/m.gguf");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("error[download-failed]: ") && said.contains("403"), "{said}");
}
