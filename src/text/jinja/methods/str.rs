//! Methods of str. Of `Markup`, arguments are escaped and results are safe.

use super::super::args::{Given, int, text, truth};
use super::super::limits::{MOST_WIDTH, Meter, Res, failed, stopped};
use super::super::run::Run;
use super::super::value::{Text, Value};
use super::super::{braces, html, iterate, print};
use super::case::{capitalize, is_case, is_title, swap_case, title};
use super::split::{split, split_lines, strip};
use std::sync::Arc;

pub(super) fn call(run: &mut Run, this: &Text, name: &'static str, mut given: Given) -> Res<Value> {
    let subject: &str = &this.text;
    if this.safe {
        let named = given.named.iter_mut().map(|(_, value)| value);
        for value in given.positional.iter_mut().chain(named) {
            if let Value::Str(text) = &*value {
                *value = Value::markup(html::escaped(text));
            }
        }
    }
    let own = |result: String| Ok(Value::text(result.into(), this.safe));
    let parts = |parts: Vec<String>| -> Res<Vec<Value>> {
        run.meter.room(parts.len() * 2 * size_of::<Value>())?;
        Ok(parts.into_iter().map(|part| Value::text(part.into(), this.safe)).collect())
    };
    match name {
        "upper" => given.none(name).and_then(|()| own(subject.to_uppercase())),
        "lower" => given.none(name).and_then(|()| own(subject.to_lowercase())),
        "casefold" => given.none(name).and_then(|()| own(subject.to_lowercase().replace('ß', "ss").replace('ς', "σ"))),
        "capitalize" => given.none(name).and_then(|()| own(capitalize(subject))),
        "title" => given.none(name).and_then(|()| own(title(subject))),
        "swapcase" => given.none(name).and_then(|()| own(swap_case(subject))),
        "strip" | "lstrip" | "rstrip" => {
            let [letters] = given.bind(name, [""], 0)?;
            let letters = text(name, &letters)?;
            own(strip(subject, letters, name != "rstrip", name != "lstrip").into())
        }
        "split" | "rsplit" => {
            let [separator, most] = given.bind(name, ["sep", "maxsplit"], 0)?;
            let separator = text(name, &separator)?;
            if separator == Some("") {
                return failed("empty separator");
            }
            let most = usize::try_from(int(&most, -1)?).unwrap_or(usize::MAX);
            Value::list(parts(split(subject, separator, most, name == "rsplit"))?)
        }
        "splitlines" => {
            let [keep] = given.bind(name, ["keepends"], 0)?;
            let lines = split_lines(subject, truth(&keep, false));
            Value::list(parts(lines.into_iter().map(String::from).collect())?)
        }
        "partition" | "rpartition" => {
            let [separator] = given.bind(name, [""], 1)?;
            let separator = text(name, &separator)?.unwrap_or("");
            if separator.is_empty() {
                return failed("empty separator");
            }
            let three = match (name, subject.split_once(separator), subject.rsplit_once(separator)) {
                ("partition", Some((a, b)), _) | ("rpartition", _, Some((a, b))) => [a, separator, b],
                ("partition", ..) => [subject, "", ""],
                _ => ["", "", subject],
            };
            Value::tuple(parts(three.map(String::from).to_vec())?)
        }
        "replace" => {
            let [old, new, count] = given.bind(name, ["", "", ""], 2)?;
            let (Some(old), Some(new)) = (text(name, &old)?, text(name, &new)?) else {
                return failed("replace() needs two texts");
            };
            own(replace(&run.meter, subject, old, new, int(&count, -1)?)?)
        }
        "join" => {
            let [items] = given.bind(name, [""], 1)?;
            let mut items = iterate::iterate(&items.unwrap_or(Value::None))?;
            let mut out = String::new();
            let mut first = true;
            while let Some(item) = items.next(&run.meter)? {
                run.meter.push(&mut out, if std::mem::take(&mut first) { "" } else { subject })?;
                match &item {
                    Value::Str(text) if this.safe => run.meter.push(&mut out, &html::escaped(text))?,
                    Value::Str(text) => run.meter.push(&mut out, &text.text)?,
                    other if this.safe => {
                        let text = print::str(&run.meter, other)?;
                        run.meter.push(&mut out, &html::escape(&text))?;
                    }
                    other => return failed(format!("join() needs texts, not {}", other.kind())),
                }
            }
            own(out)
        }
        "format" => own(braces::format(run, subject, &given)?),
        "format_map" => {
            let [mapping] = given.bind(name, [""], 1)?;
            let Some(Value::Dict(dict)) = mapping else { return failed("format_map() needs a mapping") };
            let named = dict.entries.iter().filter_map(|(k, v)| Some((Arc::from(k.0.as_str()?), v.clone())));
            own(braces::format(run, subject, &Given { positional: Vec::new(), named: named.collect() })?)
        }
        "removeprefix" | "removesuffix" => {
            let [part] = given.bind(name, [""], 1)?;
            let Some(part) = text(name, &part)? else { return failed(format!("{name}() needs a text")) };
            let cut = if name == "removeprefix" { subject.strip_prefix(part) } else { subject.strip_suffix(part) };
            own(cut.unwrap_or(subject).into())
        }
        "ljust" | "rjust" | "center" => {
            let [width, fill] = given.bind(name, ["", ""], 1)?;
            let fill = text(name, &fill)?.unwrap_or(" ");
            let mut letters = fill.chars();
            let (Some(fill), None) = (letters.next(), letters.next()) else {
                return failed("the fill character must be exactly one character long");
            };
            own(pad(this, int(&width, 0)?, fill, name)?)
        }
        "zfill" => {
            let [width] = given.bind(name, [""], 1)?;
            let (sign, digits) = if subject.starts_with(['+', '-']) { subject.split_at(1) } else { ("", subject) };
            let missing = missing(this, int(&width, 0)?)?;
            own(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "expandtabs" => {
            let [size] = given.bind(name, ["tabsize"], 0)?;
            let size = usize::try_from(int(&size, 8)?).unwrap_or(0);
            if size > MOST_WIDTH {
                return stopped("its tabs are too wide");
            }
            run.meter.grow(subject.matches('\t').count() * size)?;
            own(expand_tabs(subject, size))
        }
        "startswith" | "endswith" => {
            let [wanted, from, to] = given.bind(name, ["", "", ""], 1)?;
            let Some((part, _)) = range(this, &from, &to)? else { return Ok(Value::Bool(false)) };
            let fits = |wanted: &Value| match wanted {
                Value::Str(text) if name == "startswith" => Ok(part.starts_with(&*text.text)),
                Value::Str(text) => Ok(part.ends_with(&*text.text)),
                other => failed(format!("{name}() needs a str or a tuple of str, not {}", other.kind())),
            };
            let found = match wanted.unwrap_or(Value::None) {
                Value::Tuple(list) => list.items.iter().map(fits).collect::<Res<Vec<bool>>>()?.contains(&true),
                wanted => fits(&wanted)?,
            };
            Ok(Value::Bool(found))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let [wanted, from, to] = given.bind(name, ["", "", ""], 1)?;
            let Some(wanted) = text(name, &wanted)? else { return failed(format!("{name}() needs a text")) };
            search(this, name, wanted, range(this, &from, &to)?)
        }
        "encode" | "maketrans" | "translate" => failed(format!("str.{name}() is not available in chat templates")),
        "striptags" => given.none(name).map(|()| Value::str(html::strip_tags(subject))),
        "unescape" | "__html__" | "escape" => given.none(name).map(|()| Value::markup(subject)),
        "islower" | "isupper" => given.none(name).map(|()| Value::Bool(is_case(subject, name == "isupper"))),
        "istitle" => given.none(name).map(|()| Value::Bool(is_title(subject))),
        _ => given.none(name).map(|()| Value::Bool(is(subject, name))),
    }
}

/// `isalpha` and its like: all letters are, and there are some.
fn is(subject: &str, name: &str) -> bool {
    let digit = |c: char| c.is_numeric() && (c.is_ascii_digit() || is_decimal(c));
    match name {
        "isascii" => return subject.is_ascii(),
        "isprintable" => return subject.chars().all(print::is_printable),
        "isidentifier" => {
            return subject.starts_with(|c: char| c == '_' || c.is_alphabetic())
                && subject.chars().all(|c| c == '_' || c.is_alphanumeric());
        }
        _ => {}
    }
    !subject.is_empty()
        && subject.chars().all(|c| match name {
            "isalpha" => c.is_alphabetic() && !c.is_numeric(),
            "isalnum" => c.is_alphanumeric(),
            "isspace" => super::super::lexer::is_space(c),
            "isdecimal" => digit(c),
            "isdigit" => digit(c) || matches!(c, '²' | '³' | '¹' | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}'),
            _ => c.is_numeric(),
        })
}

/// Decimal digits of other scripts stand in runs of ten that begin at a multiple of their block.
fn is_decimal(c: char) -> bool {
    const ZEROS: [u32; 24] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
        0x1040, 0x1090, 0x17e0, 0x1810, 0xff10, 0x1d7ce, 0x1d7d8, 0x1d7e2,
    ];
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&u32::from(c)))
}

