//! What follows a value: attributes, items, slices, calls, filters, tests.

use super::ast::*;
use super::lexer::{Token, syntax};
use super::limits::Res;
use super::parser::Parser;
use std::sync::Arc;

/// Attributes, items, calls and filters after one value.
const MOST_POSTFIXES: usize = 100;

impl Parser {
    /// Attributes, items, calls and, where allowed, filters and tests after a value.
    pub(super) fn postfixes(&mut self, mut value: Expr, filters: bool) -> Res<Expr> {
        let mut filtered = false;
        for _ in 0..MOST_POSTFIXES {
            value = match self.peek() {
                Token::Operator(".") if !filtered => {
                    self.next();
                    match self.peek().clone() {
                        Token::Name(name) => {
                            self.next();
                            Expr::Attribute(Box::new(value), Arc::from(name))
                        }
                        Token::Int(n) => {
                            self.next();
                            Expr::Item(Box::new(value), Box::new(Expr::Int(n)))
                        }
                        _ => return self.unexpected("a name or a number"),
                    }
                }
                Token::Operator("[") if !filtered => {
                    self.next();
                    self.subscript(value)?
                }
                Token::Operator("(") => {
                    self.next();
                    Expr::Call(Box::new(value), Box::new(self.arguments()?))
                }
                Token::Operator("|") if filters => {
                    filtered = true;
                    self.filter(Some(value))?
                }
                Token::Name(name) if filters && name == "is" => {
                    filtered = true;
                    self.test(value)?
                }
                _ => return Ok(value),
            };
        }
        syntax(self.line(), format!("more than {MOST_POSTFIXES} attributes, calls or filters of one value"))
    }

    fn subscript(&mut self, value: Expr) -> Res<Expr> {
        let mut parts = Vec::new();
        while !self.is("]") {
            if !parts.is_empty() {
                self.expect(",")?;
            }
            parts.push(self.slice_or_item()?);
        }
        self.expect("]")?;
        if parts.len() > 1 {
            let items = parts.into_iter().map(|part| part.or_else(|_| syntax(self.line(), "a slice in a tuple")));
            return Ok(Expr::Item(Box::new(value), Box::new(Expr::Tuple(items.collect::<Res<_>>()?))));
        }
        match parts.pop() {
            Some(Ok(item)) => Ok(Expr::Item(Box::new(value), Box::new(item))),
            Some(Err(slice)) => Ok(Expr::Slice(Box::new(value), Box::new(slice))),
            None => Ok(Expr::Item(Box::new(value), Box::new(Expr::Tuple(Vec::new())))),
        }
    }

    /// An item, or as `Err` the three parts of a slice.
    #[allow(clippy::type_complexity)]
    fn slice_or_item(&mut self) -> Res<Result<Expr, [Option<Expr>; 3]>> {
        let mut parts = [None, None, None];
        for (i, part) in parts.iter_mut().enumerate() {
            if !self.is(":") && !self.is("]") && !self.is(",") {
                let item = self.expression()?;
                if i == 0 && !self.is(":") {
                    return Ok(Ok(item));
                }
                *part = Some(item);
            } else if i == 0 && !self.is(":") {
                return self.unexpected("an expression");
            }
            if i == 2 || !self.skip_if(":") {
                break;
            }
        }
        Ok(Err(parts))
    }

    /// The arguments of a call, after its `(`.
    fn arguments(&mut self) -> Res<Args> {
        let mut args = Args::default();
        let mut first = true;
        while !self.skip_if(")") {
            if !std::mem::take(&mut first) {
                self.expect(",")?;
                if self.skip_if(")") {
                    break;
                }
            }
            let line = self.line();
            if self.skip_if("*") {
                if args.list.is_some() || args.dict.is_some() {
                    return syntax(line, "more than one *list in a call");
                }
                args.list = Some(self.expression()?);
            } else if self.skip_if("**") {
                if args.dict.is_some() {
                    return syntax(line, "more than one **dict in a call");
                }
                args.dict = Some(self.expression()?);
            } else if matches!((self.peek(), self.peek_after()), (Token::Name(_), Token::Operator("="))) {
                let name = self.name()?;
                self.next();
                if args.dict.is_some() || args.named.iter().any(|(known, _)| *known == name) {
                    return syntax(line, format!("the argument '{name}' does not belong here"));
                }
                args.named.push((name, self.expression()?));
            } else if args.list.is_some() || args.dict.is_some() || !args.named.is_empty() {
                return syntax(line, "an argument without a name after one with a name");
            } else {
                args.positional.push(self.expression()?);
            }
        }
        Ok(args)
    }

    fn dotted_name(&mut self) -> Res<Name> {
        let mut name = self.name()?.to_string();
        while self.skip_if(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(Arc::from(name))
    }

    /// One filter, at its `|`.
    fn filter(&mut self, value: Option<Expr>) -> Res<Expr> {
        self.expect("|")?;
        self.filter_name(value)
    }

    fn filter_name(&mut self, value: Option<Expr>) -> Res<Expr> {
        let name = self.dotted_name()?;
        let args = if self.skip_if("(") { self.arguments()? } else { Args::default() };
        Ok(Expr::Filter(value.map(Box::new), name, Box::new(args)))
    }

    /// All filters from here.
    pub(super) fn filters(&mut self, value: Option<Expr>) -> Res<Expr> {
        let mut value = self.filter(value)?;
        for _ in 0..MOST_POSTFIXES {
            if !self.is("|") {
                return Ok(value);
            }
            value = self.filter(Some(value))?;
        }
        self.unexpected("fewer filters")
    }

    /// The filters of `{% filter a | b %}`.
    pub(super) fn block_filter(&mut self) -> Res<Expr> {
        let first = self.filter_name(None)?;
        if self.is("|") { self.filters(Some(first)) } else { Ok(first) }
    }

    /// A test, at its `is`.
    fn test(&mut self, value: Expr) -> Res<Expr> {
        self.next();
        let negated = self.skip_if_name("not");
        let name = self.dotted_name()?;
        let mut args = Args::default();
        let argument = match self.peek() {
            Token::Operator("(") => {
                self.next();
                args = self.arguments()?;
                false
            }
            Token::Name(name) if name == "is" => {
                return syntax(self.line(), "tests cannot follow each other with 'is'");
            }
            Token::Name(name) => !["else", "or", "and"].contains(&name.as_str()),
            Token::Str(_) | Token::Int(_) | Token::Float(_) | Token::Operator("[" | "{") => true,
            _ => false,
        };
        if argument {
            let value = self.nest(|p| p.primary())?;
            args.positional.push(self.postfixes(value, false)?);
        }
        let test = Expr::Test(Box::new(value), name, Box::new(args));
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }
}
