//! Values of templates, with the types and the equality of Python.

use super::ast;
use super::limits::{Fault, Held, MOST_DEPTH, Res, failed, stopped};
use super::scope::Scope;
use indexmap::{Equivalent, IndexMap};
use serde_json::Value as Json;
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// A value while a template runs. What Jinja's sandbox cannot change has no `RefCell`.
#[derive(Clone)]
pub(super) enum Value {
    /// Says what is missing.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<Text>),
    List(Rc<List>),
    Tuple(Rc<List>),
    Dict(Rc<Dict>),
    /// `keys()`, `values()` or `items()` of a dict.
    View(View, Rc<Dict>),
    Range(Rc<Range>),
    /// A generator: it can be read once.
    Iter(Rc<Iter>),
    Namespace(Rc<Namespace>),
    Loop(Rc<super::loops::Loop>),
    Macro(Rc<Macro>),
    /// A function that every template has, or one of the host.
    Function(&'static str),
    Method(Rc<Value>, &'static str),
    Cycler(Rc<(Vec<Value>, Cell<usize>)>),
    Joiner(Rc<(Value, Cell<bool>)>),
    /// `self`: the template's blocks.
    Template,
    Block(Arc<ast::Block>),
}

/// `str`, or `Markup` where `safe`.
pub(super) struct Text {
    pub text: Box<str>,
    pub safe: bool,
    ascii: bool,
    _held: Held,
}

impl Text {
    /// Letters, as Python counts them.
    pub fn count(&self) -> usize {
        if self.ascii { self.text.len() } else { self.text.chars().count() }
    }

    /// Where the letter `n` begins; the end for `n` = count.
    pub fn offset(&self, n: usize) -> usize {
        if self.ascii { n } else { self.text.char_indices().nth(n).map_or(self.text.len(), |(at, _)| at) }
    }
}

/// Items of a list or a tuple.
pub(super) struct List {
    pub items: Vec<Value>,
    /// Levels of lists and dicts inside, this one included.
    pub depth: u32,
    /// A tuple of `groupby`, whose fields have names.
    pub group: bool,
    _held: Held,
}

pub(super) struct Dict {
    pub entries: IndexMap<Key, Value>,
    pub depth: u32,
    _held: Held,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum View {
    Keys,
    Values,
    Items,
}

/// `range(start, stop, step)`.
#[derive(PartialEq)]
pub(super) struct Range {
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

impl Range {
    pub fn len(&self) -> usize {
        let (distance, step) = match self.step > 0 {
            true => (i128::from(self.stop) - i128::from(self.start), i128::from(self.step)),
            false => (i128::from(self.start) - i128::from(self.stop), -i128::from(self.step)),
        };
        if distance <= 0 { 0 } else { ((distance + step - 1) / step) as usize }
    }

    pub fn get(&self, n: usize) -> Value {
        Value::Int(i128::from(self.start) + n as i128 * i128::from(self.step))
    }
}

/// What is left of a generator. It was filled at once; what Python raises on the way comes out after the items before.
pub(super) struct Iter {
    pub rest: RefCell<std::vec::IntoIter<Value>>,
    pub fault: RefCell<Option<Box<Fault>>>,
    _held: Held,
}

/// Attributes that `{% set ns.x = ... %}` changes.
pub(super) struct Namespace {
    pub entries: RefCell<IndexMap<String, Value>>,
}

pub(super) struct Macro {
    pub node: Arc<ast::Macro>,
    /// Where it stands.
    pub scope: Rc<Scope>,
    /// `caller` of a call block: it has no name of its own.
    pub caller: bool,
}

/// A key of a dict: equal numbers are one key, as 1, 1.0 and True.
#[derive(Clone)]
pub(super) struct Key(pub Value);

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        super::ops::same_key(&self.0, &other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Str(text) => hash_str(&text.text, state),
            Value::Bool(b) => (1u8, i128::from(*b)).hash(state),
            Value::Int(n) => (1u8, *n).hash(state),
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e30 => (1u8, *x as i128).hash(state),
            Value::Float(x) => (2u8, x.to_bits()).hash(state),
            Value::Tuple(list) => list.items.iter().for_each(|item| Key(item.clone()).hash(state)),
            _ => 3u8.hash(state),
        }
    }
}

fn hash_str<H: Hasher>(text: &str, state: &mut H) {
    (0u8, text).hash(state);
}

/// Looks up a text without making a [`Value`] of it.
struct Name<'a>(&'a str);

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_str(self.0, state);
    }
}

impl Equivalent<Key> for Name<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(&key.0, Value::Str(text) if *text.text == *self.0)
    }
}

impl Dict {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(&Name(name))
    }
}

const ITEM: usize = size_of::<Value>();

impl Value {
    pub fn str(text: impl Into<Box<str>>) -> Value {
        Value::text(text.into(), false)
    }

    /// `Markup`: HTML that needs no escaping.
    pub fn markup(text: impl Into<Box<str>>) -> Value {
        Value::text(text.into(), true)
    }

    pub fn text(text: Box<str>, safe: bool) -> Value {
        let held = Held::new(text.len() + ITEM);
        Value::Str(Rc::new(Text { ascii: text.is_ascii(), text, safe, _held: held }))
    }

    pub fn list(items: Vec<Value>) -> Res<Value> {
        Ok(Value::List(Rc::new(items_of(items, false)?)))
    }

