//! Files over HTTP, against a server of this process with the faults of real ones.

use super::code;
use super::gguf_writer;
use super::http_server::{Mode, Server};
use lacewing::Result;
use lacewing::formats::gguf::{self, Value};
use lacewing::formats::source::{ByteSource, open_files};
use pollster::block_on;
use std::rc::Rc;

/// `n` bytes that differ from their neighbours at every distance that matters.
fn body(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i ^ (i >> 8) ^ (i >> 15)) as u8).collect()
}

fn serve(n: usize, mode: Mode) -> (Server, Vec<u8>) {
    let bytes = body(n);
    (Server::start("m.gguf", bytes.clone(), mode), bytes)
}

fn open(server: &Server) -> Result<Rc<dyn ByteSource>> {
    let files = open_files(&format!("{}/a/m.gguf", server.url))?;
    assert_eq!(files.main().as_deref(), Some("m.gguf"));
    Ok(block_on(files.open("m.gguf"))?.expect("the main file is found or an error"))
}

/// Forwards, backwards, nothing, the end, everything, and beyond the end.
fn check(source: &dyn ByteSource, bytes: &[u8]) {
    let n = bytes.len();
    assert_eq!(source.len(), n as u64);
    for (offset, len) in [(0, 10), (1000, n / 2), (500, 20), (n - 1, 1), (n, 0), (7, 0), (n / 3, n / 3), (0, n)] {
        let got = block_on(source.read(offset as u64, len as u64)).unwrap();
        assert!(got == bytes[offset..offset + len], "{len} bytes at {offset} differ");
    }
    for (offset, len) in [(0, n as u64 + 1), (n as u64, 1), (u64::MAX, 2), (1, u64::MAX)] {
        assert_eq!(code(block_on(source.read(offset, len))), "bad-file");
    }
}

#[test]
fn every_kind_of_server_gives_the_same_bytes() {
    for mode in [
        Mode::Range,
        Mode::NoRange,
        Mode::Unsized,
        Mode::CutEverySecond,
        Mode::CutStreamEverySecond,
        Mode::BusyEverySecond,
        Mode::WholeLater,
        Mode::Redirect,
    ] {
        let (server, bytes) = serve(300_000, mode);
        println!("{mode:?}");
        check(&*open(&server).unwrap(), &bytes);
    }
}

#[test]
fn ranges_are_asked_for_and_no_more() {
    let (server, bytes) = serve(100_000, Mode::Range);
    let source = open(&server).unwrap();
    assert_eq!(block_on(source.read(5_000, 1_000)).unwrap(), bytes[5_000..6_000]);
    let ranges: Vec<String> = server.requests().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, ["bytes=0-0", "bytes=5000-5999"]);
}

#[test]
fn a_cut_slice_resumes_where_it_broke_off() {
    let (server, bytes) = serve(100_000, Mode::CutEverySecond);
    let source = open(&server).unwrap();
    assert_eq!(block_on(source.read(0, 100_000)).unwrap(), bytes);
    let ranges: Vec<String> = server.requests().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, ["bytes=0-0", "bytes=0-99999", "bytes=50000-99999"]);
}

