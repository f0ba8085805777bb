//! Expressions of a template, with Jinja's precedences.

use super::ast::*;
use super::lexer::Token;
use super::limits::Res;
use super::parser::Parser;
use std::sync::Arc;

const COMPARE: u8 = 4;
const CONCAT: u8 = 6;

/// The precedence of a binary operator that is a token of its own.
fn arithmetic(operator: &str) -> Option<(u8, Operator)> {
    Some(match operator {
        "+" => (5, Operator::Add),
        "-" => (5, Operator::Sub),
        "*" => (7, Operator::Mul),
        "/" => (7, Operator::Div),
        "//" => (7, Operator::FloorDiv),
        "%" => (7, Operator::Mod),
        "**" => (8, Operator::Pow),
        _ => return None,
    })
}

impl Parser {
    pub(super) fn expression(&mut self) -> Res<Expr> {
        self.nest(|p| p.condition())
    }

    /// `a if b else c`
    fn condition(&mut self) -> Res<Expr> {
        let mut value = self.binary(1)?;
        while self.skip_if_name("if") {
            let test = self.binary(1)?;
            let otherwise = if self.skip_if_name("else") { Some(Box::new(self.expression()?)) } else { None };
            value = Expr::If(Box::new([test, value]), otherwise);
        }
        Ok(value)
    }

    /// Operators of precedence `least` and above: or 1, and 2, not 3, comparisons 4, + - 5, ~ 6, * / // % 7, ** 8.
    fn binary(&mut self, least: u8) -> Res<Expr> {
        let mut left = if least <= 3 && self.is_name("not") {
            self.next();
            Expr::Not(Box::new(self.nest(|p| p.binary(3))?))
        } else {
            self.unary(true)?
        };
        let mut level = u8::MAX;
        loop {
            let found = match self.peek() {
                Token::Name(name) if name == "or" => 1,
                Token::Name(name) if name == "and" => 2,
                Token::Name(name) if name == "in" => COMPARE,
                Token::Name(name) if name == "not" && matches!(self.peek_after(), Token::Name(n) if n == "in") => {
                    COMPARE
                }
                Token::Operator("==" | "!=" | "<" | "<=" | ">" | ">=") => COMPARE,
                Token::Operator("~") => CONCAT,
                Token::Operator(operator) => arithmetic(operator).map_or(0, |(level, _)| level),
                _ => 0,
            };
            if found < least.max(1) {
                return Ok(left);
            }
            // One list for all of a precedence, so that a long sum is not a deep tree.
            let more = level == found;
            level = found;
            left = match found {
                1 | 2 | CONCAT => {
                    self.next();
                    let right = self.binary(found + 1)?;
                    let mut all = match (more, left) {
                        (true, Expr::And(all) | Expr::Or(all) | Expr::Concat(all)) => all,
                        (_, left) => vec![left],
                    };
                    all.push(right);
                    match found {
                        1 => Expr::Or(all),
                        2 => Expr::And(all),
                        _ => Expr::Concat(all),
                    }
                }
                COMPARE => {
                    let comparison = self.comparison();
                    let right = self.binary(COMPARE + 1)?;
                    let (first, mut all) = match (more, left) {
                        (true, Expr::Compare(first, all)) => (first, all),
                        (_, left) => (Box::new(left), Vec::new()),
                    };
                    all.push((comparison, right));
                    Expr::Compare(first, all)
                }
                _ => {
                    let operator = match self.next() {
                        Token::Operator(operator) => arithmetic(operator).map(|(_, operator)| operator),
                        _ => None,
                    };
                    let Some(operator) = operator else { return self.unexpected("an operator") };
                    let right = self.binary(found + 1)?;
                    let (first, mut all) = match (more, left) {
                        (true, Expr::Chain(first, all)) => (first, all),
                        (_, left) => (Box::new(left), Vec::new()),
                    };
                    all.push((operator, right));
                    Expr::Chain(first, all)
                }
            };
        }
    }

    fn comparison(&mut self) -> Comparison {
        match self.next() {
            Token::Operator("==") => Comparison::Equal,
            Token::Operator("!=") => Comparison::Unequal,
            Token::Operator("<") => Comparison::Less,
            Token::Operator("<=") => Comparison::LessEqual,
            Token::Operator(">") => Comparison::Greater,
            Token::Operator(_) => Comparison::GreaterEqual,
            Token::Name(name) if name == "in" => Comparison::In,
            _ => {
                self.next();
                Comparison::NotIn
            }
        }
    }

    fn unary(&mut self, filters: bool) -> Res<Expr> {
        let value = if self.skip_if("-") {
            Expr::Negative(Box::new(self.nest(|p| p.unary(false))?))
        } else if self.skip_if("+") {
            Expr::Positive(Box::new(self.nest(|p| p.unary(false))?))
        } else {
            self.primary()?
        };
        self.postfixes(value, filters)
    }

    pub(super) fn primary(&mut self) -> Res<Expr> {
        Ok(match self.peek().clone() {
            Token::Name(name) => {
                self.next();
                match name.as_str() {
                    "true" | "True" => Expr::Bool(true),
                    "false" | "False" => Expr::Bool(false),
                    "none" | "None" => Expr::None,
                    name => Expr::Name(Arc::from(name)),
                }
            }
            Token::Str(mut text) => {
                self.next();
                while let Token::Str(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                self.texts.push(text);
                Expr::Text(self.texts.len() - 1)
            }
            Token::Int(n) => {
                self.next();
                Expr::Int(n)
            }
            Token::Float(x) => {
                self.next();
                Expr::Float(x)
            }
            Token::Operator("(") => {
                self.next();
                let value = if self.is(")") { Expr::Tuple(Vec::new()) } else { self.tuple(true)? };
                self.expect(")")?;
                value
            }
            Token::Operator("[") => {
                self.next();
                Expr::List(self.items("]")?)
            }
            Token::Operator("{") => {
                self.next();
                let mut entries = Vec::new();
                while !self.is("}") {
                    if !entries.is_empty() {
                        self.expect(",")?;
                    }
                    if self.is("}") {
                        break;
                    }
                    let key = self.expression()?;
                    self.expect(":")?;
                    entries.push((key, self.expression()?));
                }
                self.expect("}")?;
                Expr::Dict(entries)
            }
            _ => return self.unexpected("an expression"),
        })
    }

    fn items(&mut self, end: &str) -> Res<Vec<Expr>> {
        let mut items = Vec::new();
        while !self.is(end) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            if self.is(end) {
                break;
            }
            items.push(self.expression()?);
        }
        self.expect(end)?;
        Ok(items)
    }

    /// An expression, or several with commas between them.
    pub(super) fn tuple(&mut self, conditions: bool) -> Res<Expr> {
        let mut items = Vec::new();
        let mut tuple = false;
        loop {
            let ends = matches!(self.peek(), Token::VariableEnd | Token::BlockEnd | Token::Operator(")"));
            if ends || (!conditions && self.is_name("recursive")) {
                break;
            }
            items.push(self.nest(|p| if conditions { p.condition() } else { p.binary(1) })?);
            if !self.skip_if(",") {
                break;
            }
            tuple = true;
        }
        match items.len() {
            0 => self.unexpected("an expression"),
            1 if !tuple => Ok(items.remove(0)),
            _ => Ok(Expr::Tuple(items)),
        }
    }
}
