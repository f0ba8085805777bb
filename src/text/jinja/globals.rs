//! Functions that every chat template has: Jinja's, and those that transformers adds.

use super::args::Given;
use super::limits::{Fault, Kind, Res, failed, stopped};
use super::run::Run;
use super::value::{Key, Namespace, Range, Value, key};
use super::{date, iterate, print};
use indexmap::IndexMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const NAMES: [&str; 8] =
    ["range", "dict", "lipsum", "cycler", "joiner", "namespace", "raise_exception", "strftime_now"];
/// Of Jinja's sandbox.
const MOST_RANGE: usize = 100_000;

/// The global function of this name.
pub(super) fn function(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|known| *known == name)
}

pub(super) fn call(run: &mut Run, name: &'static str, given: Given) -> Res<Value> {
    match name {
        "range" => range(given),
        "dict" => Value::dict(dict(run, given)?),
        "namespace" => {
            let mut entries = IndexMap::new();
            for (name, value) in dict(run, given)? {
                let Some(name) = name.0.as_str() else { return failed("a namespace needs names") };
                check_name(name)?;
                entries.insert(name.to_string(), value);
            }
            Ok(run.make_namespace(Namespace { entries: RefCell::new(entries) }))
        }
        "joiner" => {
            let [separator] = given.bind(name, ["sep"], 0)?;
            Ok(Value::Joiner(Rc::new((separator.unwrap_or_else(|| Value::str(", ")), Cell::new(false)))))
        }
        "cycler" if given.positional.is_empty() => failed("at least one item has to be provided"),
        "cycler" => Ok(Value::Cycler(Rc::new((given.positional, Cell::new(0))))),
        "raise_exception" => {
            let [message] = given.bind(name, ["message"], 1)?;
            let message = print::str(&run.meter, &message.unwrap_or(Value::None))?;
            Err(Box::new(Fault { kind: Kind::Refused, message, line: 0 }))
        }
        "strftime_now" => {
            let [format] = given.bind(name, ["format"], 1)?;
            match &format {
                Some(Value::Str(format)) => {
                    run.meter.work(format.text.len() * 16)?;
                    Ok(Value::str(date::strftime(run.now, &format.text)))
                }
                _ => failed("strftime_now() needs a str"),
            }
        }
        // Random words: no prompt needs them.
        name => failed(format!("{name}() is not available in chat templates")),
    }
}

fn range(given: Given) -> Res<Value> {
    let [first, second, step] = given.bind("range", ["", "", ""], 1)?;
    let number = |value: Option<Value>, default: i64| match value {
        None => Ok(default),
        Some(value) => match value.as_int().and_then(|n| i64::try_from(n).ok()) {
            Some(n) => Ok(n),
            None => failed(format!("range() needs integers, not {}", value.kind())),
        },
    };
    let (start, stop) = match second {
        Some(_) => (number(first, 0)?, number(second, 0)?),
        None => (0, number(first, 0)?),
    };
    let range = Range { start, stop, step: number(step, 1)? };
    if range.step == 0 {
        return failed("range() arg 3 must not be zero");
    }
    if range.len() > MOST_RANGE {
        return failed(format!("a range may have {MOST_RANGE} items"));
    }
    Ok(Value::Range(Rc::new(range)))
}

/// `dict(mapping or pairs, **named)`
fn dict(run: &mut Run, given: Given) -> Res<IndexMap<Key, Value>> {
    let mut entries = IndexMap::new();
    match &given.positional[..] {
        [] => {}
        [Value::Dict(dict)] => {
            run.meter.steps(dict.entries.len())?;
            entries.clone_from(&dict.entries);
        }
        [pairs] => {
            for pair in iterate::list(&run.meter, pairs)? {
                match <[Value; 2]>::try_from(iterate::list(&run.meter, &pair)?) {
                    Ok([name, value]) => entries.insert(key(name)?, value),
                    Err(parts) => return failed(format!("dict() needs pairs, not {} values", parts.len())),
                };
            }
        }
        more => return failed(format!("dict expected at most 1 argument, got {}", more.len())),
    }
    entries.extend(given.named.into_iter().map(|(name, value)| (Key(Value::str(&*name)), value)));
    Ok(entries)
}

/// `dict.fromkeys(keys, value=None)`
pub(super) fn from_keys(run: &mut Run, given: Given) -> Res<Value> {
    let [keys, value] = given.bind("fromkeys", ["", ""], 1)?;
    let value = value.unwrap_or(Value::None);
    let keys = iterate::list(&run.meter, &keys.unwrap_or(Value::None))?;
    Value::dict(keys.into_iter().map(|name| Ok((key(name)?, value.clone()))).collect::<Res<_>>()?)
}

/// Of an attribute of a namespace.
pub(super) fn check_name(name: &str) -> Res<()> {
    if name.starts_with('_') {
        return failed(format!("a namespace cannot store '{name}': names may not begin with an underscore"));
    }
    if name.len() > 1000 {
        return stopped("an attribute has too long a name");
    }
    Ok(())
}
