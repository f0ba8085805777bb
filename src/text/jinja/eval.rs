//! Evaluates expressions.

use super::args::Given;
use super::ast::*;
use super::limits::{Res, failed};
use super::run::Run;
use super::scope::Scope;
use super::value::{Key, Macro as MacroValue, Value, key};
use super::{attributes, filters, globals, iterate, loops, methods, ops, print, tests};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

impl Run<'_> {
    pub(super) fn eval(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Res<Value> {
        Ok(match expr {
            Expr::None => Value::None,
            Expr::Bool(b) => Value::Bool(*b),
            Expr::Int(n) => Value::Int(*n),
            Expr::Float(x) => Value::Float(*x),
            Expr::Text(at) => self.literal(*at),
            Expr::Name(name) => self.name(name, scope),
            compound => {
                self.descend()?;
                let value = self.compound(compound, scope)?;
                self.ascend();
                value
            }
        })
    }

    fn literal(&mut self, at: usize) -> Value {
        let text = &self.template.texts[at];
        self.texts[at].get_or_insert_with(|| Value::str(text.as_str())).clone()
    }

    /// A variable: of the template, of the host, or a global function.
    pub(super) fn name(&mut self, name: &str, scope: &Rc<Scope>) -> Value {
        if let Some(value) = scope.get(name).or_else(|| self.context.get(name).cloned()) {
            return value;
        }
        match name {
            "self" => Value::Template,
            name => match globals::function(name) {
                Some(name) => Value::Function(name),
                None => Value::undefined(format!("'{name}' is undefined")),
            },
        }
    }

    fn compound(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Res<Value> {
        match expr {
            Expr::Attribute(value, name) => {
                let value = self.eval(value, scope)?;
                self.attribute(&value, name)
            }
            Expr::Item(value, index) => {
                let value = self.eval(value, scope)?;
                let index = self.eval(index, scope)?;
                self.item(&value, &index)
            }
            Expr::Slice(value, parts) => self.slice(value, parts, scope),
            Expr::Call(..) => self.call_with(expr, None, scope),
            Expr::Filter(value, name, args) => {
                let Some(value) = value else { return failed("a filter has nothing to filter") };
                let value = self.eval(value, scope)?;
                let given = self.given(args, scope)?;
                filters::call(self, name, value, given)
            }
            Expr::Test(value, name, args) => {
                let value = self.eval(value, scope)?;
                let given = self.given(args, scope)?;
                tests::call(self, name, &value, given).map(Value::Bool)
            }
            Expr::Chain(first, rest) => {
                let mut value = self.eval(first, scope)?;
                for (operator, right) in rest {
                    let right = self.eval(right, scope)?;
                    value = ops::arithmetic(&self.meter, &value, *operator, &right)?;
                }
                Ok(value)
            }
            Expr::Compare(first, rest) => self.comparison(first, rest, scope),
            Expr::Concat(all) => self.concat(all, scope),
            Expr::And(all) | Expr::Or(all) => {
                let until = matches!(expr, Expr::Or(_));
                let (last, first) =
                    all.split_last().map_or((None, all.as_slice()), |(last, first)| (Some(last), first));
                for value in first {
                    let value = self.eval(value, scope)?;
                    if value.truth() == until {
                        return Ok(value);
                    }
                }
                last.map_or(Ok(Value::None), |last| self.eval(last, scope))
            }
            Expr::Not(value) => Ok(Value::Bool(!self.eval(value, scope)?.truth())),
            Expr::If(parts, otherwise) => {
                if self.eval(&parts[0], scope)?.truth() {
                    return self.eval(&parts[1], scope);
                }
                match otherwise {
                    Some(otherwise) => self.eval(otherwise, scope),
                    None => Ok(Value::undefined("an inline if was false and has no else")),
                }
            }
            Expr::Negative(value) => match self.eval(value, scope)? {
                Value::Float(x) => Ok(Value::Float(-x)),
                value => match value.as_int() {
                    Some(n) => Ok(Value::Int(n.saturating_neg())),
                    None => failed(format!("bad operand type for unary -: '{}'", value.kind())),
                },
            },
            Expr::Positive(value) => match self.eval(value, scope)? {
                Value::Float(x) => Ok(Value::Float(x)),
                value => match value.as_int() {
                    Some(n) => Ok(Value::Int(n)),
                    None => failed(format!("bad operand type for unary +: '{}'", value.kind())),
                },
            },
            Expr::Tuple(all) => Value::tuple(self.all(all, scope)?),
            Expr::List(all) => Value::list(self.all(all, scope)?),
            Expr::Dict(entries) => self.dict(entries, scope),
            simple => self.eval(simple, scope),
        }
    }

    fn all(&mut self, all: &[Expr], scope: &Rc<Scope>) -> Res<Vec<Value>> {
        all.iter().map(|value| self.eval(value, scope)).collect()
    }

    fn dict(&mut self, entries: &[(Expr, Expr)], scope: &Rc<Scope>) -> Res<Value> {
        let mut dict = IndexMap::with_capacity(entries.len());
        for (name, value) in entries {
            let name = key(self.eval(name, scope)?)?;
            dict.insert(name, self.eval(value, scope)?);
        }
        Value::dict(dict)
    }

    fn slice(&mut self, value: &Expr, parts: &[Option<Expr>; 3], scope: &Rc<Scope>) -> Res<Value> {
        let value = self.eval(value, scope)?;
        let mut bounds = [Value::None, Value::None, Value::None];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            if let Some(part) = part {
                *bound = self.eval(part, scope)?;
            }
        }
        iterate::slice(&self.meter, &value, bounds)
    }

    fn comparison(&mut self, first: &Expr, rest: &[(Comparison, Expr)], scope: &Rc<Scope>) -> Res<Value> {
        let mut left = self.eval(first, scope)?;
        for (comparison, right) in rest {
            let right = self.eval(right, scope)?;
            if !ops::compare(&self.meter, &left, *comparison, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn concat(&mut self, all: &[Expr], scope: &Rc<Scope>) -> Res<Value> {
        let values = self.all(all, scope)?;
        let mut out = String::new();
        for value in &values {
            match value {
                Value::Str(text) if self.autoescape => self.meter.push(&mut out, &super::html::escaped(text))?,
                value => print::write(&self.meter, value, &mut out)?,
            }
        }
        Ok(Value::text(out.into(), self.autoescape))
    }

    /// `value.name`: an attribute in Python's sense, else an item.
    pub(super) fn attribute(&mut self, value: &Value, name: &str) -> Res<Value> {
        if let Value::Undefined(what) = value {
            return failed(what.to_string());
        }
        if let Some(found) = attributes::get(self, value, name)? {
            return Ok(found);
        }
        let item = match value {
            Value::Dict(dict) => dict.get(name).cloned(),
            _ => None,
        };
        Ok(item.unwrap_or_else(|| missing(value, name)))
    }

    /// `value[index]`: an item, else an attribute.
    pub(super) fn item(&mut self, value: &Value, index: &Value) -> Res<Value> {
        if let Some(found) = iterate::item(&self.meter, value, index)? {
            return Ok(found);
        }
        match index {
            Value::Str(name) => {
                let found = attributes::get(self, value, &name.text)?;
                Ok(found.unwrap_or_else(|| missing(value, &name.text)))
            }
            _ => Ok(Value::undefined(format!("'{}' object has no such element", value.kind()))),
        }
    }

    fn given(&mut self, args: &Args, scope: &Rc<Scope>) -> Res<Given> {
        let mut given = Given { positional: self.all(&args.positional, scope)?, named: Vec::new() };
        for (name, value) in &args.named {
            given.named.push((name.clone(), self.eval(value, scope)?));
        }
        if let Some(list) = &args.list {
            let list = self.eval(list, scope)?;
            given.positional.extend(iterate::list(&self.meter, &list)?);
        }
        if let Some(dict) = &args.dict {
            let Value::Dict(dict) = self.eval(dict, scope)? else {
                return failed("argument after ** must be a mapping");
            };
            for (name, value) in &dict.entries {
                let Some(name) = name.0.as_str() else { return failed("keywords must be strings") };
                if given.named.iter().any(|(known, _)| **known == *name) {
                    return failed(format!("got multiple values for keyword argument '{name}'"));
                }
                given.named.push((Arc::from(name), value.clone()));
            }
        }
        Ok(given)
    }

    /// A call, with the `caller` of a call block.
    pub(super) fn call_with(&mut self, call: &Expr, caller: Option<Value>, scope: &Rc<Scope>) -> Res<Value> {
        let Expr::Call(callee, args) = call else { return failed("expected a call") };
        let callee = self.eval(callee, scope)?;
        let mut given = self.given(args, scope)?;
        given.named.extend(caller.map(|caller| (Arc::from("caller"), caller)));
        self.call(&callee, given)
    }

    pub(super) fn call(&mut self, callee: &Value, given: Given) -> Res<Value> {
        match callee {
            Value::Macro(called) => self.call_macro(called, given),
            Value::Function(name) => globals::call(self, name, given),
            Value::Method(value, name) => methods::call(self, value, name, given),
            Value::Loop(this) => loops::call(self, this, given),
            Value::Joiner(joiner) => {
                given.none("joiner")?;
                Ok(if joiner.1.replace(true) { joiner.0.clone() } else { Value::str("") })
            }
            Value::Block(block) => {
                let mut out = String::new();
                self.block(block, &mut out)?;
                Ok(Value::text(out.into(), self.autoescape))
            }
            Value::Undefined(what) => failed(what.to_string()),
            other => failed(format!("'{}' object is not callable", other.kind())),
        }
    }

    fn call_macro(&mut self, called: &MacroValue, given: Given) -> Res<Value> {
        let node = &called.node;
        let scope = Scope::inside(&called.scope);
        let mut named = given.named;
        let mut take = |name: &str| named.iter().position(|(known, _)| **known == *name).map(|at| named.remove(at).1);
        let count = node.parameters.len();
        let optional = count - node.defaults.len();
        let mut arguments = given.positional.into_iter();
        let mut missing = Vec::new();
        for (i, parameter) in node.parameters.iter().enumerate() {
            match arguments.next().or_else(|| take(parameter)) {
                Some(value) => scope.set(parameter, value),
                None => missing.push((i, parameter)),
            }
        }
        if node.caller {
            let caller = take("caller").unwrap_or_else(|| Value::undefined("No caller defined"));
            scope.set(&Arc::from("caller"), caller);
        }
        if node.kwargs {
            let entries = std::mem::take(&mut named).into_iter();
            let dict = entries.map(|(name, value)| (Key(Value::str(&*name)), value)).collect();
            scope.set(&Arc::from("kwargs"), Value::dict(dict)?);
        } else if let Some((name, _)) = named.first() {
            return failed(format!("macro '{}' takes no keyword argument '{name}'", node.name));
        }
        if node.varargs {
            scope.set(&Arc::from("varargs"), Value::tuple(arguments.collect())?);
        } else if arguments.next().is_some() {
            return failed(format!("macro '{}' takes not more than {count} argument(s)", node.name));
        }
        for (i, parameter) in missing {
            let value = match i.checked_sub(optional) {
                Some(at) => self.eval(&node.defaults[at], &scope)?,
                None => Value::undefined(format!("parameter '{parameter}' was not provided")),
            };
            scope.set(parameter, value);
        }
        Ok(self.buffer(&node.body, &scope)?.0)
    }

    /// The filters of a block, applied to what the block printed.
    pub(super) fn block_filter(&mut self, filter: &Expr, text: Value, scope: &Rc<Scope>) -> Res<Value> {
        let Expr::Filter(value, name, args) = filter else { return failed("expected a filter") };
        let value = match value {
            Some(inner) => self.block_filter(inner, text, scope)?,
            None => text,
        };
        let given = self.given(args, scope)?;
        filters::call(self, name, value, given)
    }
}

fn missing(value: &Value, name: &str) -> Value {
    Value::undefined(format!("'{} object' has no attribute '{name}'", value.kind()))
}
