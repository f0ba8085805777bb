//! How Python prints values: `str`, `repr`, `pprint`.

use super::limits::{Kind, Meter, Res, stopped};
use super::value::{Value, View};

/// Namespaces may hold each other; lists nest less deeply.
const MOST_DEPTH: u32 = 300;

/// `str(value)`; an undefined value is empty, as Jinja prints it.
pub(super) fn str(meter: &Meter, value: &Value) -> Res<String> {
    let mut out = String::new();
    write(meter, value, &mut out)?;
    Ok(out)
}

/// Appends `str(value)`.
pub(super) fn write(meter: &Meter, value: &Value, out: &mut String) -> Res<()> {
    match value {
        Value::Undefined(_) => Ok(()),
        Value::Str(text) => meter.push(out, &text.text),
        value => repr(meter, value, out, 0),
    }
}

/// Appends `repr(value)`.
pub(super) fn repr(meter: &Meter, value: &Value, out: &mut String, depth: u32) -> Res<()> {
    if depth > MOST_DEPTH {
        return stopped("it prints lists or dicts that are nested too deeply");
    }
    meter.steps(1)?;
    match value {
        Value::Undefined(_) => meter.push(out, "Undefined"),
        Value::None => meter.push(out, "None"),
        Value::Bool(b) => meter.push(out, if *b { "True" } else { "False" }),
        Value::Int(n) => meter.push(out, &n.to_string()),
        Value::Float(x) => meter.push(out, &float(*x)),
        Value::Str(text) => {
            meter.work(text.text.len())?;
            meter.room(out.len() + 4 * text.text.len())?;
            if text.safe {
                out.push_str("Markup(");
            }
            repr_text(&text.text, out);
            out.push_str(if text.safe { ")" } else { "" });
            Ok(())
        }
        Value::List(list) => sequence(meter, &list.items, ("[", "]"), out, depth),
        Value::Tuple(list) if list.items.len() == 1 => sequence(meter, &list.items, ("(", ",)"), out, depth),
        Value::Tuple(list) => sequence(meter, &list.items, ("(", ")"), out, depth),
        Value::Dict(dict) => {
            meter.push(out, "{")?;
            for (i, (key, value)) in dict.entries.iter().enumerate() {
                meter.push(out, if i > 0 { ", " } else { "" })?;
                repr(meter, &key.0, out, depth + 1)?;
                meter.push(out, ": ")?;
                repr(meter, value, out, depth + 1)?;
            }
            meter.push(out, "}")
        }
        Value::View(view, dict) => {
            meter.push(out, if *view == View::Keys { "dict_keys(" } else { "dict_values(" })?;
            if *view == View::Items {
                out.truncate(out.len() - "values(".len());
                meter.push(out, "items(")?;
            }
            let items = super::iterate::list(meter, &Value::View(*view, dict.clone()))?;
            sequence(meter, &items, ("[", "])"), out, depth)
        }
        Value::Range(range) => {
            let step = if range.step == 1 { String::new() } else { format!(", {}", range.step) };
            meter.push(out, &format!("range({}, {}{step})", range.start, range.stop))
        }
        Value::Namespace(namespace) => {
            meter.push(out, "<Namespace {")?;
            for (i, (name, value)) in namespace.entries.borrow().iter().enumerate() {
                meter.push(out, if i > 0 { ", " } else { "" })?;
                repr_text(name, out);
                meter.push(out, ": ")?;
                repr(meter, value, out, depth + 1)?;
            }
            meter.push(out, "}>")
        }
        Value::Loop(loop_) => meter.push(out, &format!("<LoopContext {}/{}>", loop_.index() + 1, loop_.known())),
        Value::Macro(node) if node.caller => meter.push(out, "<Macro anonymous>"),
        Value::Macro(node) => meter.push(out, &format!("<Macro '{}'>", node.node.name)),
        Value::Template => meter.push(out, "<TemplateReference None>"),
        Value::Block(block) => meter.push(out, &format!("<BlockReference '{}'>", block.name)),
        // Python prints addresses here, which nobody can expect.
        Value::Function(name) => meter.push(out, &format!("<function {name}>")),
        Value::Method(value, name) => meter.push(out, &format!("<built-in method {name} of {} object>", value.kind())),
        Value::Iter(_) => meter.push(out, "<generator object>"),
        Value::Cycler(_) => meter.push(out, "<Cycler object>"),
        Value::Joiner(_) => meter.push(out, "<Joiner object>"),
    }
}

