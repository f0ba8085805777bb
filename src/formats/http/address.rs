//! What a URL says: which file or directory, and how its neighbours are asked for.

use crate::error::{Error, Result};

/// Names that are files by their ending. Of others only the server knows whether they are files or directories.
const FILES: &[&str] = &[".gguf", ".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt"];

/// A URL in its parts, each percent-encoded.
pub(super) struct Address {
    /// Scheme, host and folder: ends in `/`.
    base: String,
    /// The last part of the path; empty for a directory.
    last: String,
    /// From `?` on: goes with every file, because signatures and tokens stand there.
    query: String,
    /// From `user:password@`, which no message may show.
    authorization: Option<String>,
}

impl Address {
    /// From a URL as people write it: with spaces, letters of any script, or a `%` that begins no code.
    pub(super) fn parse(url: &str) -> Result<Address> {
        Address::read(url).map(Address::of_hugging_face)
    }

    /// Where `Location: location` leads from `url`.
    pub(super) fn redirect(url: &str, location: &str) -> Result<Address> {
        let location = location.trim();
        let origin = &url[..url.len().min(origin(url).len())];
        let path = url[origin.len()..].split(['?', '#']).next().unwrap_or_default();
        let has_scheme = location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
        let whole = if has_scheme {
            location.to_string()
        } else if location.starts_with("//") {
            format!("{}:{location}", url.split(':').next().unwrap_or_default())
        } else if location.starts_with('/') {
            format!("{origin}{location}")
        } else if location.is_empty() || location.starts_with(['?', '#']) {
            format!("{origin}{path}{location}")
        } else {
            format!("{origin}{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder))
        };
        Address::read(&whole)
    }

    fn read(url: &str) -> Result<Address> {
        let url = url.trim().split('#').next().unwrap_or_default();
        let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let wrong = |what: &str| Error::BadRequest(format!("this is not a URL that can be loaded: {what}"));
        let (scheme, rest) = path.split_once("://").ok_or_else(|| wrong("it has to begin with https://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (authorization, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(basic(user)), host),
            None => (None, authority),
        };
        if host.is_empty() || host.starts_with(':') {
            return Err(wrong("a host is missing"));
        }
        if !host.is_ascii() {
            return Err(wrong("write the host in ASCII (xn--...)"));
        }
        let mut parts: Vec<String> = Vec::new();
        for part in path.split('/').skip(1) {
            match part {
                "." | ".." => {
                    parts.truncate(parts.len().saturating_sub(part.len() - 1));
                    // What follows is a directory, also at the end of the path.
                    continue;
                }
                _ => parts.push(escape(part, "?#[]\\")),
            }
        }
        let ends_in_dots = path.ends_with("/.") || path.ends_with("/..");
        let last = if ends_in_dots { String::new() } else { parts.pop().unwrap_or_default() };
        let folder = parts.iter().map(|part| format!("{part}/")).collect::<String>();
        let origin = format!("{}://{}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        Ok(Address { base: format!("{origin}/{folder}"), last, query: escape(query, "#[]\\"), authorization })
    }

    /// Pages of huggingface.co, as people copy their addresses, become where the bytes are.
    fn of_hugging_face(mut self) -> Address {
        let rest = ["https://huggingface.co/", "https://hf.co/", "http://huggingface.co/", "http://hf.co/"]
            .iter()
            .find_map(|host| self.base.strip_prefix(host));
        let Some(rest) = rest else { return self };
        let host = self.base[..self.base.len() - rest.len()].to_string();
        let path = format!("{rest}{}", self.last);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [owner, name] => {
                self.base = format!("{host}{owner}/{name}/resolve/main/");
                self.last.clear();
            }
            [owner, name, kind @ ("tree" | "blob" | "raw"), ref rest @ ..] if !rest.is_empty() => {
                let (last, folder) = if kind == "tree" { (None, rest) } else { (rest.last(), &rest[..rest.len() - 1]) };
                self.base = format!("{host}{owner}/{name}/resolve/");
                folder.iter().for_each(|part| self.base = format!("{}{part}/", self.base));
                self.last = last.map_or(String::new(), |last| last.to_string());
            }
            _ => {}
        }
        self
    }

    /// The name of what the path ends in, for people and messages; None for a directory.
    pub(super) fn name(&self) -> Option<String> {
        (!self.last.is_empty()).then(|| decode(&self.last))
    }

    /// Whether the ending alone tells that this is a file.
    pub(super) fn is_file(&self) -> bool {
        let last = self.last.to_ascii_lowercase();
        FILES.iter().any(|ending| last.len() > ending.len() && last.ends_with(ending))
    }

    /// The URL itself.
    pub(super) fn own(&self) -> String {
        self.url(&self.base, &self.last)
    }

    /// The URL of a file beside this one.
    pub(super) fn beside(&self, name: &str) -> String {
        self.url(&self.base, &self.encode(name))
    }

    /// The URL of a file inside this directory.
    pub(super) fn inside(&self, name: &str) -> String {
        let slash = if self.last.is_empty() { "" } else { "/" };
        self.url(&format!("{}{}{slash}", self.base, self.last), &self.encode(name))
    }

    /// `%` is a letter of a name, unless the URL's own name could not be decoded.
    fn encode(&self, name: &str) -> String {
        let decoded = decode(&self.last) != self.last || !self.last.contains('%');
        escape(name, if decoded { "/?#[]\\%" } else { "/?#[]\\" })
    }

    fn url(&self, base: &str, last: &str) -> String {
        format!("{base}{last}{}", self.query)
    }

    /// The value of the header `Authorization`, where the URL holds a user.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// Scheme, host and port of a URL.
pub(super) fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at)]
}