/// The part of a text between two places, and where it begins; None where they pass each other.
fn range<'a>(this: &'a Text, from: &Option<Value>, to: &Option<Value>) -> Res<Option<(&'a str, usize)>> {
    let given = |value: &Option<Value>| value.clone().filter(|value| !matches!(value, Value::None));
    let count = this.count() as i128;
    let place = |n: i128| (if n < 0 { n + count } else { n }).max(0);
    let from = place(int(&given(from), 0)?);
    let to = place(int(&given(to), count)?).min(count);
    if from > to {
        return Ok(None);
    }
    let (from, to) = (from as usize, to as usize);
    Ok(Some((&this.text[this.offset(from)..this.offset(to)], from)))
}

fn search(this: &Text, name: &str, wanted: &str, part: Option<(&str, usize)>) -> Res<Value> {
    let letters = |text: &str| text.chars().count();
    if name == "count" {
        let count = part.map_or(0, |(part, _)| match wanted {
            "" => letters(part) + 1,
            wanted => part.matches(wanted).count(),
        });
        return Ok(Value::Int(count as i128));
    }
    let found = part.and_then(|(part, from)| {
        let at = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
        at.map(|at| from + letters(&part[..at]))
    });
    match found {
        Some(at) => Ok(Value::Int(at as i128)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => failed(format!("substring not found in a text of {} letters", this.count())),
    }
}

/// `text.replace(old, new, count)`; below 0: all.
pub(in super::super) fn replace(meter: &Meter, text: &str, old: &str, new: &str, count: i128) -> Res<String> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    meter.work(text.len())?;
    let found = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    meter.grow(text.len().saturating_add(found.min(count).saturating_mul(new.len())))?;
    Ok(text.replacen(old, new, count))
}

