//! `loop`: where a `for` is. Items come one by one, so that a template that changes what its own filter reads sees it.

use super::args::Given;
use super::ast::For;
use super::iterate::Items;
use super::limits::{Res, failed};
use super::run::Run;
use super::scope::Scope;
use super::value::Value;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

pub(super) struct Loop {
    node: Arc<For>,
    /// Around the loop.
    scope: Rc<Scope>,
    items: RefCell<Items>,
    /// Items read ahead.
    ahead: RefCell<VecDeque<Value>>,
    index: Cell<usize>,
    before: RefCell<Option<Value>>,
    current: RefCell<Option<Value>>,
    /// Of `loop.changed`.
    last: RefCell<Option<Vec<Value>>>,
    pub depth: usize,
}

/// `loop`, one copy for all.
pub(super) fn name() -> Arc<str> {
    static NAME: OnceLock<Arc<str>> = OnceLock::new();
    NAME.get_or_init(|| Arc::from("loop")).clone()
}

impl Loop {
    pub fn new(items: Items, node: Arc<For>, scope: Rc<Scope>, depth: usize) -> Loop {
        Loop {
            node,
            scope,
            items: RefCell::new(items),
            ahead: RefCell::default(),
            index: Cell::new(0),
            before: RefCell::default(),
            current: RefCell::default(),
            last: RefCell::default(),
            depth,
        }
    }

    /// The number of items, as far as they were read.
    pub fn known(&self) -> usize {
        self.index.get() + self.ahead.borrow().len()
    }

    /// From 0.
    pub fn index(&self) -> usize {
        self.index.get().saturating_sub(1)
    }
}

fn pull(run: &mut Run, this: &Loop) -> Res<Option<Value>> {
    loop {
        let item = this.items.borrow_mut().next(&run.meter)?;
        match item {
            Some(item) if run.passes(&this.node, &item, &this.scope)? => return Ok(Some(item)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// The next item, which becomes the current one.
pub(super) fn advance(run: &mut Run, this: &Loop) -> Res<Option<Value>> {
    let ahead = this.ahead.borrow_mut().pop_front();
    let item = match ahead {
        Some(item) => Some(item),
        None => pull(run, this)?,
    };
    if item.is_some() {
        this.index.set(this.index.get() + 1);
        let before = this.current.replace(item.clone());
        this.before.replace(before);
    }
    Ok(item)
}

fn peek(run: &mut Run, this: &Loop) -> Res<Option<Value>> {
    if this.ahead.borrow().is_empty() {
        let Some(item) = pull(run, this)? else { return Ok(None) };
        this.ahead.borrow_mut().push_back(item);
    }
    Ok(this.ahead.borrow().front().cloned())
}

fn whole(run: &mut Run, this: &Loop) -> Res<usize> {
    while let Some(item) = pull(run, this)? {
        run.meter.room(this.ahead.borrow().len() * size_of::<Value>())?;
        this.ahead.borrow_mut().push_back(item);
    }
    Ok(this.known())
}

/// `loop.name`; None for what it has not.
pub(super) fn attribute(run: &mut Run, this: &Rc<Loop>, name: &str) -> Res<Option<Value>> {
    let int = |n: usize| Some(Value::Int(n as i128));
    Ok(match name {
        "index" => int(this.index() + 1),
        "index0" => int(this.index()),
        "first" => Some(Value::Bool(this.index() == 0)),
        "last" => Some(Value::Bool(peek(run, this)?.is_none())),
        "length" => int(whole(run, this)?),
        "revindex" => int(whole(run, this)? - this.index()),
        "revindex0" => int(whole(run, this)? - this.index() - 1),
        "previtem" => {
            Some(this.before.borrow().clone().unwrap_or_else(|| Value::undefined("there is no previous item")))
        }
        "nextitem" => Some(peek(run, this)?.unwrap_or_else(|| Value::undefined("there is no next item"))),
        "depth" => int(this.depth + 1),
        "depth0" => int(this.depth),
        "cycle" => Some(Value::Method(Rc::new(Value::Loop(this.clone())), "cycle")),
        "changed" => Some(Value::Method(Rc::new(Value::Loop(this.clone())), "changed")),
        _ => None,
    })
}

pub(super) fn method(run: &mut Run, this: &Loop, name: &str, given: Given) -> Res<Value> {
    if !given.named.is_empty() {
        return failed(format!("loop.{name}() has no named arguments"));
    }
    if name == "cycle" {
        if given.positional.is_empty() {
            return failed("no items for cycling given");
        }
        return Ok(given.positional[this.index() % given.positional.len()].clone());
    }
    let same = match &*this.last.borrow() {
        Some(last) if last.len() == given.positional.len() => {
            let mut same = true;
            for (a, b) in last.iter().zip(&given.positional) {
                same = same && super::ops::equal(&run.meter, a, b)?;
            }
            same
        }
        _ => false,
    };
    if !same {
        this.last.replace(Some(given.positional));
    }
    Ok(Value::Bool(!same))
}

/// `loop(items)` of a recursive loop.
pub(super) fn call(run: &mut Run, this: &Rc<Loop>, given: Given) -> Res<Value> {
    if !this.node.recursive {
        return failed("the loop must have the 'recursive' marker to be called recursively");
    }
    let [items] = given.bind("loop", [""], 1)?;
    let mut out = String::new();
    let items = items.unwrap_or(Value::None);
    run.for_loop(&this.node.clone(), Some((items, this.depth + 1)), &this.scope.clone(), &mut out)?;
    Ok(Value::text(out.into(), run.autoescape))
}
