//! Filters that make texts.

use super::super::args::{Given, int, text, truth};
use super::super::limits::{MOST_WIDTH, Res, failed, stopped};
use super::super::methods::{capitalize, center, replace, split_lines, strip, title_words};
use super::super::run::Run;
use super::super::value::{Key, Text, Value};
use super::super::{html, iterate, print, printf};
use std::rc::Rc;

/// The text a filter works on: any value prints itself first. `safe` stays.
fn soft(run: &mut Run, value: &Value) -> Res<Rc<Text>> {
    match value {
        Value::Str(text) => {
            run.meter.grow(text.text.len())?;
            Ok(text.clone())
        }
        other => match Value::str(print::str(&run.meter, other)?) {
            Value::Str(text) => Ok(text),
            _ => failed("not a text"),
        },
    }
}

pub(super) fn call(run: &mut Run, name: &str, value: Value, given: Given) -> Res<Value> {
    let subject = soft(run, &value)?;
    let this: &str = &subject.text;
    let own = |result: String| Ok(Value::text(result.into(), subject.safe));
    match name {
        "upper" => given.none(name).and_then(|()| own(this.to_uppercase())),
        "lower" => given.none(name).and_then(|()| own(this.to_lowercase())),
        "capitalize" => given.none(name).and_then(|()| own(capitalize(this))),
        "title" => given.none(name).map(|()| Value::str(title_words(this))),
        "trim" => {
            let [letters] = given.bind(name, ["chars"], 0)?;
            own(strip(this, text(name, &letters)?, true, true).into())
        }
        "replace" => {
            let [old, new, count] = given.bind(name, ["old", "new", "count"], 2)?;
            let old = print::str(&run.meter, &old.unwrap_or(Value::None))?;
            let new = print::str(&run.meter, &new.unwrap_or(Value::None))?;
            let count = count.filter(|count| !matches!(count, Value::None));
            Ok(Value::str(replace(&run.meter, this, &old, &new, int(&count, -1)?)?))
        }
        "format" => {
            let values = match (given.positional.is_empty(), given.named.is_empty()) {
                (_, true) => Value::tuple(given.positional)?,
                (true, false) => {
                    let named = given.named.into_iter().map(|(name, value)| (Key(Value::str(&*name)), value));
                    Value::dict(named.collect())?
                }
                _ => return failed("can't handle positional and keyword arguments at the same time"),
            };
            printf::format(&run.meter, &subject, &values)
        }
        "center" => {
            let [width] = given.bind(name, ["width"], 0)?;
            let width = usize::try_from(int(&width, 80)?).unwrap_or(0);
            let missing = width.saturating_sub(subject.count());
            run.meter.grow(missing)?;
            own(center(this, missing, width, |n| " ".repeat(n)))
        }
        "indent" => indent(run, &value, &subject, given),
        "truncate" => truncate(&value, &subject, given),
        "wordwrap" => wordwrap(run, &value, given),
        "wordcount" => {
            given.none(name)?;
            let words = this.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|word| !word.is_empty());
            Ok(Value::Int(words.count() as i128))
        }
        "pprint" => {
            given.none(name)?;
            Ok(Value::str(super::super::print::pretty(&run.meter, &value)?))
        }
        "e" | "escape" => given.none(name).map(|()| Value::markup(html::escaped(&subject))),
        "forceescape" => given.none(name).map(|()| Value::markup(html::escape(this))),
        "safe" => given.none(name).map(|()| Value::markup(this)),
        "striptags" => given.none(name).map(|()| Value::str(html::strip_tags(this))),
        "urlencode" => {
            given.none(name)?;
            url_encode(run, &value, this)
        }
        _ => xml_attributes(run, &value, given),
    }
}

/// `indent(width=4, first=False, blank=False)`; the width may be a text.
fn indent(run: &mut Run, value: &Value, subject: &Text, given: Given) -> Res<Value> {
    let [width, first, blank] = given.bind("indent", ["width", "first", "blank"], 0)?;
    if !matches!(value, Value::Str(_)) {
        return failed(format!("unsupported operand type(s) for +=: '{}' and 'str'", value.kind()));
    }
    let indent = match &width {
        Some(Value::Str(width)) => width.text.to_string(),
        width => {
            let n = int(width, 4)?;
            if n > MOST_WIDTH as i128 {
                return stopped("it indents too far");
            }
            " ".repeat(usize::try_from(n).unwrap_or(0))
        }
    };
    let whole = format!("{}\n", subject.text);
    let lines = split_lines(&whole, false);
    run.meter.grow(whole.len().saturating_add(lines.len().saturating_mul(indent.len() + 1)))?;
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let indented = if i == 0 { truth(&first, false) } else { truth(&blank, false) || !line.is_empty() };
        out.push_str(if indented { &indent } else { "" });
        out.push_str(line);
    }
    Ok(Value::text(out.into(), subject.safe))
}

fn truncate(value: &Value, subject: &Text, given: Given) -> Res<Value> {
    let [length, kill, end, leeway] = given.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let length = int(&length, 255)?;
    let end = text("truncate", &end)?.unwrap_or("...");
    let leeway = int(&leeway.filter(|leeway| !matches!(leeway, Value::None)), 5)?;
    let kept = length - end.chars().count() as i128;
    if kept < 0 || leeway < 0 {
        return failed(format!("expected length >= {}, got {length}", end.chars().count()));
    }
    match value.len() {
        Some(count) if count as i128 <= length.saturating_add(leeway) => return Ok(value.clone()),
        _ if matches!(value, Value::Str(_)) => {}
        _ => return failed(format!("truncate needs a text, not {}", value.kind())),
    }
    let start = &subject.text[..subject.offset(kept as usize)];
    let start = if truth(&kill, false) { start } else { start.rsplit_once(' ').map_or(start, |(before, _)| before) };
    Ok(Value::text(format!("{start}{end}").into(), subject.safe))
}

