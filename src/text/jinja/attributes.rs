//! Attributes of Python's objects that Jinja's sandbox lets templates see.

use super::limits::Res;
use super::loops;
use super::run::Run;
use super::value::{Dict, Value};
use std::rc::Rc;

const STR: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const MARKUP: [&str; 4] = ["striptags", "unescape", "escape", "__html__"];
const DICT: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const LIST: [&str; 3] = ["copy", "count", "index"];
const TUPLE: [&str; 2] = ["count", "index"];
/// Methods that change a list or a dict.
const UNSAFE_DICT: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
const UNSAFE_LIST: [&str; 8] = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];

/// `getattr(value, name)` in the sandbox; None for what is no attribute.
pub(super) fn get(run: &mut Run, value: &Value, name: &str) -> Res<Option<Value>> {
    let method = |names: &[&'static str]| {
        names.iter().find(|known| **known == name).map(|name| Value::Method(Rc::new(value.clone()), name))
    };
    let refused = |names: &[&str]| {
        let message = || format!("access to attribute '{name}' of '{}' object is unsafe", value.kind());
        names.contains(&name).then(|| Value::undefined(message()))
    };
    if let Value::Namespace(namespace) = value {
        return Ok(namespace.entries.borrow().get(name).cloned());
    }
    if name.starts_with("__") && ["__class__", "__dict__", "__doc__", "__init__", "__len__", "__iter__"].contains(&name)
    {
        return Ok(refused(&[name]));
    }
    Ok(match value {
        Value::Str(text) if text.safe => method(&MARKUP).or_else(|| method(&STR)),
        Value::Str(_) => method(&STR),
        Value::Dict(_) => method(&DICT).or_else(|| refused(&UNSAFE_DICT)),
        Value::List(_) => method(&LIST).or_else(|| refused(&UNSAFE_LIST)),
        Value::Tuple(list) if list.group && name == "grouper" => Some(list.items[0].clone()),
        Value::Tuple(list) if list.group && name == "list" => Some(list.items[1].clone()),
        Value::Tuple(_) => method(&TUPLE),
        Value::Range(range) => match name {
            "start" => Some(Value::Int(range.start.into())),
            "stop" => Some(Value::Int(range.stop.into())),
            "step" => Some(Value::Int(range.step.into())),
            _ => method(&TUPLE),
        },
        Value::Int(_) | Value::Bool(_) => match name {
            "real" | "numerator" => value.as_int().map(Value::Int),
            "imag" => Some(Value::Int(0)),
            "denominator" => Some(Value::Int(1)),
            _ => method(&["bit_length", "conjugate"]),
        },
        Value::Float(x) => match name {
            "real" => Some(Value::Float(*x)),
            "imag" => Some(Value::Float(0.0)),
            _ => method(&["is_integer", "conjugate"]),
        },
        Value::Loop(this) => loops::attribute(run, this, name)?,
        Value::Macro(called) => match name {
            "name" if called.caller => Some(Value::None),
            "name" => Some(Value::str(called.node.name.as_str())),
            "arguments" => Some(Value::tuple(called.node.parameters.iter().map(|p| Value::str(&**p)).collect())?),
            "caller" => Some(Value::Bool(called.node.caller)),
            "catch_kwargs" => Some(Value::Bool(called.node.kwargs)),
            "catch_varargs" => Some(Value::Bool(called.node.varargs)),
            _ => None,
        },
        Value::Cycler(cycler) => match name {
            "current" => Some(cycler.0[cycler.1.get()].clone()),
            _ => method(&["next", "reset"]),
        },
        Value::Joiner(joiner) => match name {
            "sep" => Some(joiner.0.clone()),
            "used" => Some(Value::Bool(joiner.1.get())),
            _ => None,
        },
        Value::Function("dict") => method(&["fromkeys"]),
        Value::Template => run.template.blocks.iter().find(|block| block.name == name).cloned().map(Value::Block),
        Value::View(_, dict) if name == "mapping" => Some(mapping(dict)),
        Value::View(..) => method(&["isdisjoint"]),
        _ => None,
    })
}

fn mapping(dict: &Rc<Dict>) -> Value {
    Value::Dict(dict.clone())
}
