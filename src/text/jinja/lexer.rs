//! Splits a template into text, tags and their tokens, with Jinja's rules of white space (`trim_blocks` and
//! `lstrip_blocks` on, one line break at the end dropped), after the tables of jinja2/lexer.py's documentation.

use super::limits::{Fault, Kind, Res};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text between tags.
    Data(String),
    /// `{{` and `{%`.
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Str(String),
    Int(i128),
    Float(f64),
    Operator(&'static str),
    End,
}

/// Longest first.
const OPERATORS: [&str; 25] = [
    "**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",",
];

pub(super) fn syntax<T>(line: u32, message: impl Into<String>) -> Res<T> {
    Err(Box::new(Fault { kind: Kind::Syntax, message: message.into(), line }))
}

/// White space of Python's `\s`.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    tokens: Vec<(Token, u32)>,
    /// Whether what comes next begins a line.
    line_starts: bool,
}

/// All tokens with the lines they stand in. Errors: `Syntax`.
pub(super) fn tokens(source: &str) -> Res<Vec<(Token, u32)>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, at: 0, line: 1, tokens: Vec::new(), line_starts: true };
    while lexer.at < source.len() {
        lexer.text()?;
    }
    lexer.tokens.push((Token::End, lexer.line));
    Ok(lexer.tokens)
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        let passed = &self.source[self.at..self.at + bytes];
        self.line += passed.matches('\n').count() as u32;
        self.line_starts = passed.ends_with('\n') || (passed.is_empty() && self.line_starts);
        self.at += bytes;
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    /// Text up to the next tag, and the tag.
    fn text(&mut self) -> Res<()> {
        let rest = self.rest();
        let open = rest.as_bytes().windows(2).position(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'));
        let Some(open) = open else {
            self.push(Token::Data(rest.to_string()));
            self.skip(rest.len());
            return Ok(());
        };
        let (text, tag) = (&rest[..open], &rest[open..]);
        let sign = tag.as_bytes().get(2).copied().filter(|c| matches!(c, b'-' | b'+'));
        let kept = self.before_tag(text, sign, !tag.starts_with("{{"));
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_string()));
        }
        self.skip(open + 2 + usize::from(sign.is_some()));
        if tag.starts_with("{#") {
            return self.comment();
        }
        if tag.starts_with("{{") {
            return self.tag(Token::VariableBegin, Token::VariableEnd);
        }
        if let Some(length) = raw_begin(self.rest()) {
            self.skip(length);
            return self.raw();
        }
        self.tag(Token::BlockBegin, Token::BlockEnd)
    }

    /// What is left of the text before a tag: `-` takes all white space, `lstrip_blocks` what stands alone in its line.
    fn before_tag(&self, text: &'a str, sign: Option<u8>, block: bool) -> &'a str {
        if sign == Some(b'-') {
            return text.trim_end_matches(is_space);
        }
        if sign.is_none() && block {
            let line = text.rfind('\n').map_or(0, |at| at + 1);
            if (line > 0 || self.line_starts) && text[line..].chars().all(is_space) {
                return &text[..line];
            }
        }
        text
    }

    /// The end of a tag (`end`, after an optional sign) at the current place, with the white space it takes.
    fn closing(&self, end: &str) -> Option<usize> {
        let rest = self.rest();
        if let Some(after) = rest.strip_prefix('-').and_then(|r| r.strip_prefix(end)) {
            return Some(rest.len() - trim_start(after).len());
        }
        if end == "}}" {
            return rest.starts_with(end).then_some(2);
        }
        if rest.strip_prefix('+').is_some_and(|r| r.starts_with(end)) {
            return Some(3);
        }
        rest.strip_prefix(end).map(|after| 2 + usize::from(after.starts_with('\n')))
    }

    fn comment(&mut self) -> Res<()> {
        if self.rest().is_empty() {
            return Ok(());
        }
        let Some(end) = self.rest().find("#}") else { return syntax(self.line, "a comment is not closed") };
        let sign = end > 0 && matches!(self.rest().as_bytes()[end - 1], b'-' | b'+');
        self.skip(end - usize::from(sign));
        let length = self.closing("#}").unwrap_or(2);
        self.skip(length);
        Ok(())
    }

    /// Text up to `{% endraw %}`.
    fn raw(&mut self) -> Res<()> {
        let rest = self.rest();
        for (open, _) in rest.match_indices("{%") {
            let inside = &rest[open + 2..];
            let sign = inside.as_bytes().first().copied().filter(|c| matches!(c, b'-' | b'+'));
            let name = trim_start(&inside[usize::from(sign.is_some())..]);
            let Some(after) = name.strip_prefix("endraw").map(trim_start) else { continue };
            let begin = rest.len() - after.len();
            let here = Lexer { at: self.at + begin, tokens: Vec::new(), ..*self };
            let Some(close) = here.closing("%}") else { continue };
            let kept = self.before_tag(&rest[..open], sign, true);
            self.push(Token::Data(kept.to_string()));
            self.skip(begin + close);
            return Ok(());
        }
        // As in Jinja, nothing is missing where nothing follows.
        if rest.is_empty() { Ok(()) } else { syntax(self.line, "a raw block is not closed") }
    }

    /// The tokens of a tag.
    fn tag(&mut self, begin: Token, end: Token) -> Res<()> {
        let close = if end == Token::BlockEnd { "%}" } else { "}}" };
        self.push(begin);
        let mut open: Vec<char> = Vec::new();
        loop {
            if open.is_empty()
                && let Some(length) = self.closing(close)
            {
                self.push(end);
                self.skip(length);
                return Ok(());
            }
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return syntax(self.line, format!("expected {close}")) };
            if is_space(c) {
                let length = rest.len() - trim_start(rest).len();
                self.skip(length);
                continue;
            }
            let (token, length) = if c.is_ascii_digit() {
                number(rest, matches!(self.tokens.last(), Some((Token::Operator("."), _))))
                    .or_else(|_| syntax(self.line, "a number is too large"))?
            } else if c == '"' || c == '\'' {
                let Some(length) = string_length(rest, c) else { return syntax(self.line, "a string is not closed") };
                match unescape(&rest[1..length - 1]) {
                    Ok(text) => (Token::Str(text), length),
                    Err(message) => return syntax(self.line, message),
                }
            } else if c == '_' || c.is_alphanumeric() {
                let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
                if c.is_numeric() {
                    return syntax(self.line, "a name cannot begin with a digit");
                }
                (Token::Name(rest[..length].to_string()), length)
            } else if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
                match c {
                    '(' => open.push(')'),
                    '[' => open.push(']'),
                    '{' => open.push('}'),
                    ')' | ']' | '}' if open.pop() != Some(c) => return syntax(self.line, format!("unexpected '{c}'")),
                    _ => {}
                }
                (Token::Operator(operator), operator.len())
            } else {
                return syntax(self.line, format!("unexpected character {c:?}"));
            };
            self.push(token);
            self.skip(length);
        }
    }
}

