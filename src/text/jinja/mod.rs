//! Jinja, the language of chat templates, as transformers sets it up: Jinja2's immutable sandbox with `trim_blocks`,
//! `lstrip_blocks`, loop controls and `{% generation %}`. Values are Python's, since templates print them: `{{ x }}` of a
//! dict, `x is number` of True, `'%s' % x`. Not here: other templates (`include`), and what no prompt needs
//! (`lipsum`, `urlize`, `str.encode`). Every render is bounded, see [`limits`].

mod args;
mod ast;
mod attributes;
mod braces;
mod date;
mod eval;
mod expressions;
mod filters;
mod globals;
mod html;
mod iterate;
mod json;
mod lexer;
mod limits;
mod loops;
mod methods;
mod names;
mod ops;
mod parser;
mod postfix;
mod print;
mod printf;
mod run;
mod scope;
mod tests;
mod value;

pub(crate) use ast::Template;
pub(crate) use limits::{Bounds, Fault, Kind};

use serde_json::Value as Json;
use std::sync::Arc;

/// Reads a template. Errors: [`Kind::Syntax`].
pub(crate) fn parse(source: &str) -> Result<Template, Box<Fault>> {
    parser::parse(source)
}

/// What a template prints with these variables; `now`: seconds since 1970-01-01 00:00 of the user's clock.
pub(crate) fn render<'a>(
    template: &Template,
    variables: impl IntoIterator<Item = (&'a str, &'a Json)>,
    now: i64,
    bounds: Bounds,
) -> Result<String, Box<Fault>> {
    let mut run = run::Run::new(template, bounds, now);
    for (name, value) in variables {
        run.context.insert(Arc::from(name), value::Value::from_json(value)?);
    }
    run.render()
}
