//! Texts for tokenizers, the same as tests/goldens/tokenizers/fuzz.py writes them.

const SPACES: &[&str] = &[
    " ", "\t", "\n", "\r", "\r\n", "\u{A0}", "\u{2003}", "\u{3000}", "\u{85}", "\u{B}", "\u{C}", "\u{2028}", "  ",
    " \n",
];
const CONTRACTIONS: &[&str] =
    &["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'Re", "'VE", "'M", "'lL", "'D", "’s", "'ſ", "'x", "'"];
const WORDS: &[&str] = &[
    "iPhone",
    "HTTPServer",
    "camelCase",
    "don",
    "McDonald",
    "the",
    "Hello",
    "return",
    "ǅemal",
    "Straße",
    "ΑΒΓαβγ",
    "ДаДа",
    "naïve",
    "a\u{301}bc",
    "I",
    "x",
    "ﬁn",
    "ẞß",
    "ʼn",
    "ªº",
    "IMGIMGABCZ",
    "<sentinel:12>",
    "</s>",
    "<s>",
    "Ankara'dan",
    "İzmir'deki",
    "l'mn'tx",
];
const EMOJI: &[&str] = &["😀", "👩\u{200D}👩\u{200D}👧", "🇩🇪🇫", "👍🏽", "1️⃣", "🏴\u{200D}☠️", "❤️", "🦙🦙"];
const ADDED: &[&str] =
    &["<|user|>", "<|end|>", "<|us", "|>", "[tool]", "[tool", "<|user|><|user|>", " <|end|> ", "<0x41>", "▁", "▁▁"];
const CODE: &[&str] = &[
    "    return x;\n",
    "\t\tif (a == b) {\r\n",
    "x+=1\n\n\n",
    "// --> /* */\n",
    "f(x)[0]['k']",
    "a_b-c.d/e",
    "1,234.56",
    "https://a.b/c?d=e&f",
];
const OTHER_NUMBERS: &str = "٣٤٥१२३１２３²³½Ⅷ④㊿𝟘𝟙𒐀";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const SYMBOLS: &str = "£€¥±×÷°©®™←→∀∞≤█，。、！？：；“”‘’…—〜「」（）～·¡¿「︰﹏‐‑\u{AD}।۔،";
const REPEATED: &str = "a -=.1é中\u{301}\n\tA'ア";
const RANGES: &[(u32, u32)] = &[
    (0x41, 0x5A),
    (0x61, 0x7A),
    (0xC0, 0x17F),
    (0x370, 0x3FF),
    (0x400, 0x4FF),
    (0x531, 0x587),
    (0x5D0, 0x5EA),
    (0x620, 0x64A),
    (0x904, 0x94D),
    (0x985, 0x9CD),
    (0xE01, 0xE4E),
    (0xE81, 0xEC6),
    (0x1000, 0x1049),
    (0x1780, 0x17D3),
    (0x10A0, 0x10FF),
    (0x1100, 0x11FF),
    (0x13A0, 0x13F5),
    (0x1F00, 0x1FFF),
    (0x2C00, 0x2C5F),
    (0x2E80, 0x2FD5),
    (0x3041, 0x3096),
    (0x30A1, 0x30FA),
    (0x3105, 0x312F),
    (0x3131, 0x318E),
    (0x3400, 0x3440),
    (0x4E00, 0x4F00),
    (0x9FA0, 0x9FFF),
    (0xAA60, 0xAA7F),
    (0xAC00, 0xAD00),
    (0xF900, 0xF940),
    (0xFB00, 0xFB06),
    (0xFF21, 0xFF9F),
    (0x10400, 0x1044F),
    (0x1E900, 0x1E943),
    (0x20000, 0x20040),
    (0x2A700, 0x2A740),
    (0x2F800, 0x2F840),
    (0x30000, 0x30040),
];
const MARKS: &[u32] = &[0x300, 0x301, 0x308, 0x327, 0x5B4, 0x64B, 0x93C, 0xE31, 0x200D, 0xFE0F, 0x20E3];

/// Knuth's linear congruential generator; `below` uses its upper half.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// 1 to `most` pieces.
    fn some<P>(&mut self, most: usize, mut piece: impl FnMut(&mut Random) -> P) -> String
    where
        String: FromIterator<P>,
    {
        (0..1 + self.below(most)).map(|_| piece(self)).collect()
    }

    fn of_text(&mut self, text: &str) -> char {
        text.chars().nth(self.below(text.chars().count())).unwrap()
    }
}

fn character(code: usize) -> char {
    char::from_u32(code as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn piece(r: &mut Random) -> String {
    match r.below(16) {
        0 => r.some(8, |r| character(r.of(&[65, 97]) + r.below(26))),
        1 => r.some(5, |r| r.of(SPACES)),
        2 => r.some(9, |r| character(48 + r.below(10))),
        3 => r.some(4, |r| r.of_text(OTHER_NUMBERS)),
        4 => r.some(4, |r| r.of_text(PUNCTUATION)),
        5 => r.some(3, |r| r.of_text(SYMBOLS)),
        6 => r.of(WORDS).to_string() + r.of(CONTRACTIONS),
        7 => {
            let (first, last) = r.of(RANGES);
            r.some(6, |r| character(first as usize + r.below((last - first + 1) as usize)))
        }
        8 => {
            let letter = character(97 + r.below(26));
            letter.to_string() + &r.some(3, |r| character(r.of(MARKS) as usize))
        }
        9 => r.of(EMOJI).to_string(),
        // Any plane; a surrogate is no character.
        10 => character(r.below(17) * 65536 + r.below(65536)).to_string(),
        11 => character(r.of(&[0, 128]) + r.below(32)).to_string(),
        12 => r.of(ADDED).to_string(),
        13 => r.of(CODE).to_string(),
        14 => r.of_text(REPEATED).to_string().repeat(3 + r.below(40)),
        _ => format!(" {}", r.of(WORDS)),
    }
}

pub fn texts(seed: u64, n: usize) -> Vec<String> {
    let mut r = Random(seed);
    let mut texts: Vec<String> = ["", " ", "\n", "a"].map(String::from).to_vec();
    while texts.len() < n - 4 {
        texts.push(r.some(12, piece));
    }
    texts.extend(["a".repeat(3000), " ".repeat(3000), "7".repeat(3000), "中 \n".repeat(1000)]);
    texts
}

/// FNV-1a of the ids as little-endian 32-bit words.
pub fn hash(ids: &[u32]) -> String {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    format!("{:08x}", bytes.fold(0x811C9DC5u32, |h, byte| (h ^ byte as u32).wrapping_mul(0x01000193)))
}
