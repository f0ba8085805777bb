//! Runs the statements of a template.

use super::ast::*;
use super::limits::{Bounds, Held, Meter, Res, failed};
use super::loops::Loop;
use super::print;
use super::scope::Scope;
use super::value::{Macro as MacroValue, Namespace, Value};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// One render.
pub(super) struct Run<'a> {
    pub template: &'a Template,
    /// Variables of the host.
    pub context: HashMap<Arc<str>, Value>,
    pub meter: Meter,
    /// Values of the string literals, made when they are first read.
    pub texts: Vec<Option<Value>>,
    /// Seconds since 1970-01-01 00:00 of the user's clock.
    pub now: i64,
    pub autoescape: bool,
    /// Of the statement that runs.
    pub line: u32,
    root: Rc<Scope>,
    /// What may hold itself, to be emptied at the end.
    scopes: Vec<Rc<Scope>>,
    namespaces: Vec<Rc<Namespace>>,
}

/// Where a body ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Flow {
    Through,
    Break,
    Continue,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.scopes.iter().for_each(|scope| scope.clear());
        for namespace in &self.namespaces {
            let entries = std::mem::take(&mut *namespace.entries.borrow_mut());
            drop(entries);
        }
    }
}

impl<'a> Run<'a> {
    pub fn new(template: &'a Template, bounds: Bounds, now: i64) -> Run<'a> {
        Run {
            template,
            context: HashMap::new(),
            meter: Meter::new(bounds),
            texts: vec![None; template.texts.len()],
            now,
            autoescape: false,
            line: 0,
            root: Rc::new(Scope::default()),
            scopes: Vec::new(),
            namespaces: Vec::new(),
        }
    }

    /// The whole template. The line of an error is that of the statement.
    pub fn render(&mut self) -> Res<String> {
        let mut out = String::new();
        let root = self.root.clone();
        match self.body(&self.template.body, &root, &mut out) {
            Ok(_) => Ok(out),
            Err(mut fault) => {
                if fault.line == 0 {
                    fault.line = self.line;
                }
                Err(fault)
            }
        }
    }

    pub fn body(&mut self, body: &Body, scope: &Rc<Scope>, out: &mut String) -> Res<Flow> {
        for stmt in body {
            if let StmtKind::Text(text) = &stmt.kind {
                self.meter.steps(1)?;
                self.meter.push(out, text)?;
                continue;
            }
            self.line = stmt.line;
            self.descend()?;
            let flow = self.statement(&stmt.kind, scope, out)?;
            self.ascend();
            if flow != Flow::Through {
                return Ok(flow);
            }
        }
        Ok(Flow::Through)
    }

    /// One step, one level deeper. After an error nothing goes on, so that only success must [`Run::ascend`].
    pub fn descend(&mut self) -> Res<()> {
        self.meter.step()?;
        self.meter.descend()
    }

    pub fn ascend(&mut self) {
        self.meter.ascend();
    }

    /// Where other bodies run that print elsewhere, what is printed so far counts as [`Held`].
    fn statement(&mut self, stmt: &StmtKind, scope: &Rc<Scope>, out: &mut String) -> Res<Flow> {
        match stmt {
            StmtKind::Text(text) => self.meter.push(out, text)?,
            StmtKind::Print(values) => {
                let _held = Held::new(out.len());
                for value in values {
                    let value = self.eval(value, scope)?;
                    self.print(&value, out)?;
                }
            }
            StmtKind::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.eval(test, scope)?.truth() {
                        return self.body(body, scope, out);
                    }
                }
                return self.body(otherwise, scope, out);
            }
            StmtKind::For(node) => self.for_loop(node, None, scope, out)?,
            StmtKind::Set(target, value) => {
                let _held = Held::new(out.len());
                let value = self.eval(value, scope)?;
                self.assign(target, value, scope)?;
            }
            StmtKind::SetBlock(target, filter, body) => {
                let _held = Held::new(out.len());
                let inner = Scope::inside(scope);
                let (text, flow) = self.buffer(body, &inner)?;
                if flow != Flow::Through {
                    return Ok(flow);
                }
                let value = match filter {
                    Some(filter) => self.block_filter(filter, text, &inner)?,
                    None => text,
                };
                self.assign(target, value, scope)?;
            }
            StmtKind::With(variables, body) => {
                let inner = Scope::inside(scope);
                for (target, value) in variables {
                    let value = self.eval(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.body(body, &inner, out);
            }
            StmtKind::Macro(node) => {
                let value = self.make_macro(node, scope, false);
                scope.set(&Arc::from(node.name.as_str()), value);
            }
            StmtKind::Call(call, node) => {
                let _held = Held::new(out.len());
                let caller = self.make_macro(node, scope, true);
                let value = self.call_with(call, Some(caller), scope)?;
                self.print(&value, out)?;
            }
            StmtKind::Filter(filter, body) => {
                let _held = Held::new(out.len());
                let inner = Scope::inside(scope);
                let (text, flow) = self.buffer(body, &inner)?;
                if flow != Flow::Through {
                    return Ok(flow);
                }
                match self.block_filter(filter, text, &inner)? {
                    value @ Value::Str(_) => self.print(&value, out)?,
                    other => return failed(format!("a filter block needs a text, not {}", other.kind())),
                }
            }
            StmtKind::Block(block) => self.block(block, out)?,
            StmtKind::Generation(body) => {
                self.body(body, &Scope::inside(scope), out)?;
            }
            StmtKind::Autoescape(on, body) => {
                let on = self.eval(on, scope)?.truth();
                let before = std::mem::replace(&mut self.autoescape, on);
                let flow = self.body(body, &Scope::inside(scope), out)?;
                self.autoescape = before;
                return Ok(flow);
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
            StmtKind::Load(tag) => return failed(format!("there are no other templates for '{tag}'")),
        }
        Ok(Flow::Through)
    }

    /// Prints a value, escaped inside of `{% autoescape true %}`.
    fn print(&mut self, value: &Value, out: &mut String) -> Res<()> {
        match value {
            Value::Str(text) if text.safe || !self.autoescape => self.meter.push(out, &text.text),
            value if self.autoescape => {
                let text = print::str(&self.meter, value)?;
                self.meter.push(out, &super::html::escape(&text))
            }
            value => print::write(&self.meter, value, out),
        }
    }

    /// What a body prints, as a value.
    pub fn buffer(&mut self, body: &Body, scope: &Rc<Scope>) -> Res<(Value, Flow)> {
        let mut out = String::new();
        let flow = self.body(body, scope, &mut out)?;
        Ok((Value::text(out.into(), self.autoescape), flow))
    }

    pub fn block(&mut self, block: &Block, out: &mut String) -> Res<()> {
        let root = self.root.clone();
        self.body(&block.body, &Scope::inside(&root), out)?;
        Ok(())
    }

    /// A macro and the scope it stands in.
    fn make_macro(&mut self, node: &Arc<Macro>, scope: &Rc<Scope>, caller: bool) -> Value {
        let mut around = Some(scope);
        while let Some(scope) = around
            && !scope.kept.replace(true)
        {
            self.scopes.push(scope.clone());
            around = scope.parent.as_ref();
        }
        Value::Macro(Rc::new(MacroValue { node: node.clone(), scope: scope.clone(), caller }))
    }

    pub fn make_namespace(&mut self, namespace: Namespace) -> Value {
        let namespace = Rc::new(namespace);
        self.namespaces.push(namespace.clone());
        Value::Namespace(namespace)
    }

    fn assign(&mut self, target: &Target, value: Value, scope: &Rc<Scope>) -> Res<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Attribute(name, attribute) => {
                let Value::Namespace(namespace) = self.name(name, scope) else {
                    return failed("cannot assign attribute on non-namespace object");
                };
                super::globals::check_name(attribute)?;
                // What was there is dropped after the borrow ends.
                let old = namespace.entries.borrow_mut().insert(attribute.to_string(), value);
                drop(old);
            }
            Target::Tuple(targets) => {
                let values = super::iterate::list(&self.meter, &value)?;
                if values.len() != targets.len() {
                    return failed(format!("expected {} values to unpack, got {}", targets.len(), values.len()));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
        }
        Ok(())
    }

    /// A loop; `items` and the loop around it for one that calls itself.
    pub fn for_loop(
        &mut self,
        node: &Arc<For>,
        again: Option<(Value, usize)>,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Res<()> {
        let (items, depth) = match again {
            Some(again) => again,
            None => (self.eval(&node.items, scope)?, 0),
        };
        let this = Rc::new(Loop::new(super::iterate::iterate(&items)?, node.clone(), scope.clone(), depth));
        drop(items);
        let mut ran = false;
        while let Some(item) = super::loops::advance(self, &this)? {
            ran = true;
            let inner = Scope::inside(scope);
            self.assign(&node.target, item, &inner)?;
            inner.set(&super::loops::name(), Value::Loop(this.clone()));
            if self.body(&node.body, &inner, out)? == Flow::Break {
                break;
            }
        }
        if !ran {
            self.body(&node.otherwise, &Scope::inside(scope), out)?;
        }
        Ok(())
    }

    /// Whether a loop takes this item (`{% for x in xs if test %}`).
    pub fn passes(&mut self, node: &For, item: &Value, scope: &Rc<Scope>) -> Res<bool> {
        let Some(test) = &node.test else { return Ok(true) };
        let inner = Scope::inside(scope);
        self.assign(&node.target, item.clone(), &inner)?;
        Ok(self.eval(test, &inner)?.truth())
    }
}
