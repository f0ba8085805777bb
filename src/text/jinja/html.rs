//! Escaping HTML, as markupsafe does: few chat templates need it, but Jinja's filters are defined by it.

use super::value::Text;

/// `escape(text)`
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '>' => out.push_str("&gt;"),
            '<' => out.push_str("&lt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

/// `escape(text)` of a text that may be safe already.
pub(super) fn escaped(text: &Text) -> String {
    if text.safe { text.text.to_string() } else { escape(&text.text) }
}

/// `Markup.striptags`: no comments, no tags, one space for each run of white space, entities resolved.
pub(super) fn strip_tags(text: &str) -> String {
    let without_comments = without(text, "<!--", "-->");
    let value = without(&without_comments, "<", ">");
    let words: Vec<&str> = value.split(super::lexer::is_space).filter(|word| !word.is_empty()).collect();
    unescape(&words.join(" "))
}

fn without(text: &str, open: &str, close: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        // What opens and never closes stays.
        let Some((_, after)) = after.split_once(close) else { break };
        out.push_str(before);
        rest = after;
    }
    out + rest
}

/// The entities that `escape` writes, the common ones and numbers.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.bytes().take(12).position(|b| b == b';').map(|end| &rest[1..end]);
        let code = |digits: &str| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        let found = match entity {
            Some("amp") => Some('&'),
            Some("lt") => Some('<'),
            Some("gt") => Some('>'),
            Some("quot") => Some('"'),
            Some("apos") => Some('\''),
            Some("nbsp") => Some('\u{a0}'),
            Some(name) => name.strip_prefix('#').and_then(code).and_then(char::from_u32),
            None => None,
        };
        match (found, entity) {
            (Some(c), Some(entity)) => {
                out.push(c);
                rest = &rest[entity.len() + 2..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// `urllib.parse.quote`: bytes that are no letters, digits or `_.-~` become %XX.
pub(super) fn url_quote(text: &str, query: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b'/' if !query => out.push('/'),
            b' ' if query => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
