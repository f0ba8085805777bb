//! Filters over items.

use super::super::args::{Given, int, truth};
use super::super::ast::Operator;
use super::super::limits::{Fault, Kind, Res, failed};
use super::super::run::Run;
use super::super::value::{Value, View, key};
use super::super::{iterate, ops, print, tests};
use indexmap::IndexSet;
use std::cmp::Ordering;

pub(super) fn call(run: &mut Run, name: &str, value: Value, given: Given) -> Res<Value> {
    match name {
        "first" => {
            given.none(name)?;
            let first = iterate::iterate(&value)?.next(&run.meter)?;
            Ok(first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
        }
        "last" => {
            given.none(name)?;
            if matches!(value, Value::Iter(_)) {
                return failed("'generator' object is not reversible");
            }
            let last = iterate::list(&run.meter, &value)?.pop();
            Ok(last.unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
        }
        "random" => {
            given.none(name)?;
            let Some(count) = value.len() else { return failed(format!("{} has no len()", value.kind())) };
            // Any will do; nothing that matters hangs on it.
            let at = (crate::clock::seconds() * 1e6) as u64 as usize % count.max(1);
            if count == 0 {
                return Ok(Value::undefined("No random item, sequence was empty."));
            }
            match iterate::item(&run.meter, &value, &Value::Int(at as i128))? {
                Some(item) => Ok(item),
                None => failed(format!("random needs a sequence, not {}", value.kind())),
            }
        }
        "reverse" => {
            given.none(name)?;
            if let Value::Str(_) = value {
                return iterate::slice(&run.meter, &value, [Value::None, Value::None, Value::Int(-1)]);
            }
            let mut items = iterate::list(&run.meter, &value)?;
            items.reverse();
            if matches!(value, Value::Iter(_)) { Value::list(items) } else { Ok(Value::iter(items, None)) }
        }
        "items" => {
            given.none(name)?;
            match value {
                Value::Undefined(_) => Ok(Value::iter(Vec::new(), None)),
                Value::Dict(dict) => Ok(Value::iter(iterate::list(&run.meter, &Value::View(View::Items, dict))?, None)),
                _ => failed("Can only get item pairs from a mapping."),
            }
        }
        "join" => join(run, &value, given),
        "map" | "select" | "reject" | "selectattr" | "rejectattr" => lazily(run, name, &value, given),
        "unique" => {
            let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"], 0)?;
            let mut seen = IndexSet::new();
            let mut kept = Vec::new();
            for item in iterate::list(&run.meter, &value)? {
                let found = get(run, &item, attribute.as_ref(), None)?;
                if seen.insert(key(fold(found, &case))?) {
                    kept.push(item);
                }
            }
            Ok(Value::iter(kept, None))
        }
        "min" | "max" => {
            let [case, attribute] = given.bind(name, ["case_sensitive", "attribute"], 0)?;
            let mut best: Option<(Value, Value)> = None;
            for item in iterate::list(&run.meter, &value)? {
                let found = fold(get(run, &item, attribute.as_ref(), None)?, &case);
                let better = match &best {
                    None => true,
                    Some((known, _)) if name == "min" => {
                        ops::order(&run.meter, &found, known, "<")? == Some(Ordering::Less)
                    }
                    Some((known, _)) => ops::order(&run.meter, &found, known, ">")? == Some(Ordering::Greater),
                };
                if better {
                    best = Some((found, item));
                }
            }
            Ok(best.map_or_else(|| Value::undefined("No aggregated item, sequence was empty."), |(_, item)| item))
        }
        "sum" => {
            let [attribute, start] = given.bind(name, ["attribute", "start"], 0)?;
            let mut total = start.unwrap_or(Value::Int(0));
            if matches!(total, Value::Str(_)) {
                return failed("sum() can't sum strings [use ''.join(seq) instead]");
            }
            for item in iterate::list(&run.meter, &value)? {
                let item = get(run, &item, attribute.as_ref().filter(|a| !matches!(a, Value::None)), None)?;
                total = ops::arithmetic(&run.meter, &total, Operator::Add, &item)?;
            }
            Ok(total)
        }
        "sort" => {
            let [reverse, case, attribute] = given.bind(name, ["reverse", "case_sensitive", "attribute"], 0)?;
            let mut keyed = Vec::new();
            for item in iterate::list(&run.meter, &value)? {
                keyed.push((sort_key(run, &item, &attribute, &case)?, item));
            }
            Value::list(ops::sort(&run.meter, keyed, truth(&reverse, false))?)
        }
        "dictsort" => {
            let [case, by, reverse] = given.bind(name, ["case_sensitive", "by", "reverse"], 0)?;
            let Value::Dict(dict) = &value else { return failed("dictsort needs a mapping") };
            let place = match by.as_ref().map_or(Some("key"), Value::as_str) {
                Some("key") => 0,
                Some("value") => 1,
                _ => return failed("You can only sort by either \"key\" or \"value\""),
            };
            let mut keyed = Vec::new();
            for (name, value) in &dict.entries {
                let pair = [name.0.clone(), value.clone()];
                keyed.push((fold(pair[place].clone(), &case), Value::tuple(pair.to_vec())?));
            }
            Value::list(ops::sort(&run.meter, keyed, truth(&reverse, false))?)
        }
        "groupby" => group(run, &value, given),
        _ => chunks(run, name, &value, given),
    }
}

/// Lower case, unless case matters.
fn fold(value: Value, case: &Option<Value>) -> Value {
    match &value {
        Value::Str(text) if !truth(case, false) => Value::str(text.text.to_lowercase()),
        _ => value,
    }
}

/// The attribute `a.b.0` of an item; the item itself without one.
fn get(run: &mut Run, item: &Value, attribute: Option<&Value>, default: Option<&Value>) -> Res<Value> {
    let mut value = item.clone();
    match attribute {
        None | Some(Value::None) => {}
        Some(Value::Str(path)) => {
            for part in path.text.split('.') {
                let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                let index = match part.parse::<u32>() {
                    Ok(n) if digits => Value::Int(n.into()),
                    _ => Value::str(part),
                };
                value = run.item(&value, &index)?;
                if value.is_undefined()
                    && let Some(default) = default.filter(|d| !matches!(d, Value::None))
                {
                    value = default.clone();
                }
            }
        }
        Some(index) => {
            value = run.item(&value, index)?;
            if value.is_undefined()
                && let Some(default) = default.filter(|d| !matches!(d, Value::None))
            {
                value = default.clone();
            }
        }
    }
    Ok(value)
}

/// What `sort` compares: a list of one value, or of several attributes (`a,b`). Lists with equal items, such as undefined
/// ones, are equal where the items themselves have no order.
fn sort_key(run: &mut Run, item: &Value, attribute: &Option<Value>, case: &Option<Value>) -> Res<Value> {
    let mut values = Vec::new();
    match attribute.as_ref().and_then(Value::as_str) {
        Some(paths) => {
            for path in paths.split(',') {
                values.push(fold(get(run, item, Some(&Value::str(path)), None)?, case));
            }
        }
        None => values.push(fold(get(run, item, attribute.as_ref(), None)?, case)),
    }
    Value::list(values)
}

fn join(run: &mut Run, value: &Value, given: Given) -> Res<Value> {
    let [separator, attribute] = given.bind("join", ["d", "attribute"], 0)?;
    let separator = match separator {
        Some(separator) => print::str(&run.meter, &separator)?,
        None => String::new(),
    };
    let mut items = iterate::iterate(value)?;
    let mut out = String::new();
    let mut first = true;
    while let Some(item) = items.next(&run.meter)? {
        run.meter.push(&mut out, if std::mem::take(&mut first) { "" } else { &separator })?;
        let item = get(run, &item, attribute.as_ref(), None)?;
        print::write(&run.meter, &item, &mut out)?;
    }
    Ok(Value::str(out))
}

/// Filters that are generators in Jinja: their errors appear where their items are read.
fn lazily(run: &mut Run, name: &str, value: &Value, given: Given) -> Res<Value> {
    let mut kept = Vec::new();
    // Nothing is checked, not even the arguments, where there is nothing to do.
    if !value.truth() {
        return Ok(Value::iter(kept, None));
    }
    let level = run.meter.level();
    let each = || -> Res<()> {
        let mut items = iterate::iterate(value)?;
        let mut each = Each::new(name, given)?;
        while let Some(item) = items.next(&run.meter)? {
            run.meter.room(kept.len() * size_of::<Value>())?;
            kept.extend(each.apply(run, item)?);
        }
        Ok(())
    };
    match each() {
        Err(fault) if fault.kind != Kind::Failed => Err(fault),
        Err(fault) => {
            run.meter.set_level(level);
            Ok(Value::iter(kept, Some(located(fault, run.line))))
        }
        Ok(()) => Ok(Value::iter(kept, None)),
    }
}

fn located(mut fault: Box<Fault>, line: u32) -> Box<Fault> {
    fault.line = line;
    fault
}

/// What one of these filters does with each item.
struct Each {
    attribute: Option<Value>,
    default: Option<Value>,
    /// A filter (of `map`) or a test; None: the item's truth.
    function: Option<String>,
    given: Given,
    map: bool,
    reject: bool,
}

impl Each {
    fn new(name: &str, mut given: Given) -> Res<Each> {
        let mut each = Each {
            attribute: None,
            default: None,
            function: None,
            given: Given::default(),
            map: name == "map",
            reject: name.starts_with("reject"),
        };
        if name.ends_with("attr") {
            if given.positional.is_empty() {
                return failed("Missing parameter for attribute name");
            }
            each.attribute = Some(given.positional.remove(0));
        }
        if each.map && given.positional.is_empty() {
            let [attribute, default] = given.bind(name, ["attribute", "default"], 1)?;
            (each.attribute, each.default) = (attribute, default);
            return Ok(each);
        }
        if !given.positional.is_empty() {
            match given.positional.remove(0) {
                Value::Str(function) => each.function = Some(function.text.to_string()),
                other => return failed(format!("{name} needs the name of a filter or test, not {}", other.kind())),
            }
        }
        each.given = given;
        Ok(each)
    }

    fn apply(&mut self, run: &mut Run, item: Value) -> Res<Option<Value>> {
        let value = get(run, &item, self.attribute.as_ref(), self.default.as_ref())?;
        let given = Given { positional: self.given.positional.clone(), named: self.given.named.clone() };
        if self.map {
            return match &self.function {
                Some(function) => super::call(run, function, value, given).map(Some),
                None => Ok(Some(value)),
            };
        }
        let fits = match &self.function {
            Some(test) => tests::call(run, test, &value, given)?,
            None => value.truth(),
        };
        Ok((fits != self.reject).then_some(item))
    }
}

fn group(run: &mut Run, value: &Value, given: Given) -> Res<Value> {
    let [attribute, default, case] = given.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
    let mut keyed = Vec::new();
    for item in iterate::list(&run.meter, value)? {
        let found = fold(get(run, &item, attribute.as_ref(), default.as_ref())?, &case);
        keyed.push((found.clone(), Value::tuple(vec![found, item])?));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for pair in ops::sort(&run.meter, keyed, false)? {
        let Value::Tuple(pair) = pair else { continue };
        let (found, item) = (&pair.items[0], pair.items[1].clone());
        match groups.last_mut() {
            Some((known, items)) if ops::equal(&run.meter, known, found)? => items.push(item),
            _ => groups.push((found.clone(), vec![item])),
        }
    }
    let mut out = Vec::new();
    for (found, items) in groups {
        // The name of a group is that of its first item.
        let grouper = match truth(&case, false) {
            true => found,
            false => get(run, &items[0], attribute.as_ref(), default.as_ref())?,
        };
        out.push(Value::group(grouper, Value::list(items)?)?);
    }
    Value::list(out)
}

/// `batch` and `slice`.
fn chunks(run: &mut Run, name: &str, value: &Value, given: Given) -> Res<Value> {
    let count = if name == "batch" { "linecount" } else { "slices" };
    let [count, fill] = given.bind(name, [count, "fill_with"], 1)?;
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    let items = iterate::list(&run.meter, value)?;
    let count = int(&count, 0)?;
    if count <= 0 {
        return failed(format!("{name} needs a number above 0"));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    run.meter.grow(count.saturating_mul(size_of::<Value>()))?;
    let mut chunks = Vec::new();
    if name == "batch" {
        for part in items.chunks(count) {
            let mut part = part.to_vec();
            let missing = count - part.len();
            part.extend(fill.iter().cycle().take(missing).cloned());
            chunks.push(Value::list(part)?);
        }
    } else {
        let (each, extra) = (items.len() / count, items.len() % count);
        let mut items = items.into_iter();
        for i in 0..count {
            let mut part: Vec<Value> = items.by_ref().take(each + usize::from(i < extra)).collect();
            if i >= extra {
                part.extend(fill.clone());
            }
            chunks.push(Value::list(part)?);
        }
    }
    Ok(Value::iter(chunks, None))
}