fn sequence(meter: &Meter, items: &[Value], (open, close): (&str, &str), out: &mut String, depth: u32) -> Res<()> {
    meter.push(out, open)?;
    for (i, item) in items.iter().enumerate() {
        meter.push(out, if i > 0 { ", " } else { "" })?;
        repr(meter, item, out, depth + 1)?;
    }
    meter.push(out, close)
}

/// Whether Python's `repr` writes a character as it is.
pub(super) fn is_printable(c: char) -> bool {
    !(c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}'))
}

/// `repr` of a text.
pub(super) fn repr_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                n @ 0..=0xff => out.push_str(&format!("\\x{n:02x}")),
                n @ 0..=0xffff => out.push_str(&format!("\\u{n:04x}")),
                n => out.push_str(&format!("\\U{n:08x}")),
            },
        }
    }
    out.push(quote);
}

/// `repr` of a float: the shortest digits that read back the same; exponents below 1e-4 and from 1e16 on.
pub(super) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    if x != 0.0 && !(1e-4..1e16).contains(&x.abs()) {
        return exponent(&format!("{x:e}"));
    }
    let text = x.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// Rust's `1.5e-7` as Python's `1.5e-07`.
pub(super) fn exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Columns of a line of [`pretty`].
const LINE: usize = 80;

/// `pprint.pformat(value)`: dicts sorted by key, broken into lines where they are longer than 80 columns.
pub(super) fn pretty(meter: &Meter, value: &Value) -> Res<String> {
    let mut out = String::new();
    pretty_at(meter, value, 0, 0, 0, &mut out)?;
    Ok(out)
}

fn pretty_at(meter: &Meter, value: &Value, indent: usize, after: usize, depth: u32, out: &mut String) -> Res<()> {
    let mut line = String::new();
    one_line(meter, value, &mut line, depth)?;
    if line.chars().count() <= LINE.saturating_sub(indent + after) {
        return meter.push(out, &line);
    }
    let pad = " ".repeat(indent + 1);
    match value {
        Value::Dict(dict) if !dict.entries.is_empty() => {
            meter.push(out, "{")?;
            for (i, (key, value)) in sorted(meter, dict)?.iter().enumerate() {
                if i > 0 {
                    meter.push(out, &format!(",\n{pad}"))?;
                }
                let mut name = String::new();
                one_line(meter, key, &mut name, depth + 1)?;
                meter.push(out, &format!("{name}: "))?;
                let last = i + 1 == dict.entries.len();
                let after = if last { after + 1 } else { 1 };
                pretty_at(meter, value, indent + name.chars().count() + 3, after, depth + 1, out)?;
            }
            meter.push(out, "}")
        }
        Value::List(list) | Value::Tuple(list) if !list.items.is_empty() => {
            let (open, close) = match value {
                Value::List(_) => ("[", "]"),
                _ if list.items.len() == 1 => ("(", ",)"),
                _ => ("(", ")"),
            };
            meter.push(out, open)?;
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    meter.push(out, &format!(",\n{pad}"))?;
                }
                let after = if i + 1 == list.items.len() { after + close.len() } else { 1 };
                pretty_at(meter, item, indent + 1, after, depth + 1, out)?;
            }
            meter.push(out, close)
        }
        Value::Str(text) if !text.safe => pretty_text(meter, &text.text, indent, after, depth, out),
        _ => meter.push(out, &line),
    }
}

