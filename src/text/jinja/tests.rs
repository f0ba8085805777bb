//! Jinja's tests: `value is name(arguments)`.

use super::args::Given;
use super::ast::{Comparison, Operator};
use super::limits::{Res, failed};
use super::run::Run;
use super::value::Value;
use super::{filters, iterate, methods, ops, print};
use std::rc::Rc;

const NAMES: [&str; 39] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
];

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "==" | "eq" | "equalto" => Comparison::Equal,
        "!=" | "ne" => Comparison::Unequal,
        ">" | "gt" | "greaterthan" => Comparison::Greater,
        ">=" | "ge" => Comparison::GreaterEqual,
        "<" | "lt" | "lessthan" => Comparison::Less,
        "<=" | "le" => Comparison::LessEqual,
        "in" => Comparison::In,
        _ => return None,
    })
}

pub(super) fn call(run: &mut Run, name: &str, value: &Value, given: Given) -> Res<bool> {
    if let Some(comparison) = comparison(name) {
        let [other] = given.bind(name, ["seq"], 1)?;
        return ops::compare(&run.meter, value, comparison, &other.unwrap_or(Value::None));
    }
    if name == "divisibleby" || name == "sameas" {
        let [other] = given.bind(name, [if name == "sameas" { "other" } else { "num" }], 1)?;
        let other = other.unwrap_or(Value::None);
        return if name == "sameas" { Ok(same(value, &other)) } else { divisible(run, value, &other) };
    }
    if !NAMES.contains(&name) {
        return failed(format!("no test named '{name}'"));
    }
    given.none(name)?;
    Ok(match name {
        "odd" | "even" => {
            let rest = ops::arithmetic(&run.meter, value, Operator::Mod, &Value::Int(2))?;
            let expected = Value::Int(i128::from(name == "odd"));
            ops::equal(&run.meter, &rest, &expected)?
        }
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "filter" | "test" => {
            super::value::key(value.clone())?;
            value.as_str().is_some_and(|x| if name == "filter" { filters::exists(x) } else { NAMES.contains(&x) })
        }
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_float().is_some(),
        "lower" | "upper" => {
            let text = print::str(&run.meter, value)?;
            methods::is_case(&text, name == "upper")
        }
        "string" => matches!(value, Value::Str(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => matches!(
            value,
            Value::Undefined(_) | Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) | Value::Range(_)
        ),
        "iterable" => iterate::is_iterable(value),
        // An undefined value can be called, though it then fails.
        "callable" => matches!(
            value,
            Value::Undefined(_)
                | Value::Function(_)
                | Value::Method(..)
                | Value::Macro(_)
                | Value::Loop(_)
                | Value::Joiner(_)
                | Value::Block(_)
        ),
        _ => matches!(value, Value::Str(text) if text.safe),
    })
}

fn divisible(run: &Run, value: &Value, by: &Value) -> Res<bool> {
    let rest = ops::arithmetic(&run.meter, value, Operator::Mod, by)?;
    ops::equal(&run.meter, &rest, &Value::Int(0))
}

/// `a is b` in Python: one object, as small numbers, None and constants are.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b && (-5..=256).contains(a),
        (Value::Str(a), Value::Str(b)) => Rc::ptr_eq(a, b) || (a.text == b.text && a.text.len() <= 1),
        (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
        (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b) || (a.items.is_empty() && b.items.is_empty()),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
        (Value::Macro(a), Value::Macro(b)) => Rc::ptr_eq(a, b),
        (Value::Function(a), Value::Function(b)) => a == b,
        _ => false,
    }
}
