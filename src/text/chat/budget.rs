//! What one render may spend on values: the filters that [`super::guard`] inserts, and bounded versions of the built-in
//! filters whose results can be much larger than their inputs.

use super::{printf, python};
use minijinja::value::{Kwargs, Object, Rest, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes (and, roughly, values) left to build.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);
impl Object for Budget {}

/// Name of the budget in the context of a render.
pub(super) const KEY: &str = "_budget";

/// Nesting of lists and dicts that a template may build or print.
pub(super) const MOST_DEPTH: usize = 64;

impl Budget {
    pub(super) fn new(bytes: usize) -> Budget {
        Budget(AtomicUsize::new(bytes))
    }
}

pub(super) fn too_large() -> Error {
    Error::new(ErrorKind::OutOfFuel, "it builds texts or lists that are far larger than the conversation")
}

/// Takes `n` from the budget.
pub(super) fn spend(state: &State, n: usize) -> Result<(), Error> {
    let budget: Option<Arc<Budget>> = state.lookup(KEY).and_then(|v| v.downcast_object());
    let Some(Budget(left)) = budget.as_deref() else { return Err(too_large()) };
    let update = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n));
    update.map(drop).map_err(|_| too_large())
}

/// Charges one per value inside, and refuses deep nesting (which would overflow the stack when it is dropped).
fn walk(state: &State, value: &Value, depth: usize, member: bool) -> Result<(), Error> {
    spend(state, 1)?;
    let Some(object) = value.as_object() else { return Ok(()) };
    let namespace = object.type_name().ends_with("Namespace");
    if depth > MOST_DEPTH {
        return Err(Error::new(ErrorKind::OutOfFuel, "it nests lists or dicts too deeply"));
    }
    if member && namespace {
        return Err(Error::new(ErrorKind::InvalidOperation, "a namespace cannot hold a namespace"));
    }
    if namespace
        || value.len().is_none()
        || !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
    {
        return Ok(());
    }
    spend(state, value.len().unwrap_or(0))?;
    for item in value.try_iter()? {
        if value.kind() == ValueKind::Map {
            walk(state, &value.get_item(&item)?, depth + 1, member)?;
        } else {
            walk(state, &item, depth + 1, member)?;
        }
    }
    Ok(())
}

/// Bytes of a text or of a list's references.
fn bytes(value: &Value) -> usize {
    value.as_str().map_or_else(|| value.len().unwrap_or(0).saturating_mul(16), str::len)
}

/// An operand of `+`.
fn grow(state: &State, value: Value) -> Result<Value, Error> {
    spend(state, bytes(&value) + 1)?;
    Ok(value)
}

/// `a * b` of Python: numbers, or a text or list and how often it is repeated.
fn times(state: &State, a: Value, b: Value) -> Result<Value, Error> {
    let numeric = |v: &Value| matches!(v.kind(), ValueKind::Number | ValueKind::Bool);
    let whole =
        |v: &Value| i64::try_from(v.clone()).ok().or_else(|| (v.kind() == ValueKind::Bool).then(|| v.is_true().into()));
    if numeric(&a) && numeric(&b) {
        let product = whole(&a).zip(whole(&b)).filter(|_| !is_float(&a) && !is_float(&b));
        return match product {
            Some((x, y)) => x.checked_mul(y).map(Value::from).ok_or_else(too_large),
            None => Ok(Value::from(f64::try_from(a)? * f64::try_from(b)?)),
        };
    }
    let (repeated, count) = if numeric(&a) { (b, a) } else { (a, b) };
    let list = matches!(repeated.kind(), ValueKind::Seq | ValueKind::Iterable);
    let count = whole(&count).filter(|_| numeric(&count) && !is_float(&count) && (list || repeated.as_str().is_some()));
    let Some(count) = count else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a product is of numbers, or of a text or list and an integer",
        ));
    };
    let count = usize::try_from(count).unwrap_or(0);
    spend(state, (bytes(&repeated) + 1).saturating_mul(count))?;
    if let Some(text) = repeated.as_str() {
        return Ok(Value::from(text.repeat(count)));
    }
    let items: Vec<Value> = repeated.try_iter()?.collect();
    Ok(Value::from(std::iter::repeat_n(items, count).flatten().collect::<Vec<Value>>()))
}

fn is_float(value: &Value) -> bool {
    value.kind() == ValueKind::Number && !value.is_integer()
}

/// An operand of `~`.
fn show(state: &State, value: Value) -> Result<Value, Error> {
    Ok(Value::from(python::str(state, &value)?))
}

/// An operand of `*` in a chain.
fn number(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool | ValueKind::Undefined | ValueKind::None => Ok(value),
        kind => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("templates may multiply numbers only, not a {kind}")))
        }
    }
}

fn size(state: &State, value: Value) -> Result<Value, Error> {
    walk(state, &value, 0, false)?;
    Ok(value)
}

fn member(state: &State, value: Value) -> Result<Value, Error> {
    walk(state, &value, 0, true)?;
    Ok(value)
}

