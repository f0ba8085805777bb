//! How Python prints values: `str`, `repr`, `json.dumps` as transformers calls it, and the methods of str that
//! minijinja's pycompat lacks.

use super::budget::{self, MOST_DEPTH, spend};
use super::filters;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

fn too_deep() -> Error {
    Error::new(ErrorKind::OutOfFuel, "it prints lists or dicts that are nested too deeply")
}

/// `str(value)`; an undefined value is empty, as Jinja prints it.
pub(super) fn str(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            spend(state, text.len())?;
            out.push_str(text);
        }
        _ => repr(state, value, 0, &mut out)?,
    }
    Ok(out)
}

/// `repr(value)`.
pub(super) fn repr_of(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    repr(state, value, 0, &mut out)?;
    Ok(out)
}

fn repr(state: &State, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > MOST_DEPTH {
        return Err(too_deep());
    }
    let before = out.len();
    match value.kind() {
        ValueKind::String => repr_text(value.as_str().unwrap_or_default(), out),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (i, item) in value.try_iter()?.enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                repr(state, &item, depth + 1, out)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                repr(state, &key, depth + 1, out)?;
                out.push_str(": ");
                repr(state, &value.get_item(&key)?, depth + 1, out)?;
            }
            out.push('}');
        }
        // True, False, None; functions and the like print themselves.
        _ => out.push_str(&value.to_string()),
    }
    if depth == 0 || out.len() - before > 4096 {
        spend(state, out.len() - before)?;
    }
    spend(state, 1)
}

fn repr_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// `repr` of an int or a float.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// The shortest digits that read back the same; exponents below 1e-4 and from 1e16 on.
pub(super) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    if x != 0.0 && !(1e-4..1e16).contains(&x.abs()) {
        let text = format!("{x:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = x.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// How [`to_json`] lays out.
struct Json {
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sort: bool,
}

/// `tojson` of transformers: `json.dumps(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn to_json(state: &State, value: Value, args: Rest<Value>) -> Result<Value, Error> {
    let (args, kwargs): (&[Value], Kwargs) = from_args(&args)?;
    let mut args = args.iter().cloned();
    let mut arg = |name: &str| -> Result<Option<Value>, Error> {
        let value = match args.next() {
            Some(value) => Some(value),
            None => kwargs.get::<Option<Value>>(name)?,
        };
        Ok(value.filter(|v| !v.is_none() && !v.is_undefined()))
    };
    let ascii = arg("ensure_ascii")?.is_some_and(|v| v.is_true());
    let indent = match arg("indent")? {
        None => None,
        Some(v) => Some(match v.as_str() {
            Some(text) => text.to_string(),
            None => " ".repeat(v.as_usize().filter(|n| *n <= 1000).ok_or_else(budget::too_large)?),
        }),
    };
    let separators = arg("separators")?;
    let sort = arg("sort_keys")?.is_some_and(|v| v.is_true());
    kwargs.assert_all_used()?;
    let (item, key) = match separators {
        Some(pair) => (str(state, &pair.get_item(&Value::from(0))?)?, str(state, &pair.get_item(&Value::from(1))?)?),
        None => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
    };
    let mut out = String::new();
    dump(state, &value, 0, &Json { indent, item, key, ascii, sort }, &mut out)?;
    Ok(Value::from_safe_string(out))
}

fn dump(state: &State, value: &Value, depth: usize, style: &Json, out: &mut String) -> Result<(), Error> {
    if depth > MOST_DEPTH * 3 {
        return Err(too_deep());
    }
    let before = out.len();
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&match number(value).as_str() {
            "nan" => "NaN".to_string(),
            "inf" => "Infinity".to_string(),
            "-inf" => "-Infinity".to_string(),
            text => text.to_string(),
        }),
        ValueKind::String => dump_text(value.as_str().unwrap_or_default(), style.ascii, out),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?;
            return container(state, ('[', ']'), items, depth, style, out, |item, out| {
                dump(state, &item, depth + 1, style, out)
            });
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort {
                keys.sort();
            }
            return container(state, ('{', '}'), keys.into_iter(), depth, style, out, |key, out| {
                let name = match key.kind() {
                    ValueKind::None => "null".to_string(),
                    ValueKind::Bool => key.is_true().to_string(),
                    ValueKind::Number => number(&key),
                    _ => str(state, &key)?,
                };
                dump_text(&name, style.ascii, out);
                out.push_str(&style.key);
                dump(state, &value.get_item(&key)?, depth + 1, style, out)
            });
        }
        kind => {
            let message = format!("a value of kind {kind} cannot be written as JSON");
            return Err(Error::new(ErrorKind::BadSerialization, message));
        }
    }
    spend(state, out.len() - before)
}

fn container(
    state: &State,
    (open, close): (char, char),
    items: impl Iterator<Item = Value>,
    depth: usize,
    style: &Json,
    out: &mut String,
    mut each: impl FnMut(Value, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |depth: usize, out: &mut String| -> Result<(), Error> {
        let Some(indent) = &style.indent else { return Ok(()) };
        spend(state, 1 + indent.len() * depth)?;
        out.push('\n');
        (0..depth).for_each(|_| out.push_str(indent));
        Ok(())
    };
    out.push(open);
    let mut empty = true;
    for item in items {
        if !empty {
            out.push_str(&style.item);
        }
        spend(state, 2 + style.item.len())?;
        line(depth + 1, out)?;
        each(item, out)?;
        empty = false;
    }
    if !empty {
        line(depth, out)?;
    }
    out.push(close);
    Ok(())
}

fn dump_text(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ascii && !c.is_ascii()) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Methods of Python's str, list and dict.
pub(super) fn method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args);
    };
    if let Some(padded) = filters::pad(state, text, name, args)? {
        return Ok(padded);
    }
    match name {
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            budget::replace(state, text, old, new, count).map(Value::from)
        }
        "join" => {
            let (values,): (&Value,) = from_args(args)?;
            budget::join(state, values, text, None).map(Value::from)
        }
        "format" => {
            budget::check_format(state, text, args)?;
            minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
        }
        "removeprefix" | "removesuffix" => {
            let (fix,): (&str,) = from_args(args)?;
            let cut = if name == "removeprefix" { text.strip_prefix(fix) } else { text.strip_suffix(fix) };
            Ok(Value::from(cut.unwrap_or(text)))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let parts = match (name, text.split_once(separator), text.rsplit_once(separator)) {
                ("partition", Some((a, b)), _) | ("rpartition", _, Some((a, b))) => [a, separator, b],
                ("partition", ..) => [text, "", ""],
                _ => ["", "", text],
            };
            Ok(Value::from(parts.map(Value::from).to_vec()))
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            let most = most.and_then(|n| usize::try_from(n).ok()).map_or(usize::MAX, |n| n.saturating_add(1));
            let mut parts: Vec<Value> = match separator {
                Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
                Some(separator) => text.rsplitn(most, separator).map(Value::from).collect(),
                None if most == usize::MAX => text.split_whitespace().rev().map(Value::from).collect(),
                None => {
                    return Err(Error::new(ErrorKind::InvalidOperation, "rsplit with a count needs a separator"));
                }
            };
            parts.reverse();
            Ok(Value::from(parts))
        }
        "index" => {
            let (part,): (&str,) = from_args(args)?;
            let at = text.find(part).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "substring not found"))?;
            Ok(Value::from(text[..at].chars().count()))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}
