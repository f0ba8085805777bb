//! Which tokens of a GGUF vocabulary end a reply, as `llama_vocab_is_eog` of llama.cpp says (b11549).

use lacewing::formats::gguf::{Metadata, Value as Meta};
use lacewing::text::Tokenizer;

/// Ends among `more`, tokens and their types, apart from `</e>`, the `eos` of the file.
fn ends(more: &[(&str, i64)], keys: &[(&str, u32)]) -> Vec<String> {
    let tokens: Vec<(&str, i64)> = [("<unk>", 2), ("<s>", 3), ("</e>", 3)].iter().chain(more).copied().collect();
    let mut entries = vec![
        ("model".to_string(), Meta::String("llama".into())),
        ("tokens".into(), Meta::Strings(tokens.iter().map(|(text, _)| text.to_string()).collect())),
        ("token_type".into(), Meta::Ints(tokens.iter().map(|(_, kind)| *kind).collect())),
    ];
    let ids = [("eos", 2)];
    let ids = ids.iter().chain(keys).map(|(key, id)| (format!("{key}_token_id"), Meta::Int(i128::from(*id))));
    entries.extend(ids);
    let entries = entries.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect();
    let tokenizer = Tokenizer::from_gguf(Metadata { entries }).unwrap();
    let ids = tokenizer.eos_ids();
    assert_eq!(ids[0], 2, "the file's own comes first");
    ids[1..].iter().map(|id| tokens[*id as usize].0.to_string()).collect()
}

const ENDS: &str = "<|eot_id|> <|eom_id|> <|im_end|> <|end|> <|return|> <|call|> <|calls|> <|flush|> <end_of_turn> <turn|> \
    <|tool_response> <|endoftext|> <|end_of_text|> <EOT> _<EOT> [EOT] [EOS] <eos> <｜end▁of▁sentence｜> \
    <end_of_utterance> [e~[ <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO> \
    <reponame> <|file_sep|>";

#[test]
fn every_text_that_llama_cpp_knows_ends_a_reply() {
    for text in ENDS.split_whitespace() {
        for kind in [1, 3, 4] {
            assert_eq!(ends(&[("a", 1), (text, kind)], &[]), [text], "type {kind}");
        }
    }
    for text in ["<|fim_prefix|>", "<|user|>", "<pad>", "<|end_of_role|>", "<|eos|>", "<|im_start|>"] {
        assert!(ends(&[(text, 3)], &[]).is_empty(), "{text}");
    }
}

#[test]
fn what_else_is_there_decides_for_some() {
    // `</s>` may be a tag of HTML, and is one where tools have tokens.
    assert!(ends(&[("</s>", 1)], &[]).is_empty());
    assert_eq!(ends(&[("</s>", 3)], &[]), ["</s>"]);
    assert_eq!(ends(&[("</s>", 3), ("<|tool_response>", 3)], &[]), ["<|tool_response>"]);
    // <|end|> of a channel.
    assert_eq!(ends(&[("<|end|>", 3), ("<|return|>", 3), ("<|call|>", 3)], &[]), ["<|return|>", "<|call|>"]);
    assert_eq!(ends(&[("<|end|>", 3), ("<|flush|>", 3), ("<|calls|>", 3)], &[]), ["<|flush|>", "<|calls|>"]);
    assert_eq!(ends(&[("<|end|>", 3), ("<|return|>", 3)], &[]), ["<|end|>", "<|return|>"]);
    // A key outranks the text, and one beyond the vocabulary counts for nothing.
    assert_eq!(ends(&[("<|fim_pad|>", 3), ("x", 1)], &[("fim_pad", 4)]), ["x"]);
    assert_eq!(ends(&[("<|fim_pad|>", 3), ("x", 1)], &[("fim_pad", 99), ("eot", 4)]), ["x", "<|fim_pad|>"]);
}
