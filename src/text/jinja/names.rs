//! Whether a body reads a name of its surroundings: a macro takes `varargs`, `kwargs` and `caller` only then.

use super::ast::*;

/// In the order of the text; what is assigned before is no longer read from outside.
pub(super) fn reads(body: &Body, name: &str) -> bool {
    let mut search = Search { name, assigned: false };
    search.body(body)
}

struct Search<'a> {
    name: &'a str,
    assigned: bool,
}

impl Search<'_> {
    fn body(&mut self, body: &Body) -> bool {
        body.iter().any(|stmt| self.stmt(&stmt.kind))
    }

    fn stmt(&mut self, stmt: &StmtKind) -> bool {
        match stmt {
            StmtKind::Print(values) => values.iter().any(|v| self.expr(v)),
            StmtKind::For(node) => {
                self.expr(&node.items)
                    || self.target(&node.target)
                    || node.test.as_ref().is_some_and(|test| self.expr(test))
                    || self.body(&node.body)
                    || self.body(&node.otherwise)
            }
            StmtKind::If(branches, otherwise) => {
                branches.iter().any(|(test, body)| self.expr(test) || self.body(body)) || self.body(otherwise)
            }
            StmtKind::Set(target, value) => self.expr(value) || self.target(target),
            StmtKind::SetBlock(target, filter, body) => {
                filter.as_ref().is_some_and(|f| self.expr(f)) || self.body(body) || self.target(target)
            }
            StmtKind::With(variables, body) => {
                variables.iter().any(|(target, value)| self.expr(value) || self.target(target)) || self.body(body)
            }
            StmtKind::Macro(node) => {
                self.assigned |= node.name == self.name;
                self.inner(node)
            }
            StmtKind::Call(call, node) => self.expr(call) || self.inner(node),
            StmtKind::Filter(filter, body) | StmtKind::Autoescape(filter, body) => self.expr(filter) || self.body(body),
            StmtKind::Generation(body) => self.body(body),
            StmtKind::Text(_) | StmtKind::Block(_) | StmtKind::Break | StmtKind::Continue | StmtKind::Load(_) => false,
        }
    }

    fn inner(&mut self, node: &Macro) -> bool {
        self.assigned |= node.parameters.iter().any(|p| **p == *self.name);
        node.defaults.iter().any(|v| self.expr(v)) || self.body(&node.body)
    }

    fn target(&mut self, target: &Target) -> bool {
        match target {
            Target::Name(name) => self.assigned |= **name == *self.name,
            Target::Attribute(..) => {}
            Target::Tuple(targets) => targets.iter().for_each(|t| _ = self.target(t)),
        }
        false
    }

    fn args(&mut self, args: &Args) -> bool {
        let named = args.named.iter().map(|(_, value)| value);
        args.positional.iter().chain(named).chain(&args.list).chain(&args.dict).any(|v| self.expr(v))
    }

    fn expr(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(name) => !self.assigned && **name == *self.name,
            Expr::None | Expr::Bool(_) | Expr::Int(_) | Expr::Float(_) | Expr::Text(_) => false,
            Expr::Tuple(all) | Expr::List(all) | Expr::And(all) | Expr::Or(all) | Expr::Concat(all) => {
                all.iter().any(|v| self.expr(v))
            }
            Expr::Dict(entries) => entries.iter().any(|(key, value)| self.expr(key) || self.expr(value)),
            Expr::Attribute(value, _) | Expr::Negative(value) | Expr::Positive(value) | Expr::Not(value) => {
                self.expr(value)
            }
            Expr::Item(value, item) => self.expr(value) || self.expr(item),
            Expr::Slice(value, parts) => self.expr(value) || parts.iter().flatten().any(|v| self.expr(v)),
            Expr::Call(value, args) | Expr::Test(value, _, args) => self.expr(value) || self.args(args),
            Expr::Filter(value, _, args) => value.as_ref().is_some_and(|v| self.expr(v)) || self.args(args),
            Expr::Chain(first, rest) => self.expr(first) || rest.iter().any(|(_, v)| self.expr(v)),
            Expr::Compare(first, rest) => self.expr(first) || rest.iter().any(|(_, v)| self.expr(v)),
            Expr::If(parts, otherwise) => {
                parts.iter().any(|v| self.expr(v)) || otherwise.as_ref().is_some_and(|v| self.expr(v))
            }
        }
    }
}
