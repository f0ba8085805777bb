//! `str.format` and `str.format_map` (library reference, "Format String Syntax").

use super::args::Given;
use super::limits::{MOST_WIDTH, Res, failed, stopped};
use super::print;
use super::printf::digits;
use super::run::Run;
use super::value::Value;

/// Which argument comes next where fields have no number.
enum Numbering {
    Unknown,
    Automatic(usize),
    Manual,
}

pub(super) fn format(run: &mut Run, format: &str, given: &Given) -> Res<String> {
    let mut numbering = Numbering::Unknown;
    expand(run, format, given, &mut numbering, 3)
}

fn expand(run: &mut Run, format: &str, given: &Given, numbering: &mut Numbering, depth: u32) -> Res<String> {
    if depth == 0 {
        return failed("Max string recursion exceeded");
    }
    run.meter.work(format.len())?;
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        run.meter.push(&mut out, &rest[..at])?;
        let brace = &rest[at..at + 1];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return failed("Single '}' encountered in format string");
        }
        let mut open = 1;
        let end = rest.char_indices().find(|(_, c)| {
            open += i32::from(*c == '{') - i32::from(*c == '}');
            open == 0
        });
        let Some((end, _)) = end else { return failed("expected '}' before end of string") };
        let text = field(run, &rest[..end], given, numbering, depth)?;
        run.meter.push(&mut out, &text)?;
        rest = &rest[end + 1..];
    }
    run.meter.push(&mut out, rest)?;
    Ok(out)
}

fn field(run: &mut Run, field: &str, given: &Given, numbering: &mut Numbering, depth: u32) -> Res<String> {
    let mut bracket = false;
    let split = field.char_indices().find(|(_, c)| {
        bracket = (bracket || *c == '[') && *c != ']';
        !bracket && matches!(c, '!' | ':')
    });
    let (name, rest) = split.map_or((field, ""), |(at, _)| field.split_at(at));
    let (conversion, spec) = match rest.strip_prefix('!') {
        None => (None, rest.strip_prefix(':').unwrap_or("")),
        Some(rest) => {
            let conversion = rest.chars().next();
            let after = &rest[conversion.map_or(0, char::len_utf8)..];
            match after.strip_prefix(':') {
                Some(spec) => (conversion, spec),
                None if after.is_empty() && conversion.is_some() => (conversion, ""),
                None => return failed("expected ':' after conversion specifier"),
            }
        }
    };
    let mut value = lookup(run, name, given, numbering)?;
    let spec = expand(run, spec, given, numbering, depth - 1)?;
    match conversion {
        None => {}
        Some('s') => value = Value::str(print::str(&run.meter, &value)?),
        Some('r' | 'a') => {
            let mut text = String::new();
            print::repr(&run.meter, &value, &mut text, 0)?;
            value = Value::str(text);
        }
        Some(c) => return failed(format!("Unknown conversion specifier '{c}'")),
    }
    format_value(run, &value, &spec)
}

/// `0`, `name`, `0.attribute[item]` and nothing.
fn lookup(run: &mut Run, field: &str, given: &Given, numbering: &mut Numbering) -> Res<Value> {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    let (first, mut rest) = field.split_at(end);
    let place = match (first.is_empty(), &*numbering) {
        (true, Numbering::Manual) => return failed("cannot switch from manual field specification to automatic"),
        (true, Numbering::Unknown) => Some(0),
        (true, Numbering::Automatic(n)) => Some(*n),
        (false, automatic) if first.bytes().all(|b| b.is_ascii_digit()) => {
            if matches!(automatic, Numbering::Automatic(_)) {
                return failed("cannot switch from automatic field numbering to manual");
            }
            *numbering = Numbering::Manual;
            Some(first.parse().unwrap_or(usize::MAX))
        }
        _ => None,
    };
    if first.is_empty() {
        *numbering = Numbering::Automatic(place.unwrap_or(0) + 1);
    }
    let found = match place {
        Some(n) => given.positional.get(n).cloned(),
        None => given.named.iter().find(|(name, _)| **name == *first).map(|(_, value)| value.clone()),
    };
    let Some(mut value) = found else { return failed(format!("a format has no value for '{first}'")) };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            value = run.attribute(&value, &after[..end])?;
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix('[')
            && let Some((index, after)) = after.split_once(']')
        {
            let index = index.parse::<u32>().map_or_else(|_| Value::str(index), |n| Value::Int(i128::from(n)));
            value = run.item(&value, &index)?;
            rest = after;
        } else {
            return failed("a field of a format has an unexpected end");
        }
    }
    Ok(value)
}

#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    comma: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn read_spec(text: &str) -> Res<Spec> {
    let chars: Vec<char> = text.chars().collect();
    let mut spec = Spec::default();
    let mut at = 0;
    let is_align = |c: Option<&char>| c.is_some_and(|c| "<>=^".contains(*c));
    if is_align(chars.get(1)) {
        (spec.fill, spec.align, at) = (Some(chars[0]), Some(chars[1]), 2);
    } else if is_align(chars.first()) {
        (spec.align, at) = (Some(chars[0]), 1);
    }
    let take = |allowed: &str, at: &mut usize| {
        let found = chars.get(*at).copied().filter(|c| allowed.contains(*c));
        *at += usize::from(found.is_some());
        found
    };
    spec.sign = take("+- ", &mut at);
    take("z", &mut at);
    spec.alternate = take("#", &mut at).is_some();
    spec.zero = take("0", &mut at).is_some();
    let number = |at: &mut usize| -> Res<Option<usize>> {
        let mut n: Option<usize> = None;
        while let Some(digit) = take("0123456789", at).and_then(|c| c.to_digit(10)) {
            n = Some(n.unwrap_or(0) * 10 + digit as usize);
            if n > Some(MOST_WIDTH) {
                return stopped("a format is too wide");
            }
        }
        Ok(n)
    };
    spec.width = number(&mut at)?.unwrap_or(0);
    spec.comma = chars.get(at).copied().filter(|c| ",_".contains(*c));
    at += usize::from(spec.comma.is_some());
    if chars.get(at) == Some(&'.') {
        at += 1;
        spec.precision = number(&mut at)?;
        if spec.precision.is_none() {
            return failed("Format specifier missing precision");
        }
    }
    spec.kind = chars.get(at).copied();
    if chars.len() > at + 1 {
        return failed("Invalid format specifier");
    }
    Ok(spec)
}

