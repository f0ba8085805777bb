//! Statements of a template. The grammar is Jinja's, with the extensions that transformers turns on: loop controls and
//! `{% generation %}`.

use super::ast::*;
use super::lexer::{self, Token, syntax};
use super::limits::Res;
use super::names::reads;
use std::sync::Arc;

/// Tags and parentheses inside each other.
const MOST_NESTING: u32 = 60;

pub(super) struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
    nesting: u32,
    /// Loops around here that `break` may leave.
    loops: u32,
    pub texts: Vec<String>,
    blocks: Vec<Arc<Block>>,
}

/// Errors: `Syntax`.
pub(super) fn parse(source: &str) -> Res<Template> {
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser { tokens, at: 0, nesting: 0, loops: 0, texts: Vec::new(), blocks: Vec::new() };
    let (body, _) = parser.body(&[])?;
    Ok(Template { body, texts: parser.texts, blocks: parser.blocks })
}

impl Parser {
    pub fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    pub fn peek_after(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    pub fn line(&self) -> u32 {
        self.tokens[self.at].1
    }

    pub fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn is(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(found) if *found == operator)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    pub fn skip_if(&mut self, operator: &str) -> bool {
        let found = self.is(operator);
        if found {
            self.next();
        }
        found
    }

    pub fn skip_if_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.next();
        }
        found
    }

    pub fn unexpected<T>(&self, expected: &str) -> Res<T> {
        let found = match self.peek() {
            Token::Data(_) | Token::VariableBegin | Token::BlockBegin => "text".to_string(),
            Token::VariableEnd | Token::BlockEnd => "the end of the tag".to_string(),
            Token::Name(name) => format!("'{name}'"),
            Token::Str(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
            Token::Int(n) => n.to_string(),
            Token::Float(x) => x.to_string(),
            Token::Operator(operator) => format!("'{operator}'"),
            Token::End => "the end of the template".to_string(),
        };
        syntax(self.line(), format!("expected {expected}, found {found}"))
    }

    pub fn expect(&mut self, operator: &str) -> Res<()> {
        if self.skip_if(operator) { Ok(()) } else { self.unexpected(&format!("'{operator}'")) }
    }

    fn expect_name_of(&mut self, name: &str) -> Res<()> {
        if self.skip_if_name(name) { Ok(()) } else { self.unexpected(&format!("'{name}'")) }
    }

    pub fn name(&mut self) -> Res<Name> {
        match self.peek() {
            Token::Name(name) => {
                let name = Arc::from(name.as_str());
                self.next();
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    /// One level of tags or parentheses deeper.
    pub fn nest<T>(&mut self, f: impl FnOnce(&mut Parser) -> Res<T>) -> Res<T> {
        if self.nesting >= MOST_NESTING {
            return syntax(self.line(), format!("more than {MOST_NESTING} tags or brackets inside each other"));
        }
        self.nesting += 1;
        let result = f(self);
        self.nesting -= 1;
        result
    }

    fn block_end(&mut self) -> Res<()> {
        if *self.peek() != Token::BlockEnd {
            return self.unexpected("the end of the tag");
        }
        self.next();
        Ok(())
    }

    /// Statements up to a tag whose name is one of `ends` (which is read), or up to the end of the template.
    fn body(&mut self, ends: &[&str]) -> Res<(Body, String)> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.next() {
                Token::Data(text) => StmtKind::Text(text),
                Token::VariableBegin => {
                    let value = self.tuple(true)?;
                    if *self.peek() != Token::VariableEnd {
                        return self.unexpected("the end of the tag");
                    }
                    self.next();
                    StmtKind::Print(vec![value])
                }
                Token::BlockBegin => {
                    let name = match self.peek() {
                        Token::Name(name) => name.clone(),
                        _ => return self.unexpected("the name of a tag"),
                    };
                    self.next();
                    if ends.contains(&name.as_str()) {
                        return Ok((body, name));
                    }
                    let kind = self.nest(|p| p.statement(&name, line))?;
                    self.block_end()?;
                    kind
                }
                Token::End if ends.is_empty() => return Ok((body, String::new())),
                _ => return self.unexpected(&format!("{{% {} %}}", ends.join(" or "))),
            };
            body.push(Stmt { line, kind });
        }
    }

    /// The body of a tag whose head ends here.
    fn inside(&mut self, ends: &[&str]) -> Res<(Body, String)> {
        // As in Python, a colon may end the head.
        self.skip_if(":");
        self.block_end()?;
        self.body(ends)
    }

    /// A body out of which no `break` leads.
    fn closed_body(&mut self, end: &str) -> Res<Body> {
        let loops = std::mem::take(&mut self.loops);
        let body = self.inside(&[end])?.0;
        self.loops = loops;
        Ok(body)
    }

    fn statement(&mut self, name: &str, line: u32) -> Res<StmtKind> {
        Ok(match name {
            "for" => self.for_loop()?,
            "if" => {
                let mut branches = Vec::new();
                loop {
                    let test = self.tuple(false)?;
                    let (body, end) = self.inside(&["elif", "else", "endif"])?;
                    branches.push((test, body));
                    match end.as_str() {
                        "elif" => continue,
                        "else" => return Ok(StmtKind::If(branches, self.inside(&["endif"])?.0)),
                        _ => return Ok(StmtKind::If(branches, Vec::new())),
                    }
                }
            }
            "set" => {
                let target = self.target(true, false)?;
                if self.skip_if("=") {
                    StmtKind::Set(target, self.tuple(true)?)
                } else {
                    let filter = if self.is("|") { Some(self.filters(None)?) } else { None };
                    StmtKind::SetBlock(target, filter, self.inside(&["endset"])?.0)
                }
            }
            "with" => {
                let mut variables = Vec::new();
                while *self.peek() != Token::BlockEnd {
                    if !variables.is_empty() {
                        self.expect(",")?;
                    }
                    let target = self.target(false, false)?;
                    self.expect("=")?;
                    variables.push((target, self.expression()?));
                }
                StmtKind::With(variables, self.inside(&["endwith"])?.0)
            }
            "macro" => {
                let name = self.name()?.to_string();
                let (parameters, defaults) = self.signature()?;
                let body = self.closed_body("endmacro")?;
                StmtKind::Macro(Arc::new(make_macro(name, parameters, defaults, body)))
            }
            "call" => {
                let (parameters, defaults) = if self.is("(") { self.signature()? } else { (Vec::new(), Vec::new()) };
                let call = self.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    return syntax(line, "expected a call");
                }
                let body = self.closed_body("endcall")?;
                StmtKind::Call(call, Arc::new(make_macro("caller".into(), parameters, defaults, body)))
            }
            "filter" => {
                let filter = self.block_filter()?;
                StmtKind::Filter(filter, self.inside(&["endfilter"])?.0)
            }
            "print" => {
                let mut values = Vec::new();
                while *self.peek() != Token::BlockEnd {
                    if !values.is_empty() {
                        self.expect(",")?;
                    }
                    values.push(self.expression()?);
                }
                StmtKind::Print(values)
            }
            "block" => {
                let name = self.name()?.to_string();
                for word in ["scoped", "required"] {
                    self.skip_if_name(word);
                }
                if self.blocks.iter().any(|block| block.name == name) {
                    return syntax(line, format!("the block '{name}' is defined twice"));
                }
                let body = self.block_body(&name)?;
                let block = Arc::new(Block { name, body });
                self.blocks.push(block.clone());
                StmtKind::Block(block)
            }
            "generation" => StmtKind::Generation(self.closed_body("endgeneration")?),
            "autoescape" => {
                let on = self.expression()?;
                StmtKind::Autoescape(on, self.inside(&["endautoescape"])?.0)
            }
            "break" | "continue" if self.loops == 0 => return syntax(line, format!("'{name}' outside of a loop")),
            "break" => StmtKind::Break,
            "continue" => StmtKind::Continue,
            "include" | "import" | "from" | "extends" => {
                while *self.peek() != Token::BlockEnd {
                    if *self.peek() == Token::End {
                        return self.unexpected("the end of the tag");
                    }
                    self.next();
                }
                StmtKind::Load(match name {
                    "include" => "include",
                    "extends" => "extends",
                    _ => "import",
                })
            }
            name => return syntax(line, format!("unknown tag '{name}'")),
        })
    }

    fn block_body(&mut self, name: &str) -> Res<Body> {
        let body = self.closed_body("endblock")?;
        self.skip_if_name(name);
        Ok(body)
    }

    fn for_loop(&mut self) -> Res<StmtKind> {
        let target = self.target(false, true)?;
        self.expect_name_of("in")?;
        let items = self.tuple(false)?;
        let test = if self.skip_if_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_if_name("recursive");
        self.loops += 1;
        let (body, end) = self.inside(&["endfor", "else"])?;
        self.loops -= 1;
        let otherwise = if end == "else" { self.inside(&["endfor"])?.0 } else { Vec::new() };
        Ok(StmtKind::For(Arc::new(For { target, items, test, recursive, body, otherwise })))
    }

    /// What can be assigned to: names, tuples of them and, for `set`, attributes of a namespace.
    fn target(&mut self, attributes: bool, loop_target: bool) -> Res<Target> {
        let mut targets = Vec::new();
        let mut tuple = false;
        loop {
            let ends = matches!(self.peek(), Token::BlockEnd | Token::Operator(")"));
            if tuple && (ends || self.is("=") || (loop_target && self.is_name("in"))) {
                break;
            }
            if loop_target && self.is_name("loop") {
                return syntax(self.line(), "a loop cannot assign to 'loop'");
            }
            targets.push(self.one_target(attributes)?);
            if !self.skip_if(",") {
                break;
            }
            tuple = true;
        }
        Ok(if tuple { Target::Tuple(targets) } else { targets.remove(0) })
    }

    fn one_target(&mut self, attributes: bool) -> Res<Target> {
        if self.skip_if("(") {
            let target = self.nest(|p| p.target(attributes, false))?;
            self.expect(")")?;
            return Ok(target);
        }
        let line = self.line();
        let name = self.name()?;
        if attributes && self.skip_if(".") {
            return Ok(Target::Attribute(name, self.name()?));
        }
        if ["true", "false", "none", "True", "False", "None"].contains(&&*name) {
            return syntax(line, format!("'{name}' cannot be assigned to"));
        }
        Ok(Target::Name(name))
    }

    fn signature(&mut self) -> Res<(Vec<Name>, Vec<Expr>)> {
        let (mut parameters, mut defaults) = (Vec::new(), Vec::new());
        self.expect("(")?;
        while !self.skip_if(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            parameters.push(self.name()?);
            if self.skip_if("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return syntax(self.line(), "a parameter without a default after one with a default");
            }
        }
        Ok((parameters, defaults))
    }
}

fn make_macro(name: String, parameters: Vec<Name>, defaults: Vec<Expr>, body: Body) -> Macro {
    let uses = |name: &str| !parameters.iter().any(|p| **p == *name) && reads(&body, name);
    let (varargs, kwargs, caller) = (uses("varargs"), uses("kwargs"), uses("caller"));
    Macro { name, parameters, defaults, body, varargs, kwargs, caller }
}
