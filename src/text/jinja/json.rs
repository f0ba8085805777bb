//! `tojson` as transformers defines it: `json.dumps(x, ensure_ascii=False, indent=None, separators=None,
//! sort_keys=False)`.

use super::args::Given;
use super::limits::{MOST_WIDTH, Meter, Res, failed, stopped};
use super::print;
use super::value::Value;

struct Style {
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sort: bool,
}

pub(super) fn to_json(meter: &Meter, value: &Value, given: Given) -> Res<Value> {
    let [ascii, indent, separators, sort] =
        given.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"], 0)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(text)) => Some(text.text.to_string()),
        Some(n) => match n.as_int() {
            Some(n) if n > MOST_WIDTH as i128 => return stopped("it indents too far"),
            Some(n) => Some(" ".repeat(usize::try_from(n).unwrap_or(0))),
            None => return failed(format!("tojson cannot indent by a {}", n.kind())),
        },
    };
    let (item, key) = match separators {
        None | Some(Value::None) => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
        Some(pair) => match &super::iterate::list(meter, &pair)?[..] {
            [Value::Str(item), Value::Str(key)] => (item.text.to_string(), key.text.to_string()),
            _ => return failed("tojson needs two texts as separators"),
        },
    };
    let truth = |value: Option<Value>| value.is_some_and(|v| v.truth());
    let style = Style { indent, item, key, ascii: truth(ascii), sort: truth(sort) };
    let mut out = String::new();
    dump(meter, value, 0, &style, &mut out)?;
    Ok(Value::str(out))
}

fn number(x: f64) -> String {
    match print::float(x).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        text => text.into(),
    }
}

fn dump(meter: &Meter, value: &Value, depth: usize, style: &Style, out: &mut String) -> Res<()> {
    meter.steps(1)?;
    match value {
        Value::None => meter.push(out, "null"),
        Value::Bool(b) => meter.push(out, if *b { "true" } else { "false" }),
        Value::Int(n) => meter.push(out, &n.to_string()),
        Value::Float(x) => meter.push(out, &number(*x)),
        Value::Str(text) => dump_text(meter, &text.text, style.ascii, out),
        Value::List(list) | Value::Tuple(list) => {
            meter.push(out, "[")?;
            for (i, item) in list.items.iter().enumerate() {
                meter.push(out, if i > 0 { &style.item } else { "" })?;
                line(meter, depth + 1, style, out)?;
                dump(meter, item, depth + 1, style, out)?;
            }
            if !list.items.is_empty() {
                line(meter, depth, style, out)?;
            }
            meter.push(out, "]")
        }
        Value::Dict(dict) => {
            let mut entries: Vec<(Value, Value)> =
                dict.entries.iter().map(|(key, value)| (key.0.clone(), value.clone())).collect();
            if style.sort {
                let keyed = entries.drain(..).map(|(k, v)| Ok((k.clone(), Value::tuple(vec![k, v])?)));
                for pair in super::ops::sort(meter, keyed.collect::<Res<_>>()?, false)? {
                    if let Value::Tuple(pair) = pair {
                        entries.push((pair.items[0].clone(), pair.items[1].clone()));
                    }
                }
            }
            meter.push(out, "{")?;
            for (i, (key, value)) in entries.iter().enumerate() {
                let name = match key {
                    Value::None => "null".to_string(),
                    Value::Bool(b) => b.to_string(),
                    Value::Int(n) => n.to_string(),
                    Value::Float(x) => number(*x),
                    Value::Str(text) => text.text.to_string(),
                    key => return failed(format!("keys must be str, int, float, bool or None, not {}", key.kind())),
                };
                meter.push(out, if i > 0 { &style.item } else { "" })?;
                line(meter, depth + 1, style, out)?;
                dump_text(meter, &name, style.ascii, out)?;
                meter.push(out, &style.key)?;
                dump(meter, value, depth + 1, style, out)?;
            }
            if !entries.is_empty() {
                line(meter, depth, style, out)?;
            }
            meter.push(out, "}")
        }
        other => failed(format!("Object of type {} is not JSON serializable", other.kind())),
    }
}

fn line(meter: &Meter, depth: usize, style: &Style, out: &mut String) -> Res<()> {
    let Some(indent) = &style.indent else { return Ok(()) };
    meter.push(out, "\n")?;
    (0..depth).try_for_each(|_| meter.push(out, indent))
}

fn dump_text(meter: &Meter, text: &str, ascii: bool, out: &mut String) -> Res<()> {
    meter.work(text.len())?;
    meter.room(out.len() + 2 * text.len())?;
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
    Ok(())
}
