//! Rewrites a template before it is compiled: removes `{% generation %}` marks, and puts a guard (a filter that charges
//! the render's [`super::budget::Budget`]) on every place where values grow: `+`, `~`, `*`, `==` and assignments.
//! minijinja limits instructions and recursion, but not the size of values.

use super::operators;
use crate::error::{Error, Result};

/// A template ready to compile.
pub(super) struct Guarded {
    pub source: String,
    /// Bytes of the longest text between tags.
    pub longest_text: usize,
}

/// The largest real templates have 20 KiB.
const MOST_BYTES: usize = 256 << 10;
/// In one tag; real templates stay below a few hundred.
const MOST_TOKENS: usize = 4000;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    Name,
    Literal,
    Operator,
}

#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
    pub end: usize,
}

/// See the module. Errors: `grammar-error` for templates beyond all reason.
pub(super) fn rewrite(source: &str) -> Result<Guarded> {
    if source.len() > MOST_BYTES {
        return Err(Error::GrammarError(format!(
            "the chat template has {} bytes; at most {MOST_BYTES} are accepted",
            source.len()
        )));
    }
    let mut out = String::with_capacity(source.len() * 2);
    let mut longest_text = 0;
    let mut at = 0;
    while let Some(open) = find_tag(source, at) {
        longest_text = longest_text.max(open - at);
        out.push_str(&source[at..open]);
        let block = source[open..].starts_with("{%");
        if source[open..].starts_with("{#") {
            let end = source[open..].find("#}").map_or(source.len(), |i| open + i + 2);
            out.push_str(&source[open..end]);
            at = end;
            continue;
        }
        let (tokens, inner_end) = scan(source, open + 2, block);
        if tokens.len() > MOST_TOKENS {
            return Err(Error::GrammarError(format!(
                "a tag of the chat template has more than {MOST_TOKENS} tokens; expected an ordinary template"
            )));
        }
        let mut end = inner_end;
        if block && tokens.first().is_some_and(|t| t.text == "raw") {
            end = raw_end(source, inner_end);
            longest_text = longest_text.max(end - inner_end);
        }
        apply(source, open, end, edits(&tokens, block), &mut out)?;
        at = end;
    }
    longest_text = longest_text.max(source.len() - at);
    out.push_str(&source[at..]);
    Ok(Guarded { source: out, longest_text })
}

fn find_tag(source: &str, from: usize) -> Option<usize> {
    source.as_bytes()[from..]
        .windows(2)
        .position(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'))
        .map(|i| from + i)
}

/// The end of the `{% endraw %}` tag.
fn raw_end(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = source[at..].find("{%").map(|i| at + i) {
        let name = source[open + 2..].trim_start_matches(['-', '+']).trim_start();
        if name.starts_with("endraw") {
            return source[open..].find("%}").map_or(source.len(), |i| open + i + 2);
        }
        at = open + 2;
    }
    source.len()
}

/// Tokens of the tag whose inside begins at `from`, and where the tag ends.
fn scan(source: &str, from: usize, block: bool) -> (Vec<Token<'_>>, usize) {
    let bytes = source.as_bytes();
    let close = if block { "%}" } else { "}}" };
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    // A sign right after the opening belongs to white space control.
    let mut at = if matches!(bytes.get(from), Some(b'-' | b'+')) { from + 1 } else { from };
    while at < bytes.len() {
        let rest = &source[at..];
        if block || depth == 0 {
            if rest.starts_with(close) {
                return (tokens, at + 2);
            }
            if rest.starts_with(['-', '+']) && rest[1..].starts_with(close) {
                return (tokens, at + 3);
            }
        }
        let c = rest.chars().next().expect("at < len on a character boundary");
        let (kind, len) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '"' | '\'' => (Kind::Literal, string_len(rest, c)),
            c if c.is_ascii_digit() => (Kind::Literal, number_len(rest)),
            c if c.is_alphanumeric() || c == '_' => {
                (Kind::Name, rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()))
            }
            _ => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                let double = ["**", "//", "==", "!=", "<=", ">="].iter().any(|op| rest.starts_with(op));
                (Kind::Operator, if double { 2 } else { c.len_utf8() })
            }
        };
        tokens.push(Token { kind, text: &rest[..len], start: at, end: at + len });
        at += len;
    }
    (tokens, source.len())
}