/// `s.replace(old, new[, count])`.
pub(super) fn replace(state: &State, s: &str, old: &str, new: &str, count: Option<i64>) -> Result<String, Error> {
    let count = count.and_then(|c| usize::try_from(c).ok()).unwrap_or(usize::MAX);
    let found = if old.is_empty() { s.chars().count() + 1 } else { s.matches(old).count() };
    spend(state, s.len().saturating_add(found.min(count).saturating_mul(new.len())))?;
    Ok(s.replacen(old, new, count))
}

/// `separator.join(values)`, and the filter of that name.
pub(super) fn join(state: &State, values: &Value, separator: &str, attribute: Option<&str>) -> Result<String, Error> {
    let mut out = String::new();
    for (i, value) in values.try_iter()?.enumerate() {
        if i > 0 {
            spend(state, separator.len() + 1)?;
            out.push_str(separator);
        }
        let value = match attribute {
            Some(name) => value.get_attr(name)?,
            None => value,
        };
        out.push_str(&python::str(state, &value)?);
    }
    Ok(out)
}

/// Of `str.format`: refuses `{:99999999}` and charges what a format string can at most make of its arguments.
pub(super) fn check_format(state: &State, format: &str, args: &[Value]) -> Result<(), Error> {
    // minijinja cuts what it does not know inside of braces by bytes.
    let mut inside = format.split('{').skip(1).filter_map(|part| part.split('}').next());
    if inside.any(|field| !field.is_ascii()) {
        return Err(Error::new(ErrorKind::InvalidOperation, "a format may have ASCII only between its braces"));
    }
    let digits = format.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    if digits > 3 || format.contains('*') {
        return Err(too_large());
    }
    let mut longest = 1000usize;
    for arg in args {
        longest = longest.max(python::str(state, arg)?.len());
    }
    let places = format.matches('{').count();
    spend(state, format.len().saturating_add(places.saturating_mul(longest)))
}

/// Registers the guards and the bounded filters.
pub(super) fn install(env: &mut Environment) {
    env.add_filter("_grow", grow);
    env.add_filter("_show", show);
    env.add_filter("_number", number);
    env.add_filter("_times", times);
    env.add_filter("_size", size);
    env.add_filter("_member", member);
    env.add_filter("replace", |state: &State, s: Value, old: Value, new: Value, count: Option<i64>| {
        let (s, old, new) = (python::str(state, &s)?, python::str(state, &old)?, python::str(state, &new)?);
        replace(state, &s, &old, &new, count)
    });
    env.add_filter("join", |state: &State, values: Value, separator: Option<Value>, kwargs: Kwargs| {
        let separator = match separator.or(kwargs.get::<Option<Value>>("d")?) {
            Some(separator) => python::str(state, &separator)?,
            None => String::new(),
        };
        let attribute: Option<String> = kwargs.get("attribute")?;
        kwargs.assert_all_used()?;
        join(state, &values, &separator, attribute.as_deref())
    });
    env.add_filter("string", |state: &State, value: Value| python::str(state, &value));
    env.add_filter("format", |state: &State, format: &Value, args: Rest<Value>| {
        let (args, kwargs): (&[Value], Kwargs) = from_args(&args)?;
        let named: Vec<(Value, Value)> =
            kwargs.args().map(|name| Ok((Value::from(name), kwargs.get(name)?))).collect::<Result<_, Error>>()?;
        let named: Vec<Value> = if named.is_empty() { Vec::new() } else { vec![named.into_iter().collect()] };
        printf::format(state, &python::str(state, format)?, if named.is_empty() { args } else { &named })
    });
    env.add_filter("indent", indent);
    env.add_filter("batch", |state: &State, value: Value, count: usize, fill: Option<Value>| {
        spend(state, count)?;
        minijinja::filters::batch(state, value, count, fill)
    });
    env.add_filter("slice", |state: &State, value: Value, count: usize, fill: Option<Value>| {
        spend(state, count)?;
        minijinja::filters::slice(state, value, count, fill)
    });
}

/// Jinja's `indent(width=4, first=False, blank=False)`; the width may be a text.
fn indent(state: &State, text: Value, args: Rest<Value>) -> Result<String, Error> {
    let text = python::str(state, &text)?;
    let (width, first, blank, kwargs): (Option<Value>, Option<bool>, Option<bool>, Kwargs) = from_args(&args)?;
    let width = width.or(kwargs.get("width")?);
    let first = first.or(kwargs.get("first")?).unwrap_or(false);
    let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    let indent = match &width {
        Some(width) if width.as_str().is_some() => python::str(state, width)?,
        width => {
            let n = width.as_ref().map_or(Some(4), Value::as_usize).filter(|n| *n <= 1000).ok_or_else(too_large)?;
            " ".repeat(n)
        }
    };
    let lines = text.matches('\n').count() + 1;
    spend(state, text.len().saturating_add(lines.saturating_mul(indent.len() + 1)))?;
    let mut out = String::new();
    for (i, line) in text.strip_suffix('\n').unwrap_or(&text).split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i == 0 && first) || (i > 0 && (blank || !line.is_empty())) {
            out.push_str(&indent);
        }
        out.push_str(line);
    }
    // Jinja keeps the last line break.
    if text.ends_with('\n') {
        out.push('\n');
        if blank {
            out.push_str(&indent);
        }
    }
    Ok(out)
}
