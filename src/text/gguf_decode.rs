//! Text of the ids of a GGUF vocabulary, token by token as in llama.cpp: what is special or user-defined is written as
//! it stands, the others as their spelling says.

use super::spm::byte_of;

/// What a token is for (`tokenizer.ggml.token_type`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    Normal,
    /// Control, or unknown: no part of the text that a reader sees.
    Special,
    /// Stands for itself wherever a text has it.
    UserDefined,
    Byte,
    /// Never shown.
    Unused,
}

/// How normal tokens are spelled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spelled {
    /// A character for each byte, as in GPT-2.
    Bytes,
    /// U+2581 for spaces.
    Spaces,
    /// U+2581 before each word; spaces are tidied.
    Words,
}

/// See the module.
pub(super) struct Decoder {
    /// By id.
    pub roles: Vec<Role>,
    pub spelled: Spelled,
    /// Whether the space that a text was given at its beginning is taken away.
    pub strip: bool,
}

impl Decoder {
    /// `token` gives the spelling of an id.
    pub fn decode(&self, ids: &[u32], skip_special: bool, token: impl Fn(u32) -> Option<String>) -> String {
        let mut bytes: Vec<u8> = Vec::new();
        for &id in ids {
            let Some((role, token)) = self.roles.get(id as usize).zip(token(id)) else { continue };
            match role {
                Role::Unused => {}
                Role::Special if skip_special => {}
                Role::Special | Role::UserDefined => bytes.extend(token.bytes()),
                Role::Byte if byte_of(&token).is_some() => bytes.extend(byte_of(&token)),
                Role::Normal | Role::Byte => self.spell(&token, &mut bytes),
            }
        }
        match self.spelled {
            Spelled::Bytes => String::from_utf8_lossy(&bytes).into_owned(),
            // Each broken byte for itself, as in SentencePiece.
            Spelled::Spaces => {
                let mut text = String::with_capacity(bytes.len());
                for chunk in bytes.utf8_chunks() {
                    text += chunk.valid();
                    text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
                }
                if self.strip && text.starts_with(' ') {
                    text.remove(0);
                }
                text
            }
            Spelled::Words => tidy(&String::from_utf8_lossy(&bytes)),
        }
    }

    fn spell(&self, token: &str, bytes: &mut Vec<u8>) {
        match self.spelled {
            Spelled::Bytes => {
                let start = bytes.len();
                for c in token.chars() {
                    let Some(byte) = byte_of_char(c) else {
                        // Not spelled so: taken as it is.
                        bytes.truncate(start);
                        bytes.extend(token.bytes());
                        return;
                    };
                    bytes.push(byte);
                }
            }
            Spelled::Spaces | Spelled::Words => bytes.extend(token.replace('\u{2581}', " ").bytes()),
        }
    }
}

/// The byte that a character of GPT-2's alphabet stands for: those that print stand for themselves, the others have
/// U+0100 and following in their order.
fn byte_of_char(c: char) -> Option<u8> {
    let code = c as u32;
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// Takes away the spaces that words were given and a text would not have: before `?!.,`, around a lone apostrophe,
/// before `'s`, `'m`, `'re` and `'ve`.
fn tidy(text: &str) -> String {
    // `spaced` says how many characters go with the space before the next one.
    let pass = |text: &str, spaced: fn(&str) -> Option<usize>| {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match (c == ' ').then(|| spaced(rest)).flatten() {
                Some(gone) => {
                    let next = rest.chars().next();
                    out.extend(next);
                    rest = &rest[next.map_or(0, char::len_utf8) + gone..];
                }
                None => out.push(c),
            }
        }
        out
    };
    let text = pass(text, |rest| rest.starts_with(['?', '!', '.', ',']).then_some(0));
    let text = pass(&text, |rest| rest.starts_with("' ").then_some(1));
    pass(&text, |rest| ["'s", "'m", "'re", "'ve"].iter().any(|end| rest.starts_with(end)).then_some(0))
}