fn string_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    rest.len()
}

fn number_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut n = 0;
    while n < bytes.len() {
        let exponent_sign = matches!(bytes[n], b'+' | b'-') && matches!(bytes[n - 1], b'e' | b'E');
        let fraction = bytes[n] == b'.' && bytes.get(n + 1).is_some_and(u8::is_ascii_digit);
        if !(bytes[n].is_ascii_alphanumeric() || bytes[n] == b'_' || exponent_sign || fraction) {
            break;
        }
        n += 1;
    }
    n
}

/// Text to put in place of a range of the source.
pub(super) type Edit = (usize, usize, &'static str);

fn edits(tokens: &[Token], block: bool) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    if block {
        match tokens {
            [t] if t.text == "generation" => return vec![(t.start, t.end, "if true")],
            [t] if t.text == "endgeneration" => return vec![(t.start, t.end, "endif")],
            [t, ..] if t.text == "set" => assignment(tokens, &mut edits),
            _ => {}
        }
    }
    for i in 1..tokens.len() {
        let (left, right) = match tokens[i].text {
            "+" => ("|_grow", "|_grow"),
            // Products bind tighter: their numbers must not become texts first.
            "~" => operators::unless_product(tokens, i, "|_show"),
            "*" if operators::times(tokens, i, &mut edits) => continue,
            // Inside of a chain the other products are of numbers.
            "*" => ("|_number", "|_number"),
            "==" | "!=" => ("|_size", ""),
            _ => continue,
        };
        if tokens[i].kind != Kind::Operator || !ends_operand(&tokens[i - 1]) {
            continue;
        }
        // The name of a test is not an operand; a test gives a bool, which cannot grow.
        let test =
            i >= 2 && (is(tokens, i - 2, "is") || (is(tokens, i - 2, "not") && i >= 3 && is(tokens, i - 3, "is")));
        if !test {
            edits.push((tokens[i - 1].end, tokens[i - 1].end, left));
        }
        if let Some(end) = operand_end(tokens, i + 1).filter(|_| !right.is_empty()) {
            edits.push((end, end, right));
        }
    }
    for i in 0..tokens.len() {
        operators::percent(tokens, i, &mut edits);
        operators::slice(tokens, i, &mut edits);
    }
    edits.sort_by_key(|e| e.0);
    edits.dedup();
    edits
}

pub(super) fn is(tokens: &[Token], i: usize, name: &str) -> bool {
    tokens[i].kind == Kind::Name && tokens[i].text == name
}

/// `{% set x = v %}` becomes `{% set x = (v)|_size %}`; members of namespaces may not hold namespaces (a cycle).
fn assignment(tokens: &[Token], edits: &mut Vec<Edit>) {
    let Some(equals) = tokens.iter().position(|t| t.text == "=" && t.kind == Kind::Operator) else { return };
    let Some(last) = tokens.get(equals + 1..).and_then(<[Token]>::last) else { return };
    let member = tokens[..equals].iter().any(|t| t.text == ".");
    edits.push((tokens[equals].end, tokens[equals].end, "("));
    edits.push((last.end, last.end, if member { ")|_member" } else { ")|_size" }));
}

/// Whether an operator after this token has it as its left operand.
pub(super) fn ends_operand(token: &Token) -> bool {
    match token.kind {
        Kind::Literal => true,
        Kind::Name => !matches!(token.text, "and" | "or" | "not" | "in" | "is" | "if" | "else" | "elif" | "set" | "do"),
        Kind::Operator => matches!(token.text, ")" | "]" | "}"),
    }
}