#[test]
fn a_stream_without_ranges_is_read_once_when_read_forward() {
    let (server, bytes) = serve(1_000_000, Mode::NoRange);
    let source = open(&server).unwrap();
    for offset in (0..1_000_000).step_by(50_000) {
        let got = block_on(source.read(offset, 40_000)).unwrap();
        assert!(got == bytes[offset as usize..][..40_000]);
    }
    // The head is kept: header bytes are read again without a request.
    assert_eq!(block_on(source.read(3, 9)).unwrap(), bytes[3..12]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_stream_beyond_the_kept_head_begins_again() {
    let n = (33 << 20) + 17;
    let (server, bytes) = serve(n, Mode::NoRange);
    let source = open(&server).unwrap();
    let (far, head) = (n - 1000, 32 << 20);
    assert!(block_on(source.read(far as u64, 900)).unwrap() == bytes[far..far + 900]);
    // From the head into the part that is not kept, then forward, then inside the head.
    assert!(block_on(source.read(head - 100, 200)).unwrap() == bytes[head as usize - 100..head as usize + 100]);
    assert!(block_on(source.read(head + 5000, 70)).unwrap() == bytes[head as usize + 5000..head as usize + 5070]);
    assert!(block_on(source.read(0, head)).unwrap() == bytes[..head as usize]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn connections_that_always_break_are_a_failed_download() {
    let (server, _) = serve(100_000, Mode::CutAlways);
    let source = open(&server).unwrap();
    assert_eq!(code(block_on(source.read(0, 100_000))), "download-failed");
    // One request to open, one for the slice, three reconnections.
    assert_eq!(server.requests().len(), 5);
    let (server, _) = serve(100_000, Mode::CutStreamAlways);
    let source = open(&server).unwrap();
    assert_eq!(code(block_on(source.read(0, 100_000))), "download-failed");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn statuses() {
    for status in [404, 410, 401, 403, 416, 500, 418] {
        let (server, _) = serve(1000, Mode::Status(status));
        let error = open(&server).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "download-failed", "{status}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
    for status in [404, 416, 403, 500] {
        let (server, _) = serve(1000, Mode::StatusLater(status));
        let source = open(&server).unwrap();
        let error = block_on(source.read(0, 10)).unwrap_err();
        assert_eq!(error.code(), "download-failed", "{status}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
    let (server, _) = serve(1000, Mode::Grows);
    let error = block_on(open(&server).unwrap().read(0, 10)).unwrap_err();
    assert!(error.code() == "download-failed" && error.to_string().contains("changed"), "{error}");
    let empty = Server::start("m.gguf", Vec::new(), Mode::Range);
    assert!(open(&empty).unwrap().is_empty());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let files = open_files(&format!("http://{closed}/m.gguf")).unwrap();
    assert_eq!(code(block_on(files.open("m.gguf")).map(|_| ())), "download-failed");
}

#[test]
fn names_and_queries_of_urls() {
    let server = Server::start("config.json", b"{}".to_vec(), Mode::Range);
    let directory = open_files(&format!("{}/org/model/?token=a/b.gguf#part", server.url)).unwrap();
    assert_eq!(directory.main(), None);
    let source = block_on(directory.open("config.json")).unwrap().unwrap();
    assert_eq!(block_on(source.read(0, 2)).unwrap(), b"{}");
    // Optional files that are missing are no error.
    assert!(block_on(directory.open("chat template?.jinja")).unwrap().is_none());
    assert_eq!(code(block_on(directory.open("../config.json")).map(|_| ())), "bad-file");
    let paths: Vec<String> = server.requests().into_iter().map(|(path, _)| path).collect();
    let query = "?token=a/b.gguf";
    assert_eq!(
        paths,
        [
            format!("/org/model/config.json{query}"),
            format!("/org/model/config.json{query}"),
            format!("/org/model/chat%20template%3F.jinja{query}"),
        ]
    );
    let file = open_files(&format!("{}/org/M.Q4_0.GGUF?x=1", server.url)).unwrap();
    assert_eq!(file.main().as_deref(), Some("M.Q4_0.GGUF"));
    assert!(block_on(file.open("config.json")).unwrap().is_some());
    assert_eq!(server.requests().last().unwrap().0, "/org/config.json?x=1");
    for bad in ["http://", "https:///m.gguf"] {
        assert_eq!(code(open_files(bad).map(|_| ())), "bad-request", "{bad}");
    }
}

/// Object stores answer 403 where there is no file, other servers other refusals; only the main file keeps its error.
#[test]
fn any_refusal_of_an_optional_file_means_absent() {
    for status in [400, 401, 403, 404, 405, 406, 410, 416, 418, 451] {
        let server = Server::start("f", Vec::new(), Mode::Status(status));
        let directory = open_files(&server.url).unwrap();
        assert!(block_on(directory.open("f")).unwrap().is_none(), "{status}");
        let server = Server::start("config.json", Vec::new(), Mode::Status(status));
        let directory = open_files(&server.url).unwrap();
        match block_on(directory.open("config.json")) {
            Ok(found) => assert!(found.is_none() && [404, 410].contains(&status), "{status}"),
            Err(e) => assert!(e.code() == "download-failed" && e.to_string().contains(&status.to_string()), "{e}"),
        }
    }
    // A server that is broken says nothing about the file.
    let server = Server::start("f", Vec::new(), Mode::Status(500));
    assert_eq!(code(block_on(open_files(&server.url).unwrap().open("f")).map(|_| ())), "download-failed");
}

/// Single-page apps answer 200 with their index.html where there is no file.
#[test]
fn a_web_page_in_place_of_an_optional_file_means_absent() {
    let pages = [
        "<!DOCTYPE html>\n<html><head></head><body></body></html>",
        "\u{feff}\n <!doctype html><title>x</title>",
        "<!-- build 7 --> <!-- b -->\n<HTML lang=\"en\">",
        "<html>",
    ];
    let files =
        ["{\"a\": 1}", "<s>{{ messages }}", "<|im_start|>", "<htmlish>", "<!-- {{ x }} -->", "<", "", "{# <html> #}"];
    for mode in [Mode::Range, Mode::NoRange, Mode::Unsized] {
        for (text, page) in pages.iter().map(|p| (p, true)).chain(files.iter().map(|f| (f, false))) {
            for name in ["chat_template.jinja", "tokenizer_config.json", "model.safetensors"] {
                let server = Server::start(name, text.as_bytes().to_vec(), mode);
                let found = block_on(open_files(&server.url).unwrap().open(name)).unwrap();
                assert_eq!(found.is_none(), page, "{mode:?} {name}: {text:?}");
                if let Some(source) = found {
                    assert_eq!(block_on(source.read(0, source.len())).unwrap(), text.as_bytes(), "{mode:?} {name}");
                }
            }
            // What has to be there is not looked into: its reader says what is wrong with it.
            for (url, name) in [("", "config.json"), ("/m.gguf", "m.gguf")] {
                let server = Server::start(name, text.as_bytes().to_vec(), mode);
                let files = open_files(&format!("{}{url}", server.url)).unwrap();
                assert!(block_on(files.open(name)).unwrap().is_some(), "{mode:?} {name}: {text:?}");
            }
        }
    }
}

#[test]
fn a_gguf_over_http() {
    let tensor = gguf_writer::Tensor::f32("norm", &[2], &[1.5, -2.0]);
    let bytes = gguf_writer::write(&[("general.architecture", Value::String("llama".into()))], &[tensor]);
    for mode in [Mode::Range, Mode::NoRange, Mode::CutEverySecond] {
        let server = Server::start("m.gguf", bytes.clone(), mode);
        let files = open_files(&format!("{}/m.gguf", server.url)).unwrap();
        let (metadata, file) = block_on(gguf::read(&*files)).unwrap();
        assert_eq!(metadata.str("general.architecture"), Some("llama"));
        let t = file.get("norm").unwrap();
        let want: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(block_on(file.read(t, 0, 8)).unwrap(), want);
    }
}