/// Basic authentication with `user:password` as it stands in a URL.
fn basic(user: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let user = if user.contains(':') { user.to_string() } else { format!("{user}:") };
    let mut out = "Basic ".to_string();
    for group in decode(&user).as_bytes().chunks(3) {
        let bits = group.iter().fold(0, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize % 64];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Percent-encodes what no URL may have, and the letters of `special`. `%` stays where it begins a code.
fn escape(text: &str, special: &str) -> String {
    let bytes = text.as_bytes();
    let is_code = |i: usize| bytes.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    let stays = |i: usize, b: u8| match b {
        b'%' => is_code(i) && !special.contains('%'),
        _ => b.is_ascii_graphic() && !b"\"<>^`{|}".contains(&b) && !special.contains(char::from(b)),
    };
    let one = |(i, &b)| if stays(i, b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    bytes.iter().enumerate().map(one).collect()
}

/// A part of a path as text; as it stands when its codes are not UTF-8.
fn decode(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_string())
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn shown(url: &str) -> (String, Option<String>) {
        let address = Address::parse(url).unwrap();
        (address.own(), address.name())
    }

    #[test]
    fn urls_as_people_write_them() {
        for (url, wanted, name) in [
            ("http://h/a/m.gguf", "http://h/a/m.gguf", "m.gguf"),
            (" HTTPS://H:8/a b/\u{e9}.GGUF#x?y ", "https://h:8/a%20b/%C3%A9.GGUF", "\u{e9}.GGUF"),
            ("http://h/100%.gguf?a=/b&c=%2F", "http://h/100%25.gguf?a=/b&c=%2F", "100%.gguf"),
            ("http://h/%zz%4", "http://h/%25zz%254", "%zz%4"),
            ("http://h/a+b%2Bc.gguf", "http://h/a+b%2Bc.gguf", "a+b+c.gguf"),
            ("http://h/%ff.gguf", "http://h/%ff.gguf", "%ff.gguf"),
            ("http://h/sha256:ab", "http://h/sha256:ab", "sha256:ab"),
            ("http://h/x/../a/./m.gguf", "http://h/a/m.gguf", "m.gguf"),
            ("http://u:p%40@h/m.gguf", "http://h/m.gguf", "m.gguf"),
            ("http://h", "http://h/", ""),
            ("http://h?x=1", "http://h/?x=1", ""),
            ("http://h/a/..", "http://h/", ""),
            ("https://huggingface.co/o/n", "https://huggingface.co/o/n/resolve/main/", ""),
            ("https://hf.co/o/n/tree/main/sub", "https://hf.co/o/n/resolve/main/sub/", ""),
            (
                "https://hf.co/o/n/raw/v1/m.gguf?download=true",
                "https://hf.co/o/n/resolve/v1/m.gguf?download=true",
                "m.gguf",
            ),
            (
                "https://huggingface.co/o/n/blob/main/s/m.gguf",
                "https://huggingface.co/o/n/resolve/main/s/m.gguf",
                "m.gguf",
            ),
            (
                "https://huggingface.co/o/n/resolve/main/m.gguf",
                "https://huggingface.co/o/n/resolve/main/m.gguf",
                "m.gguf",
            ),
        ] {
            assert_eq!(shown(url), (wanted.to_string(), Some(name.to_string()).filter(|n| !n.is_empty())), "{url}");
        }
        for (user, wanted) in [("u:p%40", "dTpwQA=="), ("ab", "YWI6"), ("u:p%C3%A9@x", "dTpww6lAeA==")] {
            let address = Address::parse(&format!("http://{user}@h/m.gguf")).unwrap();
            assert_eq!(address.authorization(), Some(format!("Basic {wanted}").as_str()));
        }
        for bad in ["http://", "https:///m.gguf", "http://:80/x", "m.gguf", "http://\u{e9}.org/"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_lead_where_browsers_go() {
        let from = "https://h:8/a/b.gguf?x=1";
        for (location, wanted) in [
            ("http://o/c d.gguf?s=\u{e9}", "http://o/c%20d.gguf?s=%C3%A9"),
            ("//o/c", "https://o/c"),
            ("/c?y", "https://h:8/c?y"),
            ("c.gguf", "https://h:8/a/c.gguf"),
            ("../c.gguf", "https://h:8/c.gguf"),
            ("?y=2", "https://h:8/a/b.gguf?y=2"),
            ("./c:d", "https://h:8/a/c:d"),
            ("/o/n", "https://h:8/o/n"),
        ] {
            assert_eq!(Address::redirect(from, location).unwrap().own(), wanted, "{location}");
        }
        // A page of huggingface.co is one only where a person wrote it.
        assert_eq!(Address::redirect("https://hf.co/o/n/x", "/o/m").unwrap().own(), "https://hf.co/o/m");
        assert!(Address::redirect(from, "mailto:x").is_err());
    }

    #[test]
    fn neighbours_have_their_own_names_and_the_same_query() {
        let file = Address::parse("http://h/a/100%-00001-of-00002.gguf?sig=%2F").unwrap();
        assert_eq!(file.beside("100%-00002-of-00002.gguf"), "http://h/a/100%25-00002-of-00002.gguf?sig=%2F");
        assert_eq!(file.beside("a b#?%41.json"), "http://h/a/a%20b%23%3F%2541.json?sig=%2F");
        let raw = Address::parse("http://h/%ff-00001-of-00002.gguf").unwrap();
        assert_eq!(raw.beside("%ff-00002-of-00002.gguf"), "http://h/%ff-00002-of-00002.gguf");
        for directory in ["http://h/d?t=1", "http://h/d/?t=1"] {
            assert_eq!(Address::parse(directory).unwrap().inside("config.json"), "http://h/d/config.json?t=1");
        }
        assert_eq!(Address::parse("http://h").unwrap().inside("config.json"), "http://h/config.json");
    }
}