/// Where the operand that begins at token `i` ends: signs, a primary, then members, calls, subscripts and filters.
pub(super) fn operand_end(tokens: &[Token], mut i: usize) -> Option<usize> {
    while tokens.get(i).is_some_and(|t| t.kind == Kind::Operator && matches!(t.text, "-" | "+")) {
        i += 1;
    }
    i = after_group(tokens, i)?;
    while let Some(token) = tokens.get(i) {
        i = match token.text {
            "." | "|" if token.kind == Kind::Operator => i + 2,
            "(" | "[" => after_group(tokens, i)?,
            _ => break,
        };
    }
    tokens.get(i - 1).map(|t| t.end)
}

/// The token after the one at `i`, or after its matching bracket.
pub(super) fn after_group(tokens: &[Token], i: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (j, token) in tokens.iter().enumerate().skip(i) {
        if token.kind == Kind::Operator {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        if depth == 0 {
            return Some(j + 1);
        }
    }
    None
}

/// Errors: `grammar-error` where brackets that close in another order than they open make edits overlap.
fn apply(source: &str, from: usize, to: usize, edits: Vec<Edit>, out: &mut String) -> Result<()> {
    let mut at = from;
    for (start, end, text) in edits {
        if start < at {
            let line = source[..from].matches('\n').count() + 1;
            return Err(Error::GrammarError(format!(
                "the chat template is not valid Jinja in line {line}: brackets do not close in the order they open"
            )));
        }
        out.push_str(&source[at..start]);
        out.push_str(text);
        at = end;
    }
    out.push_str(&source[at..to]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(source: &str) -> String {
        rewrite(source).unwrap().source
    }

    #[test]
    fn puts_guards_where_values_grow() {
        for (source, expected) in [
            ("a {{ x }} b", "a {{ x }} b"),
            ("{{- 'a' + b.c[0](1)|trim -}}", "{{- 'a'|_grow + b.c[0](1)|trim|_grow -}}"),
            ("{{ a + b + c }}", "{{ a|_grow + b|_grow + c|_grow }}"),
            ("{{ 2 * (a + 1) }}", "{{ 2 |_times( (a|_grow + 1|_grow)) }}"),
            ("{{ '-' * n + x }}", "{{ '-' |_times( n)|_grow + x|_grow }}"),
            ("{{ 'a' * 9 * 9 }}", "{{ 'a' |_times( 9)|_number * 9|_number }}"),
            ("{{ 'a' * 9 ** 9 }}", "{{ 'a'|_number * 9|_number ** 9 }}"),
            ("{{ a / b|abs * c }}", "{{ a / b|abs|_number * c|_number }}"),
            ("{{ x ~ '}}' }}", "{{ x|_show ~ '}}'|_show }}"),
            ("{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}} }}"),
            ("{%+ set x = y %}", "{%+ set x =( y)|_size %}"),
            ("{%- set ns.x = 1 +%}", "{%- set ns.x =( 1)|_member +%}"),
            ("{% set x %}a + b{% endset %}", "{% set x %}a + b{% endset %}"),
            ("{{ 1e+5 }}{{ -1 }}{# a + b #}", "{{ 1e+5 }}{{ -1 }}{# a + b #}"),
            ("{% raw %}{{ a + b }}{% endraw %}{{ c }}", "{% raw %}{{ a + b }}{% endraw %}{{ c }}"),
            ("{% if a is string and b == c %}", "{% if a is string and b|_size == c %}"),
            ("{%- generation -%}x{% endgeneration %}", "{%- if true -%}x{% endif %}"),
            ("{{ f(*args) }}", "{{ f(*args) }}"),
            ("{{ 'unfinished", "{{ 'unfinished"),
            ("{% raw %} never closed", "{% raw %} never closed"),
        ] {
            assert_eq!(rewritten(source), expected);
        }
    }

    #[test]
    fn refuses_absurd_sizes() {
        assert!(rewrite(&"a".repeat(MOST_BYTES + 1)).is_err());
        assert!(rewrite(&format!("{{{{ x{} }}}}", "|list".repeat(MOST_TOKENS))).is_err());
    }
}