/// The length of `raw %}` here.
fn raw_begin(rest: &str) -> Option<usize> {
    let after = trim_start(trim_start(rest).strip_prefix("raw")?);
    let end = match after.strip_prefix("-%}") {
        Some(text) => trim_start(text),
        None => after.strip_prefix("%}")?,
    };
    Some(rest.len() - end.len())
}

fn string_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Digits with single underscores between them.
fn digits(text: &str, radix: u32) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(|b| char::from(*b).is_digit(radix));
    let mut at = 0;
    while digit(at) || (bytes.get(at) == Some(&b'_') && digit(at + 1) && at > 0) {
        at += 1;
    }
    at
}

/// After a dot (`x.0.1`) there are no fractions.
fn number(rest: &str, after_dot: bool) -> Result<(Token, usize), ()> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if rest.get(..2).is_some_and(|p| p.eq_ignore_ascii_case(prefix)) {
            let length = digits(&rest[2..], radix);
            if length > 0 {
                let value = i128::from_str_radix(&rest[2..2 + length].replace('_', ""), radix).map_err(drop)?;
                return Ok((Token::Int(value), 2 + length));
            }
        }
    }
    let whole = digits(rest, 10);
    let mut length = whole;
    if !after_dot && rest[length..].starts_with('.') && digits(&rest[length + 1..], 10) > 0 {
        length += 1 + digits(&rest[length + 1..], 10);
    }
    if !after_dot && rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&rest[length + 1 + sign..], 10);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    let text = rest[..length].replace('_', "");
    if length > whole {
        return text.parse().map(|x| (Token::Float(x), length)).map_err(drop);
    }
    // Python has no 007: a zero stands alone.
    let zeros = if text.starts_with('0') {
        rest[..whole].bytes().take_while(|b| matches!(b, b'0' | b'_')).count()
    } else {
        whole
    };
    rest[..zeros].replace('_', "").parse().map(|n| (Token::Int(n), zeros)).map_err(drop)
}

/// Python's escapes in a string.
fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('\\') {
        return Ok(text.to_string());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut high: Option<u32> = None;
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escape) = chars.next() else { return Err("a string ends in a backslash".into()) };
        let mut code = |most: usize, radix: u32, first: Option<u32>| {
            let mut value = first.unwrap_or(0);
            let mut count = usize::from(first.is_some());
            while count < most
                && let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix))
            {
                value = value * radix + digit;
                count += 1;
                chars.next();
            }
            (value, count)
        };
        let value = match escape {
            'x' | 'u' | 'U' => {
                let most = match escape {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let (value, count) = code(most, 16, None);
                if count < most {
                    return Err(format!("a string has an incomplete \\{escape}"));
                }
                value
            }
            '0'..='7' => code(3, 8, escape.to_digit(8)).0,
            'n' => 10,
            't' => 9,
            'r' => 13,
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '\'' | '"' => u32::from(escape),
            '\n' => continue,
            'N' => return Err("names of characters (\\N{...}) are not supported".into()),
            other => {
                out.extend(['\\', other]);
                continue;
            }
        };
        // Two halves of a pair make one character, as where Python writes them out as UTF-16.
        match (high.take(), value) {
            (None, 0xD800..=0xDBFF) => high = Some(value),
            (Some(first), 0xDC00..=0xDFFF) => {
                out.extend(char::from_u32(0x10000 + ((first - 0xD800) << 10) + (value - 0xDC00)));
            }
            (None, value) => match char::from_u32(value) {
                Some(c) => out.push(c),
                None => return Err(format!("a string has no character {value:#x}")),
            },
            _ => return Err("a string has half a surrogate pair".into()),
        }
    }
    if high.is_some() {
        return Err("a string has half a surrogate pair".into());
    }
    Ok(out)
}