fn format_value(run: &mut Run, value: &Value, spec: &str) -> Res<String> {
    if spec.is_empty() {
        return print::str(&run.meter, value);
    }
    let parsed = read_spec(spec)?;
    match value {
        Value::Str(text) => {
            if !matches!(parsed.kind, None | Some('s')) || parsed.sign.is_some() || parsed.align == Some('=') {
                return failed(format!("Invalid format specifier '{spec}' for a str"));
            }
            run.meter.grow(text.text.len())?;
            let text: String = text.text.chars().take(parsed.precision.unwrap_or(usize::MAX)).collect();
            Ok(pad(&parsed, "", "", &text, '<'))
        }
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => number(value, &parsed),
        Value::Undefined(_) => failed("unsupported format string passed to Undefined.__format__"),
        other => failed(format!("unsupported format string passed to {}.__format__", other.kind())),
    }
}

fn number(value: &Value, spec: &Spec) -> Res<String> {
    let whole = value.as_int();
    let size = value.as_float().unwrap_or(0.0);
    let kind = spec.kind.unwrap_or(if whole.is_some() { 'd' } else { ' ' });
    let mut prefix = "";
    let text = match (whole, kind) {
        (Some(_), 'd' | 'n' | 'x' | 'X' | 'o' | 'b' | 'c') if spec.precision.is_some() => {
            return failed("Precision not allowed in integer format specifier");
        }
        (Some(n), 'd' | 'n') => n.unsigned_abs().to_string(),
        (Some(n), 'x') => {
            prefix = "0x";
            format!("{:x}", n.unsigned_abs())
        }
        (Some(n), 'X') => {
            prefix = "0X";
            format!("{:X}", n.unsigned_abs())
        }
        (Some(n), 'o') => {
            prefix = "0o";
            format!("{:o}", n.unsigned_abs())
        }
        (Some(n), 'b') => {
            prefix = "0b";
            format!("{:b}", n.unsigned_abs())
        }
        (Some(n), 'c') => match u32::try_from(n).ok().and_then(char::from_u32) {
            Some(c) => return Ok(pad(spec, "", "", &c.to_string(), '<')),
            None => return failed("%c arg not in range(0x110000)"),
        },
        (_, 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => digits(size.abs(), kind, spec.precision.unwrap_or(6), spec.alternate),
        (_, '%') => digits(size.abs() * 100.0, 'f', spec.precision.unwrap_or(6), false) + "%",
        (None, 'n') => digits(size.abs(), 'g', spec.precision.unwrap_or(6), false),
        (None, ' ') => match spec.precision {
            None => print::float(size.abs()),
            Some(precision) => {
                let text = digits(size.abs(), 'g', precision, false);
                if text.bytes().all(|b| b.is_ascii_digit()) { text + ".0" } else { text }
            }
        },
        _ => return failed(format!("Unknown format code '{kind}' for object of type '{}'", value.kind())),
    };
    let negative = whole.map_or(size.is_sign_negative() && !size.is_nan(), |n| n < 0);
    let sign = match spec.sign {
        _ if negative => "-",
        Some('+') => "+",
        Some(' ') => " ",
        _ => "",
    };
    let text = match spec.comma {
        Some(mark) => grouped(&text, mark, if prefix.is_empty() { 3 } else { 4 }),
        None => text,
    };
    Ok(pad(spec, sign, if spec.alternate { prefix } else { "" }, &text, '>'))
}

/// Marks between every three digits in front of the point.
fn grouped(text: &str, mark: char, every: usize) -> String {
    let end = text.find(|c: char| !c.is_ascii_hexdigit() || (every == 3 && !c.is_ascii_digit())).unwrap_or(text.len());
    let mut out = String::new();
    for (i, c) in text[..end].chars().enumerate() {
        if i > 0 && (end - i) % every == 0 {
            out.push(mark);
        }
        out.push(c);
    }
    out + &text[end..]
}

fn pad(spec: &Spec, sign: &str, prefix: &str, text: &str, default: char) -> String {
    let (fill, align) = match (spec.fill, spec.align, spec.zero) {
        (fill, None, true) => (fill.unwrap_or('0'), if default == '>' { '=' } else { default }),
        (fill, Some(align), true) => (fill.unwrap_or('0'), align),
        (fill, align, false) => (fill.unwrap_or(' '), align.unwrap_or(default)),
    };
    let missing = spec.width.saturating_sub(sign.len() + prefix.len() + text.chars().count());
    let fill = |n: usize| fill.to_string().repeat(n);
    match align {
        '<' => format!("{sign}{prefix}{text}{}", fill(missing)),
        '^' => format!("{}{sign}{prefix}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
        '=' => format!("{sign}{prefix}{}{text}", fill(missing)),
        _ => format!("{}{sign}{prefix}{text}", fill(missing)),
    }
}