    pub fn tuple(items: Vec<Value>) -> Res<Value> {
        Ok(Value::Tuple(Rc::new(items_of(items, false)?)))
    }

    /// `(grouper, list)` of `groupby`.
    pub fn group(grouper: Value, list: Value) -> Res<Value> {
        Ok(Value::Tuple(Rc::new(items_of(vec![grouper, list], true)?)))
    }

    pub fn dict(entries: IndexMap<Key, Value>) -> Res<Value> {
        let inside = entries.iter().flat_map(|(key, value)| [&key.0, value]).map(Value::depth).max().unwrap_or(0);
        let held = Held::new((entries.len() + 1) * ITEM * 3);
        Ok(Value::Dict(Rc::new(Dict { depth: deeper(inside)?, entries, _held: held })))
    }

    /// A generator of these items, which then raises `fault`.
    pub fn iter(items: Vec<Value>, fault: Option<Box<Fault>>) -> Value {
        let held = Held::new((items.len() + 1) * ITEM);
        Value::Iter(Rc::new(Iter { rest: RefCell::new(items.into_iter()), fault: RefCell::new(fault), _held: held }))
    }

    pub fn undefined(what: impl Into<Rc<str>>) -> Value {
        Value::Undefined(what.into())
    }

    pub fn depth(&self) -> u32 {
        match self {
            Value::List(list) | Value::Tuple(list) => list.depth,
            Value::Dict(dict) | Value::View(_, dict) => dict.depth,
            // What a generator, a method or a cycler holds may itself be as deep as is allowed.
            Value::Iter(iter) => iter.rest.borrow().as_slice().iter().map(Value::depth).max().unwrap_or(0) + 1,
            Value::Method(value, _) => value.depth() + 1,
            Value::Cycler(cycler) => cycler.0.iter().map(Value::depth).max().unwrap_or(0) + 1,
            Value::Joiner(joiner) => joiner.0.depth() + 1,
            _ => 0,
        }
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(&text.text),
            _ => None,
        }
    }

    /// An int or a bool.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Bool(b) => Some(i128::from(*b)),
            _ => None,
        }
    }

    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            other => other.as_int().map(|n| n as f64),
        }
    }

    /// `bool(value)`.
    pub fn truth(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(b) => *b,
            Value::Int(n) => *n != 0,
            Value::Float(x) => *x != 0.0,
            other => other.len() != Some(0),
        }
    }

    /// `len(value)`, where it has one.
    pub fn len(&self) -> Option<usize> {
        match self {
            Value::Undefined(_) => Some(0),
            Value::Str(text) => Some(text.count()),
            Value::List(list) | Value::Tuple(list) => Some(list.items.len()),
            Value::Dict(dict) | Value::View(_, dict) => Some(dict.entries.len()),
            Value::Range(range) => Some(range.len()),
            _ => None,
        }
    }

    /// The name of the type, as Python's messages have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(text) if text.safe => "Markup",
            Value::Str(_) => "str",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::View(View::Keys, _) => "dict_keys",
            Value::View(View::Values, _) => "dict_values",
            Value::View(View::Items, _) => "dict_items",
            Value::Range(_) => "range",
            Value::Iter(_) => "generator",
            Value::Namespace(_) => "Namespace",
            Value::Loop(_) => "LoopContext",
            Value::Macro(_) => "Macro",
            Value::Function(_) => "function",
            Value::Method(..) => "builtin_function_or_method",
            Value::Cycler(_) => "Cycler",
            Value::Joiner(_) => "Joiner",
            Value::Template => "TemplateReference",
            Value::Block(_) => "BlockReference",
        }
    }

    pub fn from_json(json: &Json) -> Res<Value> {
        Ok(match json {
            Json::Null => Value::None,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from)) {
                Some(n) => Value::Int(n),
                None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::str(text.as_str()),
            Json::Array(items) => Value::list(items.iter().map(Value::from_json).collect::<Res<_>>()?)?,
            Json::Object(members) => {
                let entry =
                    |(name, value): (&String, &Json)| Ok((Key(Value::str(name.as_str())), Value::from_json(value)?));
                Value::dict(members.iter().map(entry).collect::<Res<_>>()?)?
            }
        })
    }
}

fn items_of(items: Vec<Value>, group: bool) -> Res<List> {
    let inside = items.iter().map(Value::depth).max().unwrap_or(0);
    let held = Held::new((items.len() + 1) * ITEM);
    Ok(List { depth: deeper(inside)?, items, group, _held: held })
}

fn deeper(inside: u32) -> Res<u32> {
    if inside >= MOST_DEPTH {
        return stopped("it nests lists or dicts too deeply");
    }
    Ok(inside + 1)
}

/// Fails for what Python cannot hash.
pub(super) fn key(value: Value) -> Res<Key> {
    fn hashable(value: &Value) -> bool {
        match value {
            Value::List(_) | Value::Dict(_) | Value::View(View::Keys | View::Items, _) => false,
            Value::Tuple(list) => list.items.iter().all(hashable),
            _ => true,
        }
    }
    // A tuple may hold another many times, so that walking it takes exponential time.
    if matches!(&value, Value::Tuple(list) if list.depth > 8) {
        return failed("a tuple that nests so deeply cannot be a key");
    }
    if !hashable(&value) {
        return failed(format!("unhashable type: '{}'", value.kind()));
    }
    Ok(Key(value))
}