fn missing(this: &Text, width: i128) -> Res<usize> {
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    if width > this.count().saturating_add(1 << 20) {
        return stopped("it pads a text too far");
    }
    Ok(width.saturating_sub(this.count()))
}

fn pad(this: &Text, width: i128, fill: char, name: &str) -> Res<String> {
    let missing = missing(this, width)?;
    let fill = |n: usize| fill.to_string().repeat(n);
    Ok(match name {
        "ljust" => this.text.to_string() + &fill(missing),
        "rjust" => fill(missing) + &this.text,
        _ => center(&this.text, missing, usize::try_from(width).unwrap_or(0), fill),
    })
}

/// CPython puts the odd space on the left where the width is odd.
pub(in super::super) fn center(text: &str, missing: usize, width: usize, fill: impl Fn(usize) -> String) -> String {
    let left = missing / 2 + (missing & width & 1);
    format!("{}{text}{}", fill(left), fill(missing - left))
}

fn expand_tabs(text: &str, size: usize) -> String {
    let (mut out, mut column) = (String::with_capacity(text.len()), 0);
    for c in text.chars() {
        if c == '\t' {
            let spaces = if size == 0 { 0 } else { size - column % size };
            out.push_str(&" ".repeat(spaces));
            column += spaces;
        } else {
            out.push(c);
            column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
        }
    }
    out
}
