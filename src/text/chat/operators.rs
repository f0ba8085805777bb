//! Operators of Python that minijinja has for numbers only, or not at all, become filters of ours: `%` on texts, `*` on
//! texts and lists, slices with steps.

use super::guard::{Edit, Kind, Token, after_group, ends_operand, is, operand_end};

/// `'%s' % x` becomes `'%s'|_percent(x,false)`: minijinja's `%` is for numbers.
pub(super) fn percent(tokens: &[Token], i: usize, edits: &mut Vec<Edit>) {
    let operator = |i: usize, text: &str| tokens.get(i).is_some_and(|t| t.kind == Kind::Operator && t.text == text);
    let text = i > 0 && tokens[i - 1].kind == Kind::Literal && tokens[i - 1].text.starts_with(['"', '\'']);
    if !text || !operator(i, "%") || (i > 1 && ["*", "/", "//", "%", "**"].iter().any(|op| operator(i - 2, op))) {
        return;
    }
    let Some(end) = operand_end(tokens, i + 1) else { return };
    // A tuple, unless the parentheses go on as a member or a filter.
    let tuple = operator(i + 1, "(") && after_group(tokens, i + 1).is_some_and(|j| tokens[j - 1].end == end);
    let tuple = tuple && has_at_top(tokens, i + 1, ",");
    edits.push((tokens[i].start, tokens[i].end, "|_percent("));
    edits.push((end, end, if tuple { ",true)" } else { ",false)" }));
}

/// `x[a:b:c]` becomes `(x|_slice(a,b,c))`.
pub(super) fn slice(tokens: &[Token], i: usize, edits: &mut Vec<Edit>) {
    if i == 0 || tokens[i].text != "[" || tokens[i].kind != Kind::Operator || !ends_operand(&tokens[i - 1]) {
        return;
    }
    let (Some(end), Some(start)) = (after_group(tokens, i), operand_start(tokens, i - 1)) else { return };
    let mut depth = 0usize;
    let mut colons = Vec::new();
    for (j, token) in tokens.iter().enumerate().take(end - 1).skip(i + 1).filter(|(_, t)| t.kind == Kind::Operator) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            ":" if depth == 0 => colons.push(j),
            _ => {}
        }
    }
    let [first, second] = colons[..] else { return };
    let filled = |from: usize, to: usize| to > from + 1;
    edits.push((tokens[start].start, tokens[start].start, "("));
    edits.push((tokens[i].start, tokens[i].end, if filled(i, first) { "|_slice(" } else { "|_slice(none" }));
    edits.push((tokens[first].start, tokens[first].end, if filled(first, second) { "," } else { ",none" }));
    edits.push((tokens[second].start, tokens[second].end, if filled(second, end - 1) { "," } else { ",none" }));
    edits.push((tokens[end - 1].start, tokens[end - 1].end, "))"));
}

/// Where the operand that ends with token `i` begins: a primary with members, calls, subscripts and filters.
fn operand_start(tokens: &[Token], mut i: usize) -> Option<usize> {
    loop {
        let mut depth = 0usize;
        loop {
            if tokens[i].kind == Kind::Operator {
                match tokens[i].text {
                    ")" | "]" | "}" => depth += 1,
                    "(" | "[" | "{" => depth = depth.checked_sub(1)?,
                    _ => {}
                }
            }
            if depth == 0 {
                break;
            }
            i = i.checked_sub(1)?;
        }
        let group = tokens[i].kind == Kind::Operator;
        let Some(before) = i.checked_sub(1) else { return Some(i) };
        i = match &tokens[before] {
            t if t.kind == Kind::Operator && matches!(t.text, "." | "|") => before.checked_sub(1)?,
            t if group && matches!(tokens[i].text, "(" | "[") && ends_operand(t) => before,
            _ => return Some(i),
        };
    }
}

/// Whether the group that opens at `i` has this operator directly inside.
fn has_at_top(tokens: &[Token], i: usize, text: &str) -> bool {
    let Some(end) = after_group(tokens, i) else { return false };
    let mut depth = 0usize;
    tokens[i..end].iter().filter(|t| t.kind == Kind::Operator).any(|t| {
        match t.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 1 && t.text == text
    })
}

/// Operators that bind tighter than `+` and `~`.
const PRODUCTS: &[&str] = &["*", "/", "//", "%", "**"];

fn operator(t: &Token, among: &[&str]) -> bool {
    t.kind == Kind::Operator && among.contains(&t.text)
}

/// `guard` for the operands on both sides of the operator at `i`, where they are not parts of products.
pub(super) fn unless_product(tokens: &[Token], i: usize, guard: &'static str) -> (&'static str, &'static str) {
    let start = operand_start(tokens, i - 1).and_then(|start| tokens.get(start.checked_sub(1)?));
    let end = operand_end(tokens, i + 1).and_then(|end| tokens.iter().find(|t| t.start >= end));
    let pick = |neighbour: Option<&Token>| if neighbour.is_some_and(|t| operator(t, PRODUCTS)) { "" } else { guard };
    (pick(start), pick(end))
}

/// `a * b` becomes `a|_times(b)`, which charges for texts and lists; false where it stays a product of numbers: behind
/// another operator of its precedence, because a filter binds tighter, and before a power.
pub(super) fn times(tokens: &[Token], i: usize, edits: &mut Vec<Edit>) -> bool {
    if !operator(&tokens[i], &["*"]) || !ends_operand(&tokens[i - 1]) || (i >= 2 && is(tokens, i - 2, "is")) {
        return false;
    }
    let (Some(start), Some(end)) = (operand_start(tokens, i - 1), operand_end(tokens, i + 1)) else { return false };
    let behind = start > 0 && operator(&tokens[start - 1], PRODUCTS);
    let before_power = tokens.iter().find(|t| t.start >= end).is_some_and(|t| operator(t, &["**"]));
    if behind || before_power {
        return false;
    }
    edits.push((tokens[i].start, tokens[i].end, "|_times("));
    edits.push((end, end, ")"));
    true
}
