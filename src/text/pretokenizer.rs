//! How byte-level BPE vocabularies in GGUF cut a text before merging: `tokenizer.ggml.pre` names a list of patterns.
//! Source: the regexes of the models' own tokenizer.json files, and llama.cpp's `llama-vocab.cpp` for the names.

/// What a `tokenizer.ggml.pre` stands for.
pub(super) struct Pre {
    /// Split patterns; each is applied to the pieces of the one before.
    pub patterns: &'static [&'static str],
    /// A whole piece that is in the vocabulary is one token, whatever the merges say.
    pub ignore_merges: bool,
    /// Whether BOS goes in front when the file does not say.
    pub add_bos: bool,
    /// Whether the vocabulary spells texts as they are, with U+2581 for spaces and byte pieces for what it lacks,
    /// instead of with GPT-2's letters for bytes.
    pub raw: bool,
}

macro_rules! gpt2 {
    () => {
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    };
}
macro_rules! contractions {
    () => {
        r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    };
}
/// Llama 3 and its many relatives, which differ in how they cut digits.
macro_rules! llama3 {
    ($digits:literal) => {
        concat!(
            contractions!(),
            r"|[^\r\n\p{L}\p{N}]?\p{L}+|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}
/// Words cut at the change from lower to upper case; `$suffix` is what may follow a word.
macro_rules! cased {
    ($suffix:expr, $digits:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $suffix,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $suffix,
            "|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

const GPT2: &[&str] = &[gpt2!()];
const DIGITS_THEN_GPT2: &[&str] = &[r"\p{N}", gpt2!()];
const LLAMA3: &[&str] = &[llama3!(r"\p{N}{1,3}")];
const QWEN2: &[&str] = &[llama3!(r"\p{N}")];
const MINICPM5: &[&str] = &[r"\p{N}{1,3}", llama3!(r"\p{N}+")];
const LAGUNA: &[&str] = &[LINES, llama3!(r"\p{N}")];
/// Qwen2 without the English contractions, so that a Turkish suffix stays with its apostrophe.
const UFAKZEKA: &[&str] =
    &[r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"];
const JAIS2: &[&str] = &[concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)",
    r"|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
)];
const EXAONE_MOE: &[&str] = &[concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)];
/// Words go on over spaces: only numbers are cut, in groups of three from the right.
const SUPERBPE: &[&str] = &[r"\p{N}+", r"(?=(\d{3})+(?!\d))"];
/// Ranges of Chinese characters, cut from the words around them.
const KIMI_K2: &[&str] = &[concat!(
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]+",
    r"|[^\r\n\p{L}\p{N}]?",
    r"[\p{L}&&[^\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]]+",
    contractions!(),
    r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)];
const LINES: &str = r"[^\n]+|[\n]+";
const RAW_LINES: &[&str] = &[LINES];
/// After the normalizer has put U+2581 in the place of spaces: each one begins a word.
const MMBERT: &[&str] = &[LINES, "▁?[^▁]+|▁"];
const WHITESPACE: &[&str] = &[r"\S+"];
const QWEN35: &[&str] = &[concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)];
const SEED_CODER: &[&str] =
    &[concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+")];
const BAILING: &[&str] = &[concat!(
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)];
const TEKKEN: &[&str] = &[cased!("", r"\p{N}")];
const GPT4O: &[&str] = &[cased!(concat!(contractions!(), "?"), r"\p{N}{1,3}")];
/// Numbers in groups of three from the right.
const GROUPS_OF_3: &str = r"(?<!\p{N})\p{N}{1,2}(?=(?:\p{N}{3})*(?!\p{N}))|\p{N}{3}";
const TINY_AYA: &[&str] = &[GROUPS_OF_3, cased!(concat!(contractions!(), "?"), r"\p{N}{1,3}")];
const DEEPSEEK_LLM: &[&str] = &[
    r"[\r\n]",
    r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    r"[一-龥ࠀ-一가-퟿]+",
    r"\p{N}+",
];
const DEEPSEEK_CODER: &[&str] = &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"];
const DEEPSEEK_V3: &[&str] = &[
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    concat!(
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
];
const SPARK2_5: &[&str] = &[
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    concat!(
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
        r"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
    ),
    r"\p{N}",
];
const YOUTU: &[&str] = &[
    r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
    cased!(concat!(contractions!(), "?"), r"\p{N}"),
];
const AFMOE: &[&str] = &[
    GROUPS_OF_3,
    r"[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
    DEEPSEEK_V3[2],
];
const FALCON: &[&str] = &[r"[\p{P}\$\+<=>\^~\|`]+", gpt2!(), r"[0-9][0-9][0-9]"];
const DEFAULT: &[&str] = &[r"[\p{P}\$\+<=>\^~\|]+", gpt2!(), r"\p{N}+", r"[0-9][0-9][0-9]"];
const BLOOM: &[&str] = &[r" ?[^(\s|.,!?…。，、।۔،)]+"];
const VIKING: &[&str] = &[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"];
const CHAMELEON: &[&str] = &[
    r"<sentinel:[0-9]+>",
    r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
    r"([\t\n]|    |  )",
    r"\p{N}",
    r"[\p{P}!-/:-@\[-`{-~]",
    gpt2!(),
];

/// The entry of a name; None for one that is not known.
pub(super) fn find(pre: &str) -> Option<Pre> {
    let patterns = match pre {
        "default" => DEFAULT,
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" | "dbrx" | "smaug-bpe" | "glm4" | "glm5" | "chatglm-bpe" => LLAMA3,
        "minicpm5" => MINICPM5,
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "gigachat" | "jina-v2-es" | "jina-v2-de" | "jina-v2-code"
        | "jina-v1-en" | "roberta-bpe" | "a.x-4.0" | "mellum" | "modern-bert" | "mpt" | "olmo" | "jais"
        | "trillion" | "granite-docling" | "exaone4" => GPT2,
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            DIGITS_THEN_GPT2
        }
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "stablelm2" | "hunyuan" | "megrez" | "solar-open"
        | "grok-2" => QWEN2,
        "laguna" => LAGUNA,
        "ufakzeka" => UFAKZEKA,
        "jais-2" => JAIS2,
        "qwen35" => QWEN35,
        "seed-coder" => SEED_CODER,
        "bailingmoe" | "bailingmoe2" | "llada-moe" => BAILING,
        "exaone-moe" => EXAONE_MOE,
        "superbpe" => SUPERBPE,
        "kimi-k2" => KIMI_K2,
        "tekken" => TEKKEN,
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" | "talkie" | "granite-embed-multi-97m" => GPT4O,
        "tiny_aya" | "cohere2moe" => TINY_AYA,
        "deepseek-llm" => DEEPSEEK_LLM,
        "deepseek-coder" => DEEPSEEK_CODER,
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => DEEPSEEK_V3,
        "spark2_5" => SPARK2_5,
        "youtu" => YOUTU,
        "afmoe" => AFMOE,
        "falcon" => FALCON,
        "bloom" | "gpt3-finnish" | "poro-chat" => BLOOM,
        "viking" => VIKING,
        "chameleon" => CHAMELEON,
        "gemma4" | "granite-embed-multi-311m" | "sarvam-moe" => RAW_LINES,
        "mmbert" => MMBERT,
        "whitespace" => WHITESPACE,
        _ => return None,
    };
    let no_glm = !matches!(pre, "dbrx" | "smaug-bpe" | "glm4" | "glm5" | "chatglm-bpe");
    let llama3_family = std::ptr::eq(patterns, LLAMA3) && no_glm;
    let whole = matches!(pre, "tekken" | "granite-embed-multi-97m" | "glm4" | "glm5" | "youtu" | "minicpm5");
    Some(Pre {
        patterns,
        ignore_merges: llama3_family || whole,
        add_bos: llama3_family || matches!(pre, "tekken" | "chameleon"),
        raw: [RAW_LINES, MMBERT, WHITESPACE].iter().any(|raw| std::ptr::eq(*raw, patterns)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "default llama-bpe dbrx gpt-2 smollm qwen2 qwen35 seed-coder bailingmoe tekken gpt-4o tiny_aya \
                         deepseek-llm deepseek-coder deepseek-v3 falcon bloom viking chameleon";

    #[test]
    fn every_pattern_compiles() {
        for name in NAMES.split_whitespace() {
            for pattern in find(name).expect(name).patterns {
                tokenizers::utils::SysRegex::new(pattern).unwrap_or_else(|e| panic!("{name}: {pattern}: {e}"));
            }
        }
        assert!(find("no-such-pre").is_none());
    }

    fn cut(name: &str, text: &str) -> Vec<String> {
        let mut pieces = vec![text.to_string()];
        for pattern in find(name).unwrap().patterns {
            let regex = tokenizers::utils::SysRegex::new(pattern).unwrap();
            let mut next = Vec::new();
            for piece in pieces {
                let mut end = 0;
                for (from, to) in regex.find_iter(&piece) {
                    next.extend((end < from).then(|| piece[end..from].to_string()));
                    next.extend((from < to).then(|| piece[from..to].to_string()));
                    end = to;
                }
                next.extend((end < piece.len()).then(|| piece[end..].to_string()));
            }
            pieces = next;
        }
        pieces
    }

    #[test]
    fn families_cut_where_they_differ() {
        assert_eq!(cut("llama-bpe", "I'M 12345 okay"), ["I", "'M", " ", "123", "45", " okay"]);
        assert_eq!(cut("qwen2", "a 123"), ["a", " ", "1", "2", "3"]);
        assert_eq!(cut("gpt-2", "I'm 12345"), ["I", "'m", " 12345"]);
        assert_eq!(cut("smollm", "a 12"), ["a", " ", "1", "2"]);
        assert_eq!(cut("tekken", "camelCase's"), ["camel", "Case", "'s"]);
        assert_eq!(cut("gpt-4o", "camelCase's 1234"), ["camel", "Case's", " ", "123", "4"]);
        assert_eq!(cut("falcon", "a, 1234"), ["a", ",", " ", "123", "4"]);
    }
}
