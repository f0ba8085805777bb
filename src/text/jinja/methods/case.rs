//! Upper and lower case, as Python's str sees them.

/// `str.capitalize`
pub(in super::super) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| title_case(first) + &chars.as_str().to_lowercase())
}

/// The title case of a letter: of the digraphs that have one of their own, and of ligatures.
fn title_case(c: char) -> String {
    match c {
        '\u{1c4}'..='\u{1c6}' => "\u{1c5}".into(),
        '\u{1c7}'..='\u{1c9}' => "\u{1c8}".into(),
        '\u{1ca}'..='\u{1cc}' => "\u{1cb}".into(),
        '\u{1f1}'..='\u{1f3}' => "\u{1f2}".into(),
        c => {
            let upper: Vec<char> = c.to_uppercase().collect();
            let rest: String = upper[1..].iter().flat_map(|c| c.to_lowercase()).collect();
            upper[0].to_string() + &rest
        }
    }
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

/// `str.title`: letters after what is no letter are large.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_case(c));
        }
        inside = is_cased(c);
    }
    out
}

/// The filter `title`: words begin after white space, hyphens and opening brackets only.
pub(in super::super) fn title_words(text: &str) -> String {
    let breaks = |c: char| super::super::lexer::is_space(c) || "-({[<".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let here = breaks(first);
        let end = rest.find(|c| breaks(c) != here).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let (first, others) = word.split_at(first.len_utf8());
        out.push_str(&first.to_uppercase());
        out.push_str(&others.to_lowercase());
        rest = after;
    }
    out
}

/// `islower` and `isupper`: at least one letter, and none of the other case.
pub(in super::super) fn is_case(text: &str, upper: bool) -> bool {
    let wrong = |c: char| if upper { c.is_lowercase() } else { c.is_uppercase() };
    !text.chars().any(wrong) && text.chars().any(|c| if upper { c.is_uppercase() } else { c.is_lowercase() })
}

/// `istitle`
pub(super) fn is_title(text: &str) -> bool {
    let (mut inside, mut found) = (false, false);
    for c in text.chars() {
        if (c.is_uppercase() && inside) || (c.is_lowercase() && !inside) {
            return false;
        }
        inside = is_cased(c);
        found |= inside;
    }
    found
}

/// `str.swapcase`
pub(super) fn swap_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}