/// `textwrap.wrap` of each line.
fn wordwrap(run: &mut Run, value: &Value, given: Given) -> Res<Value> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, long, wrap, hyphens] = given.bind("wordwrap", names, 0)?;
    let Value::Str(subject) = value else { return failed("wordwrap needs a text") };
    let width = int(&width, 79)?;
    let Some(width) = usize::try_from(width).ok().filter(|width| *width > 0) else {
        return failed(format!("invalid width {width} (must be > 0)"));
    };
    let wrap = text("wordwrap", &wrap)?.unwrap_or("\n").to_string();
    let mut out: Vec<String> = Vec::new();
    for line in split_lines(&subject.text, false) {
        run.meter.work(line.len() * 4)?;
        let lines = wrap_line(line, width, truth(&long, true), truth(&hyphens, true));
        out.push(lines.join(&wrap));
    }
    run.meter.grow(out.iter().map(|line| line.len() + wrap.len()).sum())?;
    Ok(Value::text(out.join(&wrap).into(), subject.safe))
}

fn wrap_line(line: &str, width: usize, break_long: bool, hyphens: bool) -> Vec<String> {
    let mut chunks = words(line, hyphens);
    chunks.reverse();
    let mut lines: Vec<String> = Vec::new();
    while !chunks.is_empty() {
        let blank = |chunk: Option<&Vec<char>>| chunk.is_some_and(|chunk| chunk.iter().all(|c| c.is_whitespace()));
        if blank(chunks.last()) && !lines.is_empty() {
            chunks.pop();
        }
        let (mut current, mut length): (Vec<Vec<char>>, usize) = (Vec::new(), 0);
        while let Some(chunk) = chunks.pop_if(|chunk| length + chunk.len() <= width) {
            length += chunk.len();
            current.push(chunk);
        }
        if let Some(chunk) = chunks.last_mut().filter(|chunk| chunk.len() > width) {
            if break_long {
                let room = width.saturating_sub(length).min(chunk.len());
                let hyphen = chunk[..room].iter().rposition(|c| *c == '-').filter(|at| hyphens && *at > 0);
                let end = match hyphen {
                    Some(at) if chunk[..at].iter().any(|c| *c != '-') => at + 1,
                    _ => room,
                };
                let rest = chunk.split_off(end);
                current.push(std::mem::replace(chunk, rest));
            } else if current.is_empty() {
                current.extend(chunks.pop());
            }
        }
        if blank(current.last()) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat().into_iter().collect());
        }
    }
    lines
}

/// Words and the white space between them; a word ends after a hyphen between letters, too.
fn words(line: &str, hyphens: bool) -> Vec<Vec<char>> {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let letters: Vec<char> = line.chars().collect();
    for (i, c) in letters.iter().enumerate() {
        let after_hyphen =
            hyphens && i >= 2 && letters[i - 1] == '-' && letters[i - 2].is_alphabetic() && c.is_alphabetic();
        match chunks.last_mut() {
            Some(chunk) if chunk[0].is_whitespace() == c.is_whitespace() && !after_hyphen => chunk.push(*c),
            _ => chunks.push(vec![*c]),
        }
    }
    chunks
}

fn url_encode(run: &mut Run, value: &Value, this: &str) -> Res<Value> {
    let pairs = match value {
        Value::Str(_) => return Ok(Value::str(html::url_quote(this, false))),
        Value::Dict(dict) => {
            let view = Value::View(super::super::value::View::Items, dict.clone());
            iterate::list(&run.meter, &view)?
        }
        value if iterate::is_iterable(value) => iterate::list(&run.meter, value)?,
        _ => return Ok(Value::str(html::url_quote(this, false))),
    };
    let mut parts = Vec::new();
    for pair in pairs {
        let pair = iterate::list(&run.meter, &pair)?;
        let [name, value] = &pair[..] else { return failed("urlencode needs pairs") };
        let name = html::url_quote(&print::str(&run.meter, name)?, true);
        parts.push(format!("{name}={}", html::url_quote(&print::str(&run.meter, value)?, true)));
    }
    Ok(Value::str(parts.join("&")))
}

fn xml_attributes(run: &mut Run, value: &Value, given: Given) -> Res<Value> {
    let [space] = given.bind("xmlattr", ["autospace"], 0)?;
    let Value::Dict(dict) = value else { return failed("xmlattr needs a mapping") };
    let mut parts = Vec::new();
    for (name, value) in &dict.entries {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let Some(name) = name.0.as_str() else { return failed("xmlattr needs texts as names") };
        if name.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c', '/', '>', '=']) {
            return failed(format!("Invalid character in attribute name: {name}"));
        }
        let value = match value {
            Value::Str(text) => html::escaped(text),
            other => html::escape(&print::str(&run.meter, other)?),
        };
        parts.push(format!("{}=\"{value}\"", html::escape(name)));
    }
    let text = parts.join(" ");
    let text = if truth(&space, true) && !text.is_empty() { format!(" {text}") } else { text };
    Ok(Value::text(text.into(), run.autoescape))
}
