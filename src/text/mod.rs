//! Text <-> token ids: tokenizer, chat template, incremental detokenizer.
