//! Python's operators on values.

use super::ast::{Comparison, Operator};
use super::limits::{Meter, Res, failed, stopped};
use super::value::{Dict, List, Value, View};
use std::cmp::Ordering;

/// Whether an int and a float are the same number, exactly.
fn int_is_float(n: i128, x: f64) -> bool {
    x.fract() == 0.0 && x.abs() < 1.7e38 && x as i128 == n
}

/// Equality of what can be a key; unlike [`equal`] it needs no bounds, for keys are shallow.
pub(super) fn same_key(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Tuple(a), Value::Tuple(b)) => {
            a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| same_key(a, b))
        }
        _ => same_scalar(a, b).unwrap_or(false),
    }
}

/// `==` of two values that hold no others; None where they do.
fn same_scalar(a: &Value, b: &Value) -> Option<bool> {
    use std::rc::Rc;
    Some(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_))
        | (Value::None, Value::None)
        | (Value::Template, Value::Template) => true,
        (Value::Str(a), Value::Str(b)) => Rc::ptr_eq(a, b) || a.text == b.text,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Float(x), n) | (n, Value::Float(x)) if n.as_int().is_some() => int_is_float(n.as_int()?, *x),
        (a, b) if a.as_int().is_some() && b.as_int().is_some() => a.as_int() == b.as_int(),
        (Value::Range(a), Value::Range(b)) => a == b,
        (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
        (Value::Iter(a), Value::Iter(b)) => Rc::ptr_eq(a, b),
        (Value::Loop(a), Value::Loop(b)) => Rc::ptr_eq(a, b),
        (Value::Macro(a), Value::Macro(b)) => Rc::ptr_eq(a, b),
        (Value::Cycler(a), Value::Cycler(b)) => Rc::ptr_eq(a, b),
        (Value::Joiner(a), Value::Joiner(b)) => Rc::ptr_eq(a, b),
        (Value::Function(a), Value::Function(b)) => a == b,
        (Value::Method(a, name), Value::Method(b, other)) => name == other && Rc::ptr_eq(a, b),
        (Value::List(_), Value::List(_))
        | (Value::Tuple(_), Value::Tuple(_))
        | (Value::Dict(_), Value::Dict(_))
        | (Value::View(..), Value::View(..)) => return None,
        _ => false,
    })
}

/// `a == b`
pub(super) fn equal(meter: &Meter, a: &Value, b: &Value) -> Res<bool> {
    if let Some(same) = same_scalar(a, b) {
        meter.work(a.as_str().map_or(0, str::len))?;
        return Ok(same);
    }
    meter.steps(1)?;
    match (a, b) {
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => equal_lists(meter, a, b),
        (Value::Dict(a), Value::Dict(b)) => equal_dicts(meter, a, b),
        (Value::View(View::Keys, a), Value::View(View::Keys, b)) => {
            Ok(a.entries.len() == b.entries.len() && a.entries.keys().all(|key| b.entries.contains_key(key)))
        }
        (Value::View(View::Items, a), Value::View(View::Items, b)) => equal_dicts(meter, a, b),
        _ => Ok(false),
    }
}

