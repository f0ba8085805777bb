//! How BPE vocabularies in GGUF cut a text before merging: `tokenizer.ggml.pre` names a list of patterns. Names and
//! patterns mean what they mean to llama.cpp (`llama-vocab.cpp`, `unicode.cpp`), also where it deviates from the
//! tokenizer.json of a model: files are made and checked with it. Goldens: `tests/goldens/tokenizers`.

/// What a `tokenizer.ggml.pre` stands for.
pub(super) struct Pre {
    /// Split patterns; each is applied to the pieces of the one before. See [`Pre::patterns`].
    patterns: &'static [&'static str],
    /// A whole piece that is in the vocabulary is one token, whatever the merges say.
    pub ignore_merges: bool,
    /// Whether BOS goes in front when the file does not say.
    pub add_bos: bool,
    /// The id of BOS when the file does not say.
    pub default_bos: Option<u32>,
    /// How the vocabulary spells texts.
    pub spelling: Spelling,
}

/// How tokens spell bytes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Spelling {
    /// Each byte has a printable stand-in.
    ByteLevel,
    /// As they are, with U+2581 for a space and byte pieces.
    Raw,
    /// The same; every line begins with a space, and every space begins a word.
    RawWords,
    /// As they are, without white space.
    NoSpaces,
}

impl Pre {
    /// The patterns, for `tokenizers`. llama.cpp knows the characters of Unicode 15.1: later ones are of no category.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().map(|pattern| {
            ["L", "N", "P", "S", "M"].iter().fold(pattern.to_string(), |pattern, category| {
                pattern.replace(&format!(r"\p{{{category}}}"), &format!(r"[\p{{{category}}}&&\p{{age:15.1}}]"))
            })
        })
    }
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
/// Llama 3 and its many relatives: what a word is, how digits are cut, what follows punctuation.
macro_rules! llama3 {
    ($word:expr, $digits:expr, $after:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?",
            $word,
            "|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+",
            $after,
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
    ($digits:expr) => {
        concat!(contractions!(), "|", llama3!(r"\p{L}+", $digits, r"[\r\n]*"))
    };
}
/// Words cut where ASCII letters turn from lower to upper case; `$letters` is the set they are of, `$suffix` what may
/// follow a word.
macro_rules! cased {
    ($letters:expr, $suffix:expr, $digits:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[",
            $letters,
            r"&&[^a-z]]*[",
            $letters,
            r"&&[^A-Z]]+",
            $suffix,
            "|",
            llama3!(concat!("[", $letters, r"&&[^a-z]]+[", $letters, r"&&[^A-Z]]*", $suffix), $digits, r"[\r\n/]*")
        )
    };
}
/// Words with the marks on their letters, and an ending.
macro_rules! marked {
    ($digits:expr) => {
        llama3!(concat!(r"[\p{L}\p{M}]+", contractions!(), "?"), $digits, r"[\r\n/]*")
    };
}
/// DeepSeek 3: ASCII punctuation may begin a word; what follows punctuation and how newlines are cut.
macro_rules! deepseek3 {
    ($after:expr, $newlines:expr) => {
        concat!(
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
            r"| ?[\p{P}\p{S}]+",
            $after,
            "|",
            $newlines,
            r"|\s+(?!\S)|\s+"
        )
    };
}
macro_rules! han {
    () => {
        concat!(
            r"\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}\x{2a700}-\x{2b73f}\x{2b740}-\x{2b81f}",
            r"\x{2b820}-\x{2ceaf}\x{2ceb0}-\x{2ebef}\x{f900}-\x{faff}\x{2f800}-\x{2fa1f}"
        )
    };
}

const GPT2: &[&str] = &[gpt2!()];
const DIGITS_THEN_GPT2: &[&str] = &[r"\p{N}", gpt2!()];
const LLAMA3: &[&str] = &[llama3!(r"\p{N}{1,3}")];
const MINICPM5: &[&str] = &[r"\p{N}{1,3}", llama3!(r"\p{N}+")];
const JAIS2: &[&str] = &[concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)",
    r"|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
)];
const QWEN2: &[&str] = &[llama3!(r"\p{N}")];
const LAGUNA: &[&str] = &[r"[^\n]+|\n+", llama3!(r"\p{N}")];
const UFAKZEKA: &[&str] = &[llama3!(r"\p{L}+", r"\p{N}", r"[\r\n]*")];
const QWEN35: &[&str] = &[concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)];
const SEED_CODER: &[&str] =
    &[concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+")];
const EXAONE_MOE: &[&str] = &[concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)];
const K2_HORIZON: &[&str] =
    &[concat!(contractions!(), "|", llama3!(r"[\p{L}\p{M}\x{200c}\x{200d}]+", r"\p{N}{1,3}", r"[\r\n]*"))];
