//! Arguments of a call, and their places by Python's rules.

use super::limits::{Res, failed};
use super::value::Value;
use std::sync::Arc;

/// Arguments as they came.
#[derive(Default)]
pub(super) struct Given {
    pub positional: Vec<Value>,
    pub named: Vec<(Arc<str>, Value)>,
}

impl Given {
    /// The arguments of `function` in the order of its parameters `names`, of which the first `required` must be there.
    /// A parameter without a name is positional only.
    pub fn bind<const N: usize>(self, function: &str, names: [&str; N], required: usize) -> Res<[Option<Value>; N]> {
        if self.positional.len() > N {
            return failed(format!("{function}() takes at most {N} arguments, not {}", self.positional.len()));
        }
        let mut bound = [const { None }; N];
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|known| **known == *name) {
                Some(at) if bound[at].is_none() => bound[at] = Some(value),
                Some(_) => return failed(format!("{function}() got two values for '{name}'")),
                None => return failed(format!("{function}() has no argument '{name}'")),
            }
        }
        match bound[..required].iter().position(Option::is_none) {
            Some(missing) => failed(format!("{function}() needs its argument {} ({})", missing + 1, names[missing])),
            None => Ok(bound),
        }
    }

    /// For functions without arguments.
    pub fn none(self, function: &str) -> Res<()> {
        self.bind(function, [""; 0], 0).map(|_: [Option<Value>; 0]| ())
    }
}

/// An int where one is given; a bool is one.
pub(super) fn int(value: &Option<Value>, default: i128) -> Res<i128> {
    match value {
        None => Ok(default),
        Some(value) => match value.as_int() {
            Some(n) => Ok(n),
            None => failed(format!("'{}' object cannot be interpreted as an integer", value.kind())),
        },
    }
}

pub(super) fn truth(value: &Option<Value>, default: bool) -> bool {
    value.as_ref().map_or(default, Value::truth)
}

/// A text where one is given; None counts as not given.
pub(super) fn text<'a>(function: &str, value: &'a Option<Value>) -> Res<Option<&'a str>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(Value::Str(text)) => Ok(Some(&text.text)),
        Some(other) => failed(format!("{function}() needs a str, not {}", other.kind())),
    }
}
