//! Methods of Python's str, dict, list, tuple and of Jinja's own objects.

mod case;
mod split;
mod str;

pub(super) use case::{capitalize, is_case, title_words};
pub(super) use split::{split_lines, strip};
pub(super) use str::{center, replace};

use super::args::Given;
use super::limits::{Res, failed};
use super::run::Run;
use super::value::{Value, View, key};
use super::{globals, loops, ops};

pub(super) fn call(run: &mut Run, value: &Value, name: &'static str, given: Given) -> Res<Value> {
    run.meter.work(value.as_str().map_or(0, |text| text.len()))?;
    match value {
        Value::Str(text) => str::call(run, text, name, given),
        Value::Dict(dict) => match name {
            "get" => {
                let [wanted, default] = given.bind(name, ["", ""], 1)?;
                let found = dict.entries.get(&key(wanted.unwrap_or(Value::None))?);
                Ok(found.cloned().or(default).unwrap_or(Value::None))
            }
            "copy" => given.none(name).map(|()| value.clone()),
            _ => {
                given.none(name)?;
                let view = match name {
                    "keys" => View::Keys,
                    "values" => View::Values,
                    _ => View::Items,
                };
                Ok(Value::View(view, dict.clone()))
            }
        },
        Value::List(_) | Value::Tuple(_) | Value::Range(_) => sequence(run, value, name, given),
        Value::Int(_) | Value::Bool(_) => {
            given.none(name)?;
            let n = value.as_int().unwrap_or(0);
            Ok(Value::Int(if name == "bit_length" { i128::from(128 - n.unsigned_abs().leading_zeros()) } else { n }))
        }
        Value::Float(x) if name == "is_integer" => given.none(name).map(|()| Value::Bool(x.fract() == 0.0)),
        Value::Float(_) => given.none(name).map(|()| value.clone()),
        Value::Loop(this) => loops::method(run, this, name, given),
        Value::Cycler(cycler) => {
            given.none(name)?;
            if name == "reset" {
                cycler.1.set(0);
                return Ok(Value::None);
            }
            let at = cycler.1.get();
            cycler.1.set((at + 1) % cycler.0.len());
            Ok(cycler.0[at].clone())
        }
        Value::Function(_) => globals::from_keys(run, given),
        Value::View(view, dict) => {
            let [other] = given.bind(name, ["other"], 1)?;
            let mut items = super::iterate::iterate(&Value::View(*view, dict.clone()))?;
            let other = Value::list(super::iterate::list(&run.meter, &other.unwrap_or(Value::None))?)?;
            while let Some(item) = items.next(&run.meter)? {
                if ops::contains(&run.meter, &other, &item)? {
                    return Ok(Value::Bool(false));
                }
            }
            Ok(Value::Bool(true))
        }
        other => failed(format!("'{}' object has no method '{name}'", other.kind())),
    }
}

/// `count`, `index` and `copy` of a list, tuple or range.
fn sequence(run: &mut Run, value: &Value, name: &str, given: Given) -> Res<Value> {
    if name == "copy" {
        given.none(name)?;
        return Ok(value.clone());
    }
    let [wanted, from, to] = given.bind(name, ["", "", ""], 1)?;
    let wanted = wanted.unwrap_or(Value::None);
    let bounds = [from.unwrap_or(Value::None), to.unwrap_or(Value::None), Value::None];
    let first = match super::iterate::slice(&run.meter, value, [Value::None, bounds[0].clone(), Value::None])? {
        before if !matches!(bounds[0], Value::None) => before.len().unwrap_or(0),
        _ => 0,
    };
    let part = super::iterate::slice(&run.meter, value, bounds)?;
    let mut items = super::iterate::iterate(&part)?;
    let (mut count, mut at) = (0, first);
    while let Some(item) = items.next(&run.meter)? {
        if ops::equal(&run.meter, &item, &wanted)? {
            if name == "index" {
                return Ok(Value::Int(at as i128));
            }
            count += 1;
        }
        at += 1;
    }
    if name == "index" { failed("the value is not in the list") } else { Ok(Value::Int(count)) }
}
