//! What a template says: statements and expressions.

use std::sync::Arc;

pub(super) type Name = Arc<str>;
pub(super) type Body = Vec<Stmt>;

pub(super) struct Stmt {
    pub line: u32,
    pub kind: StmtKind,
}

pub(super) enum StmtKind {
    Text(String),
    /// `{{ expression }}`
    Print(Vec<Expr>),
    For(Arc<For>),
    If(Vec<(Expr, Body)>, Body),
    Set(Target, Expr),
    /// `{% set target | filters %}body{% endset %}`
    SetBlock(Target, Option<Expr>, Body),
    With(Vec<(Target, Expr)>, Body),
    Macro(Arc<Macro>),
    /// `{% call(args) callee %}body{% endcall %}`
    Call(Expr, Arc<Macro>),
    /// `{% filter ... %}body{% endfilter %}`
    Filter(Expr, Body),
    Block(Arc<Block>),
    /// `{% generation %}`: the assistant's words, marked for training.
    Generation(Body),
    Autoescape(Expr, Body),
    Break,
    Continue,
    /// `include`, `import`, `from`, `extends`: there are no other templates.
    Load(&'static str),
}

pub(super) struct For {
    pub target: Target,
    pub items: Expr,
    pub test: Option<Expr>,
    pub recursive: bool,
    pub body: Body,
    pub otherwise: Body,
}

#[derive(Default)]
pub(super) struct Macro {
    pub name: String,
    pub parameters: Vec<Name>,
    /// Of the last parameters.
    pub defaults: Vec<Expr>,
    pub body: Body,
    /// Whether the body reads these names.
    pub varargs: bool,
    pub kwargs: bool,
    pub caller: bool,
}

pub(super) struct Block {
    pub name: String,
    pub body: Body,
}

pub(super) enum Target {
    Name(Name),
    /// `ns.attribute`
    Attribute(Name, Name),
    Tuple(Vec<Target>),
}

pub(super) enum Expr {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// A place in [`Template::texts`].
    Text(usize),
    Name(Name),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, Name),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Box<Args>),
    /// Without a value: the body of a block.
    Filter(Option<Box<Expr>>, Name, Box<Args>),
    Test(Box<Expr>, Name, Box<Args>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// From the left, all of one precedence.
    Chain(Box<Expr>, Vec<(Operator, Expr)>),
    /// `a < b < c`
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `a ~ b`
    Concat(Vec<Expr>),
    /// test, then, else
    If(Box<[Expr; 2]>, Option<Box<Expr>>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

#[derive(Default)]
pub(super) struct Args {
    pub positional: Vec<Expr>,
    pub named: Vec<(Name, Expr)>,
    /// `*list` and `**dict`
    pub list: Option<Expr>,
    pub dict: Option<Expr>,
}

/// A template that parsed.
pub(crate) struct Template {
    pub(super) body: Body,
    /// Its string literals.
    pub(super) texts: Vec<String>,
    pub(super) blocks: Vec<Arc<Block>>,
}
