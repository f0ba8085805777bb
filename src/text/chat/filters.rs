//! Filters, tests and functions of Jinja2 where minijinja's differ: texts are made as Python's `str` makes them, and
//! what Jinja2 does with undefined values, none and texts that are no numbers.

use super::budget::spend;
use super::printf;
use super::python::str;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use std::sync::atomic::{AtomicBool, Ordering};

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Python's `str.capitalize`: the rest becomes lower case.
fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect())
}

/// Jinja's `title`: words begin after white space, `-` and opening brackets.
fn title(text: &str) -> String {
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        start = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value
        .as_str()
        .map(|s| s.chars().count())
        .or_else(|| value.len())
        .ok_or_else(|| invalid(format!("a value of kind {} has no length", value.kind())))
}

/// `int(default=0, base=10)`: a text is read in that base, else as a float that is cut off.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = default.or(kwargs.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(kwargs.get("base")?).unwrap_or(10);
    kwargs.assert_all_used()?;
    if !(2..=36).contains(&base) {
        return Err(invalid("int: expected a base from 2 to 36"));
    }
    let whole = |x: f64| (x.is_finite() && x.abs() < 1e18).then(|| Value::from(x.trunc() as i64));
    let found = match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(whole),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim().to_lowercase();
            let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
            let prefix =
                [(16, "0x"), (8, "0o"), (2, "0b")].into_iter().find(|(b, _)| *b == base).map_or("", |(_, p)| p);
            let digits = if prefix.is_empty() { digits } else { digits.strip_prefix(prefix).unwrap_or(digits) };
            let whole_number =
                i64::from_str_radix(digits, base).ok().map(|n| Value::from(if negative { -n } else { n }));
            whole_number.or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        _ => None,
    };
    Ok(found.unwrap_or(default))
}

fn float(value: &Value, default: Option<Value>) -> Value {
    let found = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    found.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0))
}

/// `value[start:stop:step]` as Python slices; the one place that knows steps, as minijinja's own panics when it steps
/// back through nothing.
fn slice(state: &State, value: &Value, start: &Value, stop: &Value, step: &Value) -> Result<Value, Error> {
    let bound = |v: &Value| match v.kind() {
        ValueKind::None => Ok(None),
        _ => v.as_i64().map(Some).ok_or_else(|| invalid("slice bounds must be integers or none")),
    };
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return Err(invalid("the step of a slice cannot be zero"));
    }
    if value.is_undefined() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    if !matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable) {
        return Err(invalid(format!("a value of kind {} cannot be sliced", value.kind())));
    }
    let items: Vec<Value> = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None => value.try_iter()?.collect(),
    };
    spend(state, items.len().saturating_mul(16))?;
    let n = items.len() as i64;
    // The first and last positions there are, one before them where the step goes back.
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |at: i64| if at < 0 { at.saturating_add(n).max(low) } else { at.min(high) };
    let mut at = start.map_or(if step > 0 { low } else { high }, place);
    let end = stop.map_or(if step > 0 { high } else { low }, place);
    let mut out = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        out.extend(usize::try_from(at).ok().and_then(|i| items.get(i)).cloned());
        at = at.saturating_add(step);
    }
    if value.as_str().is_some() {
        return Ok(Value::from(out.iter().filter_map(Value::as_str).collect::<String>()));
    }
    Ok(Value::from(out))
}

/// `format % value`: `tuple` says that the value was written as `(a, b)`.
fn percent(state: &State, format: &str, value: Value, tuple: bool) -> Result<String, Error> {
    let args = if tuple { value.try_iter()?.collect() } else { vec![value] };
    printf::format(state, format, &args)
}

/// `dict(pairs or mapping, **more)`.
fn dict(state: &State, from: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut out: Vec<(Value, Value)> = Vec::new();
    if let Some(from) = from {
        for item in from.try_iter()? {
            out.push(match from.kind() {
                ValueKind::Map => (item.clone(), from.get_item(&item)?),
                _ if item.len() == Some(2) => (item.get_item(&Value::from(0))?, item.get_item(&Value::from(1))?),
                _ => return Err(invalid("dict: expected pairs")),
            });
        }
    }
    for name in kwargs.args() {
        out.push((Value::from(name), kwargs.get(name)?));
    }
    spend(state, out.len().saturating_mul(16))?;
    Ok(out.into_iter().collect())
}

fn joiner(separator: Option<String>) -> Value {
    let separator = separator.unwrap_or_else(|| ", ".into());
    let used = AtomicBool::new(false);
    Value::from_function(move || if used.swap(true, Ordering::Relaxed) { separator.clone() } else { String::new() })
}

pub(super) fn install(env: &mut Environment) {
    env.add_filter("upper", |state: &State, v: &Value| Ok::<_, Error>(str(state, v)?.to_uppercase()));
    env.add_filter("lower", |state: &State, v: &Value| Ok::<_, Error>(str(state, v)?.to_lowercase()));
    env.add_filter("title", |state: &State, v: &Value| Ok::<_, Error>(title(&str(state, v)?)));
    env.add_filter("capitalize", |state: &State, v: &Value| Ok::<_, Error>(capitalize(&str(state, v)?)));
    env.add_filter("trim", |state: &State, v: &Value, chars: Option<String>| {
        let text = str(state, v)?;
        Ok::<_, Error>(match chars {
            Some(chars) => text.trim_matches(|c| chars.contains(c)).to_string(),
            None => text.trim().to_string(),
        })
    });
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("_slice", slice);
    env.add_filter("_percent", percent);
    env.add_function("dict", dict);
    env.add_function("joiner", joiner);
    env.add_test("iterable", |v: &Value| {
        v.is_undefined() || (!v.is_none() && (v.as_str().is_some() || v.try_iter().is_ok()))
    });
    env.add_test("sequence", |v: &Value| {
        v.is_undefined() || (!v.is_none() && (v.as_str().is_some() || v.len().is_some()))
    });
}

/// The methods of Python's str that pad; None for any other name.
pub(super) fn pad(state: &State, text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    if !matches!(name, "zfill" | "ljust" | "rjust" | "center") {
        return Ok(None);
    }
    let width = args.first().and_then(Value::as_i64).ok_or_else(|| invalid(format!("{name}: expected a width")))?;
    let fill = match args.get(1).and_then(Value::as_str).map(|s| (s.chars().count(), s.chars().next())) {
        Some((1, Some(c))) if name != "zfill" => c,
        None if args.len() == 1 && name == "zfill" => '0',
        None if args.len() == 1 => ' ',
        _ => return Err(invalid(format!("{name}: expected a width and one fill character"))),
    };
    let width = usize::try_from(width).unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    spend(state, text.len().saturating_add(missing.saturating_mul(fill.len_utf8())))?;
    let filler = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    Ok(Some(Value::from(match name {
        "ljust" => format!("{text}{}", filler(missing)),
        "rjust" => format!("{}{text}", filler(missing)),
        "center" => {
            // Python puts the odd one left where the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", filler(left), filler(missing - left))
        }
        _ => {
            let signed = text.starts_with(['+', '-']);
            let (sign, digits) = text.split_at(usize::from(signed));
            format!("{sign}{}{digits}", filler(missing))
        }
    })))
}