/// A long text as several literals, cut after line breaks and white space.
fn pretty_text(meter: &Meter, text: &str, indent: usize, after: usize, depth: u32, out: &mut String) -> Res<()> {
    let (indent, after) = if depth == 0 { (indent + 1, after + 1) } else { (indent, after) };
    let width = LINE.saturating_sub(indent);
    let mut pieces: Vec<String> = Vec::new();
    let mut push = |piece: &str| {
        let mut quoted = String::new();
        repr_text(piece, &mut quoted);
        pieces.push(quoted);
    };
    let lines: Vec<&str> = super::methods::split_lines(text, true);
    for (i, line) in lines.iter().enumerate() {
        let room = if i + 1 == lines.len() { width.saturating_sub(after) } else { width };
        let mut quoted = String::new();
        repr_text(line, &mut quoted);
        if quoted.chars().count() <= room {
            push(line);
            continue;
        }
        // Words with the white space behind them.
        let mut words: Vec<String> = Vec::new();
        for c in line.chars() {
            match words.last_mut() {
                Some(word) if !word.ends_with(super::lexer::is_space) || super::lexer::is_space(c) => word.push(c),
                _ => words.push(c.into()),
            }
        }
        let mut current = String::new();
        for (j, word) in words.iter().enumerate() {
            let room = if j + 1 == words.len() && i + 1 == lines.len() { width.saturating_sub(after) } else { width };
            let candidate = format!("{current}{word}");
            let mut quoted = String::new();
            repr_text(&candidate, &mut quoted);
            if quoted.chars().count() > room {
                if !current.is_empty() {
                    push(&current);
                }
                current = word.clone();
            } else {
                current = candidate;
            }
            meter.work(current.len())?;
        }
        if !current.is_empty() {
            push(&current);
        }
    }
    let parentheses = depth == 0 && pieces.len() > 1;
    let text = pieces.join(&format!("\n{}", " ".repeat(indent)));
    meter.push(out, &if parentheses { format!("({text})") } else { text })
}

/// The entries of a dict by key; keys without an order among them go by the names of their types.
fn sorted(meter: &Meter, dict: &super::value::Dict) -> Res<Vec<(Value, Value)>> {
    let keyed = |by_type: bool| -> Res<Vec<(Value, Value)>> {
        let entry = |(key, value): (&super::value::Key, &Value)| {
            let order = match by_type {
                true => Value::list(vec![Value::str(key.0.kind()), key.0.clone()])?,
                false => key.0.clone(),
            };
            Ok((order, Value::tuple(vec![key.0.clone(), value.clone()])?))
        };
        dict.entries.iter().map(entry).collect()
    };
    let sorted = match super::ops::sort(meter, keyed(false)?, false) {
        Err(fault) if fault.kind == Kind::Failed => super::ops::sort(meter, keyed(true)?, false)?,
        sorted => sorted?,
    };
    Ok(sorted
        .into_iter()
        .filter_map(|pair| match pair {
            Value::Tuple(pair) => Some((pair.items[0].clone(), pair.items[1].clone())),
            _ => None,
        })
        .collect())
}

/// `repr` with sorted dicts.
fn one_line(meter: &Meter, value: &Value, out: &mut String, depth: u32) -> Res<()> {
    match value {
        Value::Dict(dict) => {
            meter.push(out, "{")?;
            for (i, (key, value)) in sorted(meter, dict)?.iter().enumerate() {
                meter.push(out, if i > 0 { ", " } else { "" })?;
                repr(meter, key, out, depth + 1)?;
                meter.push(out, ": ")?;
                one_line(meter, value, out, depth + 1)?;
            }
            meter.push(out, "}")
        }
        Value::List(list) | Value::Tuple(list) => {
            let tuple = matches!(value, Value::Tuple(_));
            meter.push(out, if tuple { "(" } else { "[" })?;
            for (i, item) in list.items.iter().enumerate() {
                meter.push(out, if i > 0 { ", " } else { "" })?;
                one_line(meter, item, out, depth + 1)?;
            }
            meter.push(
                out,
                if tuple && list.items.len() == 1 {
                    ",)"
                } else if tuple {
                    ")"
                } else {
                    "]"
                },
            )
        }
        value => repr(meter, value, out, depth),
    }
}
