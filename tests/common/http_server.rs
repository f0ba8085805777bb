//! A tiny HTTP/1.1 server over one file, with the faults of real ones. One request per connection.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// 206 for ranges.
    Range,
    /// 200 with everything, whatever was asked.
    NoRange,
    /// As `NoRange`, without Content-Length: the end of the connection ends the file.
    Unsized,
    /// As `Range`, but after the first request every answer breaks off half way; the next goes through, and so on.
    CutEverySecond,
    /// As `NoRange`, but every second answer breaks off half way.
    CutStreamEverySecond,
    /// As `Range`, but each answer stops after half its body, and every later one before its first byte.
    CutAlways,
    /// As `NoRange`, but each answer stops half way.
    CutStreamAlways,
    /// As `Range`, with every second answer 503.
    BusyEverySecond,
    /// Always this status, without a body.
    Status(u16),
    /// 206 for the first byte, then this status.
    StatusLater(u16),
    /// 206 for the first byte, then 200 with everything.
    WholeLater,
    /// 206, but the file grows after the first request.
    Grows,
    /// 302 to the same path with `?moved`, then as `Range`.
    Redirect,
}

/// A running server and the log of its requests: path with query, and Range or "".
pub struct Server {
    pub url: String,
    log: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    /// Serves `body` at every path whose name is `name`; 404 elsewhere. Lives as long as the test process.
    pub fn start(name: &str, body: Vec<u8>, mode: Mode) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (name, entries) = (name.to_string(), log.clone());
        std::thread::spawn(move || {
            for (count, stream) in listener.incoming().enumerate() {
                // The client may hang up at any time: that is its right.
                let _ = stream.and_then(|s| answer(s, &name, &body, mode, count, &entries));
            }
        });
        Server { url, log }
    }

    pub fn requests(&self) -> Vec<(String, String)> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    name: &str,
    body: &[u8],
    mode: Mode,
    count: usize,
    log: &Mutex<Vec<(String, String)>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut range) = (String::new(), String::new());
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        if let Some(("range", value)) = header.to_ascii_lowercase().split_once(": ") {
            range = value.trim().to_string();
        }
    }
    log.lock().unwrap().push((path.clone(), range.clone()));
    let status =
        |code: u16, more: &str| format!("HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: 0\r\n{more}\r\n");
    let file = path.split('?').next().and_then(|p| p.rsplit('/').next()).unwrap_or_default();
    if file != name {
        return stream.write_all(status(404, "").as_bytes());
    }
    match mode {
        Mode::Status(code) => return stream.write_all(status(code, "").as_bytes()),
        Mode::StatusLater(code) if count > 0 => return stream.write_all(status(code, "").as_bytes()),
        Mode::BusyEverySecond if count.is_multiple_of(2) => return stream.write_all(status(503, "").as_bytes()),
        Mode::Redirect if !path.contains("moved") => {
            return stream.write_all(status(302, &format!("Location: /{file}?moved\r\n")).as_bytes());
        }
        _ => {}
    }
    let whole = match mode {
        Mode::NoRange | Mode::Unsized | Mode::CutStreamEverySecond | Mode::CutStreamAlways => true,
        Mode::WholeLater => count > 0,
        _ => false,
    };
    let bounds = range.strip_prefix("bytes=").and_then(|r| r.split_once('-'));
    let bounds = bounds.and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)));
    let (head, part) = match bounds {
        Some((first, last)) if !whole => {
            if first >= body.len() {
                let more = format!("Content-Range: bytes */{}\r\n", body.len());
                return stream.write_all(status(416, &more).as_bytes());
            }
            let last = last.min(body.len() - 1);
            let total = body.len() + usize::from(mode == Mode::Grows && count > 0);
            let range = format!("Content-Range: bytes {first}-{last}/{total}\r\n");
            (format!("HTTP/1.1 206 X\r\n{range}"), &body[first..=last])
        }
        _ => ("HTTP/1.1 200 X\r\n".to_string(), body),
    };
    let length = format!("Content-Length: {}\r\n", part.len());
    let length = if mode == Mode::Unsized { "" } else { &length };
    stream.write_all(format!("{head}{length}Connection: close\r\n\r\n").as_bytes())?;
    let sent = match mode {
        Mode::CutEverySecond if count % 2 == 1 => part.len() / 2,
        Mode::CutStreamEverySecond if count.is_multiple_of(2) => part.len() / 2,
        Mode::CutAlways if count == 1 => part.len() / 2,
        Mode::CutAlways if count > 1 => 0,
        Mode::CutStreamAlways => part.len() / 2,
        _ => part.len(),
    };
    stream.write_all(&part[..sent])
}
