//! Filters that make numbers, or print them.

use super::super::args::{Given, int, text, truth};
use super::super::ast::Operator;
use super::super::lexer::is_space;
use super::super::limits::{Res, failed, stopped};
use super::super::run::Run;
use super::super::value::Value;
use super::super::{ops, printf};

pub(super) fn call(run: &mut Run, name: &str, value: &Value, given: Given) -> Res<Value> {
    run.meter.work(value.as_str().map_or(0, str::len))?;
    if let Value::Undefined(what) = value {
        return failed(what.to_string());
    }
    match name {
        "abs" => {
            given.none(name)?;
            match value {
                Value::Float(x) => Ok(Value::Float(x.abs())),
                value => match value.as_int() {
                    Some(n) => Ok(Value::Int(n.saturating_abs())),
                    None => failed(format!("bad operand type for abs(): '{}'", value.kind())),
                },
            }
        }
        "int" => {
            let [default, base] = given.bind(name, ["default", "base"], 0)?;
            let base = int(&base, 10)?;
            let whole = match value {
                Value::Str(text) => parse_int(&text.text, base),
                value => value.as_int(),
            };
            let truncated = || to_float(value).filter(|x| x.abs() < 1e38).map(|x| x.trunc() as i128);
            Ok(whole.or_else(truncated).map_or_else(|| default.unwrap_or(Value::Int(0)), Value::Int))
        }
        "float" => {
            let [default] = given.bind(name, ["default"], 0)?;
            Ok(to_float(value).map_or_else(|| default.unwrap_or(Value::Float(0.0)), Value::Float))
        }
        "round" => round(run, value, given),
        _ => {
            let [binary] = given.bind(name, ["binary"], 0)?;
            let Some(bytes) = to_float(value) else { return failed("filesizeformat needs a number") };
            Ok(Value::str(file_size(bytes, truth(&binary, false))))
        }
    }
}

/// `float(value)`; None where Python raises.
fn to_float(value: &Value) -> Option<f64> {
    let Value::Str(text) = value else { return value.as_float() };
    let text = text.text.trim_matches(is_space);
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    for (at, _) in text.match_indices('_') {
        if !digit(text[..at].chars().next_back()) || !digit(text[at + 1..].chars().next()) {
            return None;
        }
    }
    let text = text.replace('_', "");
    let number = text.trim_start_matches(['+', '-']);
    // Rust reads the same words as Python, and signs once only.
    if text.len() > number.len() + 1 { None } else { text.parse().ok() }
}

/// `int(text, base)`; None where Python raises.
fn parse_int(text: &str, base: i128) -> Option<i128> {
    let text = text.trim_matches(is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, radix)| {
        (base == 0 || base == *radix) && digits.get(..2).is_some_and(|p| p.eq_ignore_ascii_case(prefix))
    });
    let (digits, radix) = match prefixed {
        Some((_, radix)) => (digits[2..].strip_prefix('_').unwrap_or(&digits[2..]), radix as u32),
        // `0` and `00`, but not `07`.
        None if base == 0 && digits.starts_with('0') && digits.bytes().any(|b| !matches!(b, b'0' | b'_')) => {
            return None;
        }
        None if base == 0 => (digits, 10),
        None => (digits, u32::try_from(base).ok().filter(|radix| (2..=36).contains(radix))?),
    };
    let bad = digits.starts_with(['_', '+', '-']) || digits.ends_with('_') || digits.contains("__");
    let n = i128::from_str_radix(&digits.replace('_', ""), radix).ok().filter(|_| !bad)?;
    Some(if negative { -n } else { n })
}

/// `round(value, precision)`, half to even, or towards one side.
fn round(run: &mut Run, value: &Value, given: Given) -> Res<Value> {
    let [precision, method] = given.bind("round", ["precision", "method"], 0)?;
    let precision = int(&precision, 0)?;
    if precision.abs() > 300 {
        return stopped("it rounds to too many digits");
    }
    let method = text("round", &method)?.unwrap_or("common");
    let scale = |digits: i128| Value::Float(10f64.powi(digits as i32));
    match (method, value) {
        ("common", Value::Float(x)) if !x.is_finite() => Ok(value.clone()),
        ("common", Value::Float(x)) if precision >= 0 => {
            Ok(Value::Float(format!("{x:.*}", precision as usize).parse().unwrap_or(*x)))
        }
        ("common", Value::Float(x)) => {
            let unit = 10f64.powi(-precision as i32);
            Ok(Value::Float((x / unit).round_ties_even() * unit))
        }
        ("common", value) => match value.as_int() {
            Some(n) if precision >= 0 => Ok(Value::Int(n)),
            Some(n) => {
                let Some(unit) = 10i128.checked_pow(-precision as u32) else { return Ok(Value::Int(0)) };
                let (down, rest) = (n.div_euclid(unit), n.rem_euclid(unit));
                let up = rest > unit - rest || (rest == unit - rest && down % 2 != 0);
                Ok(Value::Int((down + i128::from(up)).saturating_mul(unit)))
            }
            None => failed(format!("type {} doesn't define __round__ method", value.kind())),
        },
        ("ceil" | "floor", value) => {
            let factor = if precision >= 0 {
                Value::Int(10i128.checked_pow(precision.min(38) as u32).unwrap_or(1))
            } else {
                scale(precision)
            };
            let scaled = ops::arithmetic(&run.meter, value, Operator::Mul, &factor)?;
            let Some(scaled) = scaled.as_float() else { return failed("round needs a number") };
            let whole = if method == "ceil" { scaled.ceil() } else { scaled.floor() };
            ops::arithmetic(&run.meter, &Value::Float(whole), Operator::Div, &factor)
        }
        _ => failed("method must be common, ceil or floor"),
    }
}

fn file_size(bytes: f64, binary: bool) -> String {
    let base = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return "1 Byte".into();
    }
    if bytes < base {
        return format!("{} Bytes", bytes as i128);
    }
    let mut unit = base;
    let mut prefix = 'k';
    for next in ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'] {
        (unit, prefix) = (unit * base, next);
        if bytes < unit {
            break;
        }
    }
    let prefix = if binary { format!("{}iB", prefix.to_ascii_uppercase()) } else { format!("{prefix}B") };
    format!("{} {prefix}", printf::digits(base * bytes / unit, 'f', 1, false))
}
