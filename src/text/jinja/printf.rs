//! Python's `format % values` (library reference, "printf-style String Formatting"), for `%` and the filter `format`.

use super::limits::{MOST_WIDTH, Meter, Res, failed, stopped};
use super::print;
use super::value::{Text, Value};
use std::iter::Peekable;
use std::str::Chars;

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

/// What is left of the values.
struct Values<'a> {
    rest: std::slice::Iter<'a, Value>,
    /// The one value that names refer to. As in CPython, all that has items counts, but no tuple and no text.
    mapping: Option<&'a Value>,
}

impl Values<'_> {
    fn next(&mut self) -> Res<Value> {
        match self.rest.next() {
            Some(value) => Ok(value.clone()),
            None => failed("not enough arguments for format string"),
        }
    }

    /// A width or precision: digits, or `*` for the next value.
    fn number(&mut self, chars: &mut Peekable<Chars>) -> Res<Option<i128>> {
        if chars.next_if_eq(&'*').is_some() {
            return match self.next()?.as_int() {
                Some(n) if n.unsigned_abs() <= MOST_WIDTH as u128 => Ok(Some(n)),
                Some(_) => stopped("a format is too wide"),
                None => failed("* wants int"),
            };
        }
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        match digits.parse() {
            Ok(n) if n <= MOST_WIDTH as i128 => Ok(Some(n)),
            Err(_) if digits.is_empty() => Ok(None),
            _ => stopped("a format is too wide"),
        }
    }
}

impl Spec {
    fn read(chars: &mut Peekable<Chars>, values: &mut Values) -> Res<Spec> {
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
        let width = values.number(chars)?.unwrap_or(0);
        spec.left |= width < 0;
        spec.width = width.unsigned_abs() as usize;
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(usize::try_from(values.number(chars)?.unwrap_or(0)).unwrap_or(0));
        }
        while chars.next_if(|c| "hlL".contains(*c)).is_some() {}
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
    fn number(&self, negative: bool, prefix: &str, digits: String, fill: bool) -> String {
        let sign = match negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        };
        let missing = self.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        if self.left {
            format!("{sign}{prefix}{digits}{}", " ".repeat(missing))
        } else if self.zero && fill {
            format!("{sign}{prefix}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{sign}{prefix}{digits}", " ".repeat(missing))
        }
    }

    fn integer(&self, value: i128, kind: char) -> String {
        let (digits, prefix) = match kind {
            'x' => (format!("{:x}", value.unsigned_abs()), "0x"),
            'X' => (format!("{:X}", value.unsigned_abs()), "0X"),
            'o' => (format!("{:o}", value.unsigned_abs()), "0o"),
            _ => (value.unsigned_abs().to_string(), ""),
        };
        let zeros = "0".repeat(self.precision.unwrap_or(0).saturating_sub(digits.len()));
        self.number(value < 0, if self.alternate { prefix } else { "" }, zeros + &digits, true)
    }

    fn float(&self, value: f64, kind: char) -> String {
        let digits = digits(value.abs(), kind, self.precision.unwrap_or(6), self.alternate);
        self.number(value.is_sign_negative() && !value.is_nan(), "", digits, value.is_finite())
    }
}

/// The digits of a float without sign, as C's %e, %f and %g (capitals likewise) print it.
pub(super) fn digits(size: f64, kind: char, precision: usize, keep_zeros: bool) -> String {
    let text = if !size.is_finite() {
        print::float(size)
    } else {
        match kind.to_ascii_lowercase() {
            'e' => print::exponent(&format!("{size:.precision$e}")),
            'g' => general(size, precision, keep_zeros),
            _ => format!("{size:.precision$}"),
        }
    };
    if kind.is_ascii_uppercase() { text.to_uppercase() } else { text }
}

/// `%g`: as many significant digits, with an exponent below 1e-4 and from 10^precision on.
fn general(size: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let scientific = format!("{size:.*e}", precision - 1);
    let power: i64 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let plain = power >= -4 && power < precision as i64;
    let text = match plain {
        true => format!("{size:.*}", (precision as i64 - 1 - power).max(0) as usize),
        false => print::exponent(&scientific),
    };
    if keep_zeros {
        return text;
    }
    let (number, rest) = text.find('e').map_or((text.as_str(), ""), |at| text.split_at(at));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{rest}")
}

/// An integer, of a bool or a float as well.
fn integer(value: &Value, kind: char) -> Res<i128> {
    match value {
        Value::Float(x) if "diu".contains(kind) && x.abs() < 1e38 => Ok(x.trunc() as i128),
        value => match value.as_int() {
            Some(n) => Ok(n),
            None => failed(format!("%{kind} format: an integer is required, not {}", value.kind())),
        },
    }
}

/// `format % values`: each conversion takes the next value, or that of its name from the one mapping.
pub(super) fn format(meter: &Meter, format: &Text, values: &Value) -> Res<Value> {
    let one = std::slice::from_ref(values);
    let mut values = Values {
        rest: match values {
            Value::Tuple(list) => list.items.iter(),
            _ => one.iter(),
        },
        mapping: matches!(values, Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Undefined(_))
            .then_some(values),
    };
    meter.work(format.text.len())?;
    let mut out = String::new();
    let mut chars = format.text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut named = None;
        if chars.next_if_eq(&'(').is_some() {
            let (mut name, mut depth) = (String::new(), 1);
            loop {
                let Some(c) = chars.next() else { return failed("incomplete format key") };
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    break;
                }
                name.push(c);
            }
            let Some(mapping) = values.mapping else { return failed("format requires a mapping") };
            let Some(value) = super::iterate::item(meter, mapping, &Value::str(name.as_str()))? else {
                return failed(format!("a format names '{name}', which is not there"));
            };
            named = Some(value);
        }
        let spec = Spec::read(&mut chars, &mut values)?;
        let Some(kind) = chars.next() else { return failed("incomplete format") };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match named {
            Some(value) => value,
            None => values.next()?,
        };
        let text = match kind {
            's' | 'r' | 'a' => {
                let mut text = String::new();
                match kind {
                    's' => print::write(meter, &value, &mut text)?,
                    _ => print::repr(meter, &value, &mut text, 0)?,
                }
                spec.text(text)
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => spec.integer(integer(&value, kind)?, kind),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match value.as_float() {
                Some(x) => spec.float(x, kind),
                None => return failed(format!("must be real number, not {}", value.kind())),
            },
            'c' => {
                let letter = match &value {
                    Value::Str(text) if text.count() == 1 => text.text.chars().next(),
                    value => value.as_int().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32),
                };
                let Some(c) = letter else { return failed("%c requires int or char") };
                spec.text(c.to_string())
            }
            kind => return failed(format!("unsupported format character '{kind}'")),
        };
        let safe = matches!(&value, Value::Str(text) if text.safe);
        meter.push(&mut out, &if format.safe && !safe { super::html::escape(&text) } else { text })?;
    }
    if values.mapping.is_none() && values.rest.next().is_some() {
        return failed("not all arguments converted during string formatting");
    }
    meter.room(out.len())?;
    Ok(Value::text(out.into(), format.safe))
}
