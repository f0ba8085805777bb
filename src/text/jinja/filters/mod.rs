//! Jinja's filters: `value | name(arguments)`.

mod lists;
mod numbers;
mod texts;

use super::args::{Given, truth};
use super::limits::{Res, failed};
use super::run::Run;
use super::value::Value;
use super::{iterate, json, print};

const NAMES: [&str; 53] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// Whether there is a filter of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

pub(super) fn call(run: &mut Run, name: &str, value: Value, given: Given) -> Res<Value> {
    run.meter.step()?;
    match name {
        "default" | "d" => {
            let [default, boolean] = given.bind(name, ["default_value", "boolean"], 0)?;
            let missing = value.is_undefined() || (truth(&boolean, false) && !value.truth());
            Ok(if missing { default.unwrap_or_else(|| Value::str("")) } else { value })
        }
        "length" | "count" => {
            given.none(name)?;
            match value.len() {
                Some(n) => Ok(Value::Int(n as i128)),
                None => failed(format!("object of type '{}' has no len()", value.kind())),
            }
        }
        "list" => {
            given.none(name)?;
            Value::list(iterate::list(&run.meter, &value)?)
        }
        "tojson" => json::to_json(&run.meter, &value, given),
        "attr" => {
            let [name] = given.bind(name, ["name"], 1)?;
            let name = print::str(&run.meter, &name.unwrap_or(Value::None))?;
            if let Value::Undefined(what) = &value {
                return failed(what.to_string());
            }
            let found = super::attributes::get(run, &value, &name)?;
            Ok(found
                .unwrap_or_else(|| Value::undefined(format!("'{} object' has no attribute '{name}'", value.kind()))))
        }
        "string" => {
            given.none(name)?;
            match value {
                Value::Str(_) => Ok(value),
                value => Ok(Value::str(print::str(&run.meter, &value)?)),
            }
        }
        "abs" | "int" | "float" | "round" | "filesizeformat" => numbers::call(run, name, &value, given),
        "batch" | "dictsort" | "first" | "groupby" | "items" | "join" | "last" | "map" | "max" | "min" | "random"
        | "reject" | "rejectattr" | "reverse" | "select" | "selectattr" | "slice" | "sort" | "sum" | "unique" => {
            lists::call(run, name, value, given)
        }
        name if exists(name) => texts::call(run, name, value, given),
        name => failed(format!("no filter named '{name}'")),
    }
}
