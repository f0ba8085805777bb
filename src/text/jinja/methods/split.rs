//! Cutting texts: at separators, at line breaks, at their ends.

use super::super::lexer::is_space;

/// `text.split(separator, most)` and `rsplit`; no separator: at runs of white space.
pub(super) fn split(text: &str, separator: Option<&str>, most: usize, from_right: bool) -> Vec<String> {
    let own = |part: &str| part.to_string();
    let Some(separator) = separator else { return split_space(text, most, from_right) };
    let pieces = most.saturating_add(1);
    if !from_right {
        return text.splitn(pieces, separator).map(own).collect();
    }
    let mut parts: Vec<String> = text.rsplitn(pieces, separator).map(own).collect();
    parts.reverse();
    parts
}

fn split_space(text: &str, most: usize, from_right: bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = if from_right { rest.trim_end_matches(is_space) } else { rest.trim_start_matches(is_space) };
        if rest.is_empty() {
            break;
        }
        if parts.len() == most {
            // What is left keeps the white space inside of it.
            parts.push(if from_right { rest.trim_end_matches(is_space) } else { rest }.to_string());
            break;
        }
        let end = if from_right { rest.rfind(is_space) } else { rest.find(is_space) };
        match end {
            Some(at) if from_right => {
                let width = rest[at..].chars().next().map_or(1, char::len_utf8);
                parts.push(rest[at + width..].to_string());
                rest = &rest[..at];
            }
            Some(at) => {
                parts.push(rest[..at].to_string());
                rest = &rest[at..];
            }
            None => {
                parts.push(rest.to_string());
                break;
            }
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `text.splitlines(keep)`: at every line break of Unicode.
pub(in super::super) fn split_lines(text: &str, keep: bool) -> Vec<&str> {
    let is_break = |c: char| {
        matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c' | '\x1d' | '\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((at, c)) = rest.char_indices().find(|(_, c)| is_break(*c)) else {
            lines.push(rest);
            break;
        };
        let width = if rest[at..].starts_with("\r\n") { 2 } else { c.len_utf8() };
        lines.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    lines
}

/// `strip`, `lstrip`, `rstrip`; no letters: white space.
pub(in super::super) fn strip<'a>(text: &'a str, letters: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |c: char| letters.map_or_else(|| is_space(c), |letters| letters.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    if right { text.trim_end_matches(goes) } else { text }
}
