//! Byte pieces (`<0xAB>`) that form no character. `tokenizers` turns a whole run of them into U+FFFD when one byte of
//! it is broken; here, as in SentencePiece, only the broken ones are.

use tokenizers::DecoderWrapper;

/// Whether this decoder takes byte pieces for bytes: elsewhere they are text.
pub(super) fn has_fallback(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteFallback(_) => true,
        DecoderWrapper::Sequence(list) => list.get_decoders().iter().any(has_fallback),
        _ => false,
    }
}

/// Puts U+FFFD in the place of each byte piece that is no part of a character.
pub(super) fn replace_broken(tokens: &mut [String]) {
    let mut at = 0;
    while at < tokens.len() {
        let run: Vec<u8> = tokens[at..].iter().map_while(|token| byte(token)).collect();
        let mut pos = 0;
        for chunk in run.utf8_chunks() {
            pos += chunk.valid().len();
            for _ in chunk.invalid() {
                tokens[at + pos] = '\u{FFFD}'.to_string();
                pos += 1;
            }
        }
        at += run.len().max(1);
    }
}

/// The byte of a piece, by the rule of the decoder.
fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
