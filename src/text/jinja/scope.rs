//! Variables: each loop pass, macro call, `with` and block has a scope of its own, and sees those around it.

use super::value::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Scope {
    variables: RefCell<Vec<(Arc<str>, Value)>>,
    pub parent: Option<Rc<Scope>>,
    /// Whether a macro holds on to it; such scopes are emptied at the end, since they may hold the macro.
    pub kept: Cell<bool>,
}

impl Scope {
    pub fn inside(parent: &Rc<Scope>) -> Rc<Scope> {
        Rc::new(Scope { parent: Some(parent.clone()), ..Scope::default() })
    }

    pub fn set(&self, name: &Arc<str>, value: Value) {
        let mut variables = self.variables.borrow_mut();
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => {
                let old = std::mem::replace(slot, value);
                drop(variables);
                drop(old);
            }
            None => variables.push((name.clone(), value)),
        }
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            let variables = scope.variables.borrow();
            if let Some((_, value)) = variables.iter().find(|(known, _)| **known == *name) {
                return Some(value.clone());
            }
            drop(variables);
            scope = scope.parent.as_deref()?;
        }
    }

    pub fn clear(&self) {
        let variables = std::mem::take(&mut *self.variables.borrow_mut());
        drop(variables);
    }
}
