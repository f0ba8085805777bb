//! Python's `format % values` (library reference, "printf-style String Formatting"), for `%` and the filter `format`.
//! Not `%g`, `*` and length modifiers.

use super::budget::{spend, too_large};
use super::python;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use std::iter::Peekable;
use std::str::Chars;

/// Widest field and most digits.
const MOST_WIDTH: usize = 1000;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn read(chars: &mut Peekable<Chars>) -> Result<Spec, Error> {
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                _ => spec.alternate = true,
            }
        }
        spec.width = number(chars)?.unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(chars)?.unwrap_or(0));
        }
        Ok(spec)
    }

    fn text(&self, text: String) -> String {
        let text: String = match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        };
        let missing = " ".repeat(self.width.saturating_sub(text.chars().count()));
        if self.left { text + &missing } else { missing + &text }
    }

    /// `digits` without their sign; `prefix` as in 0x.
    fn number(&self, negative: bool, prefix: &str, digits: String) -> String {
        let sign = match negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        };
        let missing = self.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        if self.left {
            format!("{sign}{prefix}{digits}{}", " ".repeat(missing))
        } else if self.zero {
            format!("{sign}{prefix}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{sign}{prefix}{digits}", " ".repeat(missing))
        }
    }

    fn integer(&self, value: i128, kind: char) -> String {
        let n = value.unsigned_abs();
        let (digits, prefix) = match kind {
            'x' => (format!("{n:x}"), "0x"),
            'X' => (format!("{n:X}"), "0X"),
            'o' => (format!("{n:o}"), "0o"),
            _ => (n.to_string(), ""),
        };
        let zeros = "0".repeat(self.precision.unwrap_or(0).saturating_sub(digits.len()));
        self.number(value < 0, if self.alternate { prefix } else { "" }, zeros + &digits)
    }

    fn float(&self, value: f64, kind: char) -> String {
        let (precision, size) = (self.precision.unwrap_or(6), value.abs());
        let digits = match kind {
            _ if !size.is_finite() => python::float(size),
            'e' | 'E' => {
                let text = format!("{size:.precision$e}");
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            _ => format!("{size:.precision$}"),
        };
        self.number(value.is_sign_negative(), "", if kind == 'E' { digits.to_uppercase() } else { digits })
    }
}

fn number(chars: &mut Peekable<Chars>) -> Result<Option<usize>, Error> {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    digits.parse().ok().filter(|n| *n <= MOST_WIDTH).map(Some).ok_or_else(too_large)
}

/// An integer, of a bool or a float as well.
fn integer(value: &Value, kind: char) -> Result<i128, Error> {
    let found = match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        ValueKind::Number if "diu".contains(kind) => {
            f64::try_from(value.clone()).ok().filter(|x| x.is_finite()).map(|x| x.trunc() as i128)
        }
        _ => None,
    };
    found.ok_or_else(|| invalid(format!("%{kind} needs an integer, not a {}", value.kind())))
}

fn character(value: &Value) -> Option<char> {
    let mut chars = value.as_str()?.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// `format % args`: each conversion takes the next argument, or that of its name from the one mapping.
pub(super) fn format(state: &State, format: &str, args: &[Value]) -> Result<String, Error> {
    let mapping = args.first().filter(|v| args.len() == 1 && v.kind() == ValueKind::Map);
    let mut rest = args.iter();
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut named = None;
        if chars.next_if_eq(&'(').is_some() {
            let mut name = String::new();
            while let Some(c) = chars.next_if(|c| *c != ')') {
                name.push(c);
            }
            chars.next().ok_or_else(|| invalid("a name in a format is not closed"))?;
            let map = mapping.ok_or_else(|| invalid("a format with names needs a mapping"))?;
            named = Some(map.get_item(&Value::from(name))?);
        }
        let spec = Spec::read(&mut chars)?;
        let kind = chars.next().ok_or_else(|| invalid("the format is incomplete"))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value =
            named.or_else(|| rest.next().cloned()).ok_or_else(|| invalid("not enough values for the format"))?;
        let text = match kind {
            's' => spec.text(python::str(state, &value)?),
            'r' | 'a' => spec.text(python::repr_of(state, &value)?),
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => spec.integer(integer(&value, kind)?, kind),
            'f' | 'F' | 'e' | 'E' => {
                let numeric = matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
                let number = f64::try_from(value.clone()).ok().filter(|_| numeric && value.kind() == ValueKind::Number);
                let number = number.or_else(|| numeric.then(|| f64::from(u8::from(value.is_true()))));
                spec.float(number.ok_or_else(|| invalid(format!("%{kind} needs a number")))?, kind)
            }
            'c' => {
                let code = || integer(&value, kind).ok().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32);
                let c = character(&value).or_else(code);
                spec.text(c.ok_or_else(|| invalid("%c needs one character"))?.to_string())
            }
            kind => return Err(invalid(format!("a format has no conversion %{kind}"))),
        };
        spend(state, text.len() + 1)?;
        out.push_str(&text);
    }
    if mapping.is_none() && rest.next().is_some() {
        return Err(invalid("not all values are used by the format"));
    }
    Ok(out)
}