const TEKKEN: &[&str] = &[cased!(r"\p{L}", "", r"\p{N}")];
const GPT4O: &[&str] = &[cased!(r"\p{L}", concat!(contractions!(), "?"), r"\p{N}{1,3}")];
const GRANITE_EMBED: &[&str] = &[cased!(r"\p{L}\p{M}", concat!(contractions!(), "?"), r"\p{N}{1,3}")];
/// Groups of three digits, counted from the end of a number. What precedes a number stays with its first group.
const GROUPS_OF_3: &str = r"(?>\P{N}*)(?:(?<!\p{N})\p{N}{1,2}(?=(?>(?:\p{N}{3})*)(?!\p{N}))|\p{N}{3}|\z)";
const TINY_AYA: &[&str] = &[GROUPS_OF_3, marked!(r"\p{N}{1,3}")];
const SUPERBPE: &[&str] = &[r"\p{N}+", r"(?=(?>(?:[0-9]{3})+)(?![0-9]))"];
const YOUTU: &[&str] = &["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+", marked!(r"\p{N}")];
const KIMI_K2: &[&str] = &[concat!(
    "[",
    han!(),
    "]+|",
    llama3!(concat!(r"[\p{L}--[", han!(), "]]+", contractions!(), "?"), r"\p{N}{1,3}", r"[\r\n]*")
)];
const DEEPSEEK_LLM: &[&str] = &[
    r"[\r\n]",
    // The letters with case that the model's own list has.
    concat!(
        r"\s?[[\p{Lu}\p{Ll}\p{Lt}\x{295}]--[\x{560}-\x{588}\x{10c7}-\x{10ff}\x{1c80}-\x{1c8a}\x{2d00}-\x{2d2d}",
        r"\x{a790}-\x{ab6d}\x{10570}-\x{105bc}\x{10d50}-\x{10d85}\x{16e40}-\x{1df96}]]+"
    ),
    r"\s?[!-/:-~！-／：-～‘-‟\x{3001}\x{3002}]+",
    r"\s+$",
    r"[[一-龥ࠀ-一가-퟿]--\s]+",
    r"\p{N}+",
];
const DEEPSEEK_CODER: &[&str] = &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[[一-龥ࠀ-一가-퟿]--\s]+", r"\p{N}"];
const DEEPSEEK_V3: &[&str] = &[r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", deepseek3!(r"[\r\n]*", r"\s*[\r\n]+")];
const SPARK25: &[&str] = &[r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", deepseek3!("", r"[\r\n]"), r"\p{N}"];
const AFMOE: &[&str] = &[
    GROUPS_OF_3,
    "[一-鿿㐀-䶿\u{f900}-\u{faff}぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-\u{d7af}ᄀ-ᇿ]+",
    deepseek3!(r"[\r\n]*", r"\s*[\r\n]+"),
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
const LINES: &[&str] = &[r"[^\n]+|\n+"];
const WORDS: &[&str] = &[r"[^\n]+|\n+", "▁[^▁]*"];

/// The entry of a name; None for one that is not known.
pub(super) fn find(pre: &str) -> Option<Pre> {
    let patterns = match pre {
        "default" => DEFAULT,
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" | "dbrx" | "smaug-bpe" | "glm4" | "glm5" | "chatglm-bpe" => LLAMA3,
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "gigachat" | "jina-v2-es" | "jina-v2-de" | "jina-v2-code"
        | "jina-v1-en" | "roberta-bpe" | "a.x-4.0" | "mellum" | "modern-bert" | "mpt" | "olmo" | "jais"
        | "trillion" | "granite-docling" | "exaone4" => GPT2,
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            DIGITS_THEN_GPT2
        }
        // Bailing cuts newlines by another pattern, to the same effect.
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "stablelm2" | "hunyuan" | "megrez" | "solar-open"
        | "grok-2" | "bailingmoe" | "bailingmoe2" | "llada-moe" => QWEN2,
        "qwen35" => QWEN35,
        "minicpm5" => MINICPM5,
        "jais-2" => JAIS2,
        "laguna" => LAGUNA,
        "ufakzeka" => UFAKZEKA,
        "seed-coder" => SEED_CODER,
        "exaone-moe" => EXAONE_MOE,
        "k2-horizon" => K2_HORIZON,
        "tekken" => TEKKEN,
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" | "talkie" => GPT4O,
        "granite-embed-multi-97m" => GRANITE_EMBED,
        "tiny_aya" | "cohere2moe" => TINY_AYA,
        "superbpe" => SUPERBPE,
        "youtu" => YOUTU,
        "kimi-k2" => KIMI_K2,
        "deepseek-llm" => DEEPSEEK_LLM,
        "deepseek-coder" => DEEPSEEK_CODER,
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => DEEPSEEK_V3,
        "spark2_5" => SPARK25,
        "afmoe" => AFMOE,
        "falcon" => FALCON,
        "bloom" | "gpt3-finnish" | "poro-chat" => BLOOM,
        "viking" => VIKING,
        "chameleon" => CHAMELEON,
        "gemma4" | "granite-embed-multi-311m" | "sarvam-moe" => LINES,
        "mmbert" => WORDS,
        "whitespace" => &[],
        _ => return None,
    };
    let glm = matches!(pre, "glm4" | "glm5" | "chatglm-bpe");
    let llama3_family = std::ptr::eq(patterns, LLAMA3) && !glm && !matches!(pre, "dbrx" | "smaug-bpe");
    Some(Pre {
        patterns,
        ignore_merges: llama3_family
            || matches!(pre, "tekken" | "granite-embed-multi-97m" | "glm4" | "glm5" | "minicpm5" | "youtu"),
        add_bos: llama3_family || matches!(pre, "tekken" | "chameleon"),
        default_bos: (!glm).then_some(11),
        spelling: match pre {
            "gemma4" | "granite-embed-multi-311m" | "sarvam-moe" => Spelling::Raw,
            "mmbert" => Spelling::RawWords,
            "whitespace" => Spelling::NoSpaces,
            _ => Spelling::ByteLevel,
        },
    })
}