fn equal_lists(meter: &Meter, a: &List, b: &List) -> Res<bool> {
    if std::ptr::eq(a, b) || a.items.len() != b.items.len() {
        return Ok(std::ptr::eq(a, b));
    }
    for (a, b) in a.items.iter().zip(&b.items) {
        meter.steps(1)?;
        if !equal(meter, a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_dicts(meter: &Meter, a: &Dict, b: &Dict) -> Res<bool> {
    if std::ptr::eq(a, b) || a.entries.len() != b.entries.len() {
        return Ok(std::ptr::eq(a, b));
    }
    for (key, value) in &a.entries {
        meter.steps(1)?;
        match b.entries.get(key) {
            Some(other) if equal(meter, value, other)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The order of two values; None where a NaN has none.
pub(super) fn order(meter: &Meter, a: &Value, b: &Value, sign: &str) -> Res<Option<Ordering>> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => {
            meter.work(a.text.len().min(b.text.len()))?;
            Ok(Some(a.text.cmp(&b.text)))
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            for (a, b) in a.items.iter().zip(&b.items) {
                meter.steps(1)?;
                if !equal(meter, a, b)? {
                    return order(meter, a, b, sign);
                }
            }
            Ok(Some(a.items.len().cmp(&b.items.len())))
        }
        (Value::Undefined(what), _) | (_, Value::Undefined(what)) => failed(what.to_string()),
        _ => match (a.as_int(), b.as_int()) {
            (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
            _ => match (a.as_float(), b.as_float()) {
                (Some(x), Some(y)) => Ok(x.partial_cmp(&y)),
                _ => failed(format!("'{sign}' is not supported between '{}' and '{}'", a.kind(), b.kind())),
            },
        },
    }
}

pub(super) fn compare(meter: &Meter, a: &Value, comparison: Comparison, b: &Value) -> Res<bool> {
    Ok(match comparison {
        Comparison::Equal => equal(meter, a, b)?,
        Comparison::Unequal => !equal(meter, a, b)?,
        Comparison::Less => order(meter, a, b, "<")? == Some(Ordering::Less),
        Comparison::LessEqual => matches!(order(meter, a, b, "<=")?, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order(meter, a, b, ">")? == Some(Ordering::Greater),
        Comparison::GreaterEqual => matches!(order(meter, a, b, ">=")?, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::In => contains(meter, b, a)?,
        Comparison::NotIn => !contains(meter, b, a)?,
    })
}

/// `item in whole`
pub(super) fn contains(meter: &Meter, whole: &Value, item: &Value) -> Res<bool> {
    match whole {
        Value::Str(text) => {
            let Some(part) = item.as_str() else {
                return failed(format!("'in <string>' requires a string, not {}", item.kind()));
            };
            meter.work(text.text.len())?;
            Ok(text.text.contains(part))
        }
        Value::Dict(dict) | Value::View(View::Keys, dict) => {
            Ok(dict.entries.contains_key(&super::value::key(item.clone())?))
        }
        Value::Range(range) => Ok(match item.as_int() {
            Some(n) => {
                let steps = n.saturating_sub(i128::from(range.start));
                let step = i128::from(range.step);
                steps % step == 0 && steps / step >= 0 && ((steps / step) as u128) < range.len() as u128
            }
            None => false,
        }),
        _ => {
            let mut items = super::iterate::iterate(whole)?;
            while let Some(found) = items.next(meter)? {
                if equal(meter, &found, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Sub => "-",
        Operator::Mul => "*",
        Operator::Div => "/",
        Operator::FloorDiv => "//",
        Operator::Mod => "%",
        Operator::Pow => "**",
    }
}

pub(super) fn arithmetic(meter: &Meter, a: &Value, operator: Operator, b: &Value) -> Res<Value> {
    if let (Value::Undefined(what), _) | (_, Value::Undefined(what)) = (a, b)
        // A format may print it.
        && !(operator == Operator::Mod && a.as_str().is_some())
    {
        return failed(what.to_string());
    }
    match (a.as_int(), b.as_int()) {
        (Some(a), Some(b)) => return integers(a, operator, b),
        _ => {
            if let (Some(x), Some(y)) = (a.as_float(), b.as_float()) {
                return floats(x, operator, y);
            }
        }
    }
    match (operator, a, b) {
        (Operator::Add, Value::Str(a), Value::Str(b)) if a.safe || b.safe => {
            let text = super::html::escaped(a) + &super::html::escaped(b);
            meter.grow(text.len())?;
            Ok(Value::markup(text))
        }
        (Operator::Add, Value::Str(a), Value::Str(b)) => {
            meter.grow(a.text.len() + b.text.len())?;
            Ok(Value::str([&*a.text, &*b.text].concat()))
        }
        (Operator::Add, Value::List(a), Value::List(b)) => {
            meter.steps(a.items.len() + b.items.len())?;
            Value::list([&*a.items, &*b.items].concat())
        }
        (Operator::Add, Value::Tuple(a), Value::Tuple(b)) => {
            meter.steps(a.items.len() + b.items.len())?;
            Value::tuple([&*a.items, &*b.items].concat())
        }
        (Operator::Mul, repeated, n) | (Operator::Mul, n, repeated)
            if n.as_int().is_some() && matches!(repeated, Value::Str(_) | Value::List(_) | Value::Tuple(_)) =>
        {
            repeat(meter, repeated, usize::try_from(n.as_int().unwrap_or(0).max(0)).unwrap_or(usize::MAX))
        }
        (Operator::Mod, Value::Str(format), values) => super::printf::format(meter, format, values),
        (Operator::Sub, Value::View(View::Keys, a), _) => {
            let mut left = Vec::new();
            for key in a.entries.keys() {
                if !contains(meter, b, &key.0)? {
                    left.push(key.0.clone());
                }
            }
            Value::list(left)
        }
        _ => {
            let sign = symbol(operator);
            failed(format!("unsupported operand type(s) for {sign}: '{}' and '{}'", a.kind(), b.kind()))
        }
    }
}

fn repeat(meter: &Meter, value: &Value, count: usize) -> Res<Value> {
    let size = match value {
        Value::Str(text) => text.text.len(),
        other => other.len().unwrap_or(0).saturating_mul(size_of::<Value>()),
    };
    meter.grow(size.saturating_mul(count))?;
    let items = |list: &List| std::iter::repeat_n(&list.items, count).flatten().cloned().collect::<Vec<_>>();
    match value {
        Value::Str(text) => Ok(Value::text(text.text.repeat(if size == 0 { 0 } else { count }).into(), text.safe)),
        Value::Tuple(list) if size > 0 => Value::tuple(items(list)),
        Value::List(list) if size > 0 => Value::list(items(list)),
        other => Ok(other.clone()),
    }
}

fn integers(a: i128, operator: Operator, b: i128) -> Res<Value> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Sub => a.checked_sub(b),
        Operator::Mul => a.checked_mul(b),
        Operator::Div | Operator::FloorDiv | Operator::Mod if b == 0 => return failed("division by zero"),
        Operator::Div => return Ok(Value::Float(a as f64 / b as f64)),
        Operator::FloorDiv => floor_div(a, b),
        Operator::Mod => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        Operator::Pow if b < 0 => return floats(a as f64, operator, b as f64),
        Operator::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    match result {
        Some(n) => Ok(Value::Int(n)),
        None => stopped("its numbers have more than 127 bits"),
    }
}

fn floor_div(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn floats(x: f64, operator: Operator, y: f64) -> Res<Value> {
    Ok(Value::Float(match operator {
        Operator::Add => x + y,
        Operator::Sub => x - y,
        Operator::Mul => x * y,
        Operator::Div | Operator::FloorDiv | Operator::Mod if y == 0.0 => return failed("float division by zero"),
        Operator::Div => x / y,
        Operator::FloorDiv => (x / y).floor(),
        Operator::Mod => {
            let rest = x % y;
            match rest == 0.0 {
                true => 0f64.copysign(y),
                false if (rest < 0.0) != (y < 0.0) => rest + y,
                false => rest,
            }
        }
        Operator::Pow if x == 0.0 && y < 0.0 => return failed("0.0 cannot be raised to a negative power"),
        Operator::Pow if x < 0.0 && y.fract() != 0.0 => return failed("templates have no complex numbers"),
        Operator::Pow => x.powf(y),
    }))
}

/// Sorts as Python does, stable and with errors. The standard sorts may panic where NaNs have no order.
pub(super) fn sort(meter: &Meter, items: Vec<(Value, Value)>, reverse: bool) -> Res<Vec<Value>> {
    fn merge(meter: &Meter, mut items: Vec<(Value, Value)>, reverse: bool) -> Res<Vec<(Value, Value)>> {
        if items.len() < 2 {
            return Ok(items);
        }
        let right = merge(meter, items.split_off(items.len() / 2), reverse)?;
        let left = merge(meter, items, reverse)?;
        let mut out = Vec::with_capacity(left.len() + right.len());
        let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            meter.steps(1)?;
            let (first, second) = if reverse { (&a.0, &b.0) } else { (&b.0, &a.0) };
            let right_first = order(meter, first, second, "<")? == Some(Ordering::Less);
            out.extend(if right_first { right.next() } else { left.next() });
        }
        out.extend(left);
        out.extend(right);
        Ok(out)
    }
    Ok(merge(meter, items, reverse)?.into_iter().map(|(_, value)| value).collect())
}
