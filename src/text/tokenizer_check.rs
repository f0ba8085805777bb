//! Faults of a tokenizer.json that the `tokenizers` library reads without a word and panics on while encoding.

use serde_json::Value;

/// What is wrong with a post-processor: a template that names tokens it does not list, or a second text.
pub(super) fn post_processor(processor: &Value) -> Result<(), String> {
    for inner in processor["processors"].as_array().into_iter().flatten() {
        post_processor(inner)?;
    }
    for (key, sequences) in [("single", &["A"][..]), ("pair", &["A", "B"])] {
        for piece in processor[key].as_array().into_iter().flatten() {
            let (token, sequence) = (&piece["SpecialToken"]["id"], &piece["Sequence"]["id"]);
            if let Some(id) = token.as_str()
                && processor["special_tokens"].get(id).is_none()
            {
                return Err(format!("its post_processor adds {id:?}, which is not among its special_tokens"));
            }
            if sequence.as_str().is_some_and(|id| !sequences.contains(&id)) {
                return Err(format!(
                    "its post_processor puts {sequence} into a template of {} text(s)",
                    sequences.len()
                ));
            }
        }
    }
    Ok(())
}

/// What is wrong with a decoder: one that cuts the ends of tokens cuts more than a short one has.
pub(super) fn decoder(decoder: &Value) -> Result<(), String> {
    for inner in decoder["decoders"].as_array().into_iter().flatten() {
        self::decoder(inner)?;
    }
    match decoder["stop"].as_u64() {
        // The type does not matter: the library tells decoders by their fields, too.
        Some(1..) => Err("its decoder cuts the ends of tokens, which is not supported".into()),
        _ => Ok(()),
    }
}
