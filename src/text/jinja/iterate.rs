//! Reading the items of a value, and its parts: `for`, `x[1]`, `x[a:b:c]`.

use super::limits::{Meter, Res, failed};
use super::value::{Dict, Iter, List, Range, Text, Value, View};
use std::rc::Rc;

/// Items still to come.
pub(super) enum Items {
    List(Rc<List>, usize),
    /// The byte where the next letter begins.
    Letters(Rc<Text>, usize),
    Dict(View, Rc<Dict>, usize),
    Range(Rc<Range>, usize),
    Iter(Rc<Iter>),
    Empty,
}

/// `iter(value)`
pub(super) fn iterate(value: &Value) -> Res<Items> {
    Ok(match value {
        Value::Undefined(_) => Items::Empty,
        Value::List(list) | Value::Tuple(list) => Items::List(list.clone(), 0),
        Value::Str(text) => Items::Letters(text.clone(), 0),
        Value::Dict(dict) => Items::Dict(View::Keys, dict.clone(), 0),
        Value::View(view, dict) => Items::Dict(*view, dict.clone(), 0),
        Value::Range(range) => Items::Range(range.clone(), 0),
        Value::Iter(iter) => Items::Iter(iter.clone()),
        other => return failed(format!("'{}' object is not iterable", other.kind())),
    })
}

pub(super) fn is_iterable(value: &Value) -> bool {
    matches!(value, Value::Loop(_)) || iterate(value).is_ok()
}

impl Items {
    pub fn next(&mut self, meter: &Meter) -> Res<Option<Value>> {
        meter.steps(1)?;
        match self {
            Items::List(list, at) => {
                *at += 1;
                Ok(list.items.get(*at - 1).cloned())
            }
            Items::Letters(text, at) => {
                let letter = text.text[*at..].chars().next();
                *at += letter.map_or(0, char::len_utf8);
                Ok(letter.map(|c| Value::str(c.to_string())))
            }
            Items::Dict(view, dict, at) => {
                *at += 1;
                let Some((key, value)) = dict.entries.get_index(*at - 1) else { return Ok(None) };
                Ok(Some(match view {
                    View::Keys => key.0.clone(),
                    View::Values => value.clone(),
                    View::Items => Value::tuple(vec![key.0.clone(), value.clone()])?,
                }))
            }
            Items::Range(range, at) => {
                *at += 1;
                Ok((*at <= range.len()).then(|| range.get(*at - 1)))
            }
            Items::Iter(iter) => match iter.rest.borrow_mut().next() {
                Some(item) => Ok(Some(item)),
                None => iter.fault.borrow_mut().take().map_or(Ok(None), Err),
            },
            Items::Empty => Ok(None),
        }
    }

    pub fn collect(mut self, meter: &Meter) -> Res<Vec<Value>> {
        let mut items = Vec::new();
        while let Some(item) = self.next(meter)? {
            if items.len() % 1024 == 0 {
                meter.room(items.len() * size_of::<Value>())?;
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// `list(value)`
pub(super) fn list(meter: &Meter, value: &Value) -> Res<Vec<Value>> {
    iterate(value)?.collect(meter)
}

/// `value[index]`; None where Python raises an error that Jinja turns into an undefined value.
pub(super) fn item(meter: &Meter, value: &Value, index: &Value) -> Res<Option<Value>> {
    let place = |length: usize| {
        let n = index.as_int()?;
        usize::try_from(if n < 0 { n + length as i128 } else { n }).ok().filter(|n| *n < length)
    };
    Ok(match value {
        Value::List(list) | Value::Tuple(list) => place(list.items.len()).and_then(|n| list.items.get(n).cloned()),
        Value::Str(text) => {
            if text.count() != text.text.len() {
                meter.work(text.text.len())?;
            }
            place(text.count()).map(|n| {
                let (from, to) = (text.offset(n), text.offset(n + 1));
                Value::text(text.text[from..to].into(), text.safe)
            })
        }
        Value::Dict(dict) => match index {
            Value::Str(name) => dict.get(&name.text).cloned(),
            index => super::value::key(index.clone()).ok().and_then(|key| dict.entries.get(&key).cloned()),
        },
        Value::Range(range) => place(range.len()).map(|n| range.get(n)),
        Value::Undefined(what) => return failed(what.to_string()),
        _ => None,
    })
}

/// `value[start:stop:step]`
pub(super) fn slice(meter: &Meter, value: &Value, parts: [Value; 3]) -> Res<Value> {
    let length = match value {
        Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => value.len().unwrap_or(0),
        Value::Undefined(what) => return failed(what.to_string()),
        other => return failed(format!("'{}' object cannot be sliced", other.kind())),
    };
    let mut numbers = [None; 3];
    for (number, part) in numbers.iter_mut().zip(&parts) {
        *number = match part {
            Value::None => None,
            part => match part.as_int() {
                Some(n) => Some(n),
                None => return failed("slice indices must be integers or None"),
            },
        };
    }
    let step = numbers[2].unwrap_or(1);
    if step == 0 {
        return failed("slice step cannot be zero");
    }
    let length = length as i128;
    // Python's `slice.indices`.
    let (low, high) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let clamp = |n: i128| (if n < 0 { n.saturating_add(length) } else { n }).clamp(low, high);
    let start = numbers[0].map_or(if step < 0 { high } else { low }, clamp);
    let stop = numbers[1].map_or(if step < 0 { low } else { high }, clamp);
    if let Value::Str(text) = value
        && step == 1
    {
        let (from, to) = (start as usize, stop.max(start) as usize);
        meter.grow(text.text.len())?;
        return Ok(Value::text(text.text[text.offset(from)..text.offset(to)].into(), text.safe));
    }
    let mut places = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        places.push(at as usize);
        at = at.saturating_add(step);
    }
    meter.steps(places.len())?;
    meter.room(places.len() * size_of::<Value>())?;
    match value {
        Value::Str(text) => {
            meter.work(text.text.len())?;
            let letters: Vec<char> = text.text.chars().collect();
            Ok(Value::text(places.iter().map(|n| letters[*n]).collect::<String>().into(), text.safe))
        }
        Value::List(list) => Value::list(places.iter().map(|n| list.items[*n].clone()).collect()),
        Value::Tuple(list) => Value::tuple(places.iter().map(|n| list.items[*n].clone()).collect()),
        Value::Range(range) => {
            let at = |n: i128| i64::try_from(i128::from(range.start) + n * i128::from(range.step));
            match (at(start), at(stop), i64::try_from(step.saturating_mul(i128::from(range.step)))) {
                (Ok(start), Ok(stop), Ok(step)) => Ok(Value::Range(Rc::new(Range { start, stop, step }))),
                _ => failed("a range is too large"),
            }
        }
        _ => failed("cannot be sliced"),
    }
}
