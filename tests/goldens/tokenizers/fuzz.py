"""Texts for tokenizers, the same as tests/text/fuzz.rs writes them: texts(seed, n)."""

SPACES = [" ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085", "\u000b", "\u000c", "\u2028", "  ", " \n"]
OTHER_NUMBERS = "٣٤٥१२३１２３²³½Ⅷ④㊿𝟘𝟙𒐀"
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
SYMBOLS = "£€¥±×÷°©®™←→∀∞≤█，。、！？：；“”‘’…—〜「」（）～·¡¿「︰﹏‐‑\u00ad।۔،"
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'Re", "'VE", "'M", "'lL", "'D", "’s", "'ſ", "'x", "'"]
WORDS = ["iPhone", "HTTPServer", "camelCase", "don", "McDonald", "the", "Hello", "return", "ǅemal", "Straße", "ΑΒΓαβγ",
    "ДаДа", "naïve", "a\u0301bc", "I", "x", "ﬁn", "ẞß", "ʼn", "ªº", "IMGIMGABCZ", "<sentinel:12>", "</s>", "<s>",
    "Ankara'dan", "İzmir'deki", "l'mn'tx"]
RANGES = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x587), (0x5D0, 0x5EA),
    (0x620, 0x64A), (0x904, 0x94D), (0x985, 0x9CD), (0xE01, 0xE4E), (0xE81, 0xEC6), (0x1000, 0x1049), (0x1780, 0x17D3),
    (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x13A0, 0x13F5), (0x1F00, 0x1FFF), (0x2C00, 0x2C5F), (0x2E80, 0x2FD5),
    (0x3041, 0x3096), (0x30A1, 0x30FA), (0x3105, 0x312F), (0x3131, 0x318E), (0x3400, 0x3440), (0x4E00, 0x4F00),
    (0x9FA0, 0x9FFF), (0xAA60, 0xAA7F), (0xAC00, 0xAD00), (0xF900, 0xF940), (0xFB00, 0xFB06), (0xFF21, 0xFF9F),
    (0x10400, 0x1044F), (0x1E900, 0x1E943), (0x20000, 0x20040), (0x2A700, 0x2A740), (0x2F800, 0x2F840), (0x30000, 0x30040)]
MARKS = [0x300, 0x301, 0x308, 0x327, 0x5B4, 0x64B, 0x93C, 0xE31, 0x200D, 0xFE0F, 0x20E3]
EMOJI = ["😀", "👩\u200d👩\u200d👧", "🇩🇪🇫", "👍🏽", "1\ufe0f\u20e3", "🏴\u200d☠\ufe0f", "❤\ufe0f", "🦙🦙"]
ADDED = ["<|user|>", "<|end|>", "<|us", "|>", "[tool]", "[tool", "<|user|><|user|>", " <|end|> ", "<0x41>", "▁", "▁▁"]
CODE = ["    return x;\n", "\t\tif (a == b) {\r\n", "x+=1\n\n\n", "// --> /* */\n", "f(x)[0]['k']", "a_b-c.d/e", "1,234.56", "https://a.b/c?d=e&f"]
REPEATED = "a -=.1é中\u0301\n\tA'ア"


class Random:
    """Knuth's linear congruential generator; `below` uses its upper half."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def of(self, list):
        return list[self.below(len(list))]


def piece(r, added=ADDED):
    kind = r.below(16)
    if kind == 0:
        return "".join(chr(r.of([65, 97]) + r.below(26)) for _ in range(1 + r.below(8)))
    if kind == 1:
        return "".join(r.of(SPACES) for _ in range(1 + r.below(5)))
    if kind == 2:
        return "".join(chr(48 + r.below(10)) for _ in range(1 + r.below(9)))
    if kind == 3:
        return "".join(r.of(OTHER_NUMBERS) for _ in range(1 + r.below(4)))
    if kind == 4:
        return "".join(r.of(PUNCTUATION) for _ in range(1 + r.below(4)))
    if kind == 5:
        return "".join(r.of(SYMBOLS) for _ in range(1 + r.below(3)))
    if kind == 6:
        return r.of(WORDS) + r.of(CONTRACTIONS)
    if kind == 7:
        first, last = r.of(RANGES)
        return "".join(chr(first + r.below(last - first + 1)) for _ in range(1 + r.below(6)))
    if kind == 8:
        return chr(97 + r.below(26)) + "".join(chr(r.of(MARKS)) for _ in range(1 + r.below(3)))
    if kind == 9:
        return r.of(EMOJI)
    if kind == 10:
        # Any plane; a surrogate is no character.
        code = r.below(17) * 65536 + r.below(65536)
        return chr(0xFFFD if 0xD800 <= code < 0xE000 else code)
    if kind == 11:
        return chr(r.of([0, 128]) + r.below(32))
    if kind == 12:
        return r.of(added)
    if kind == 13:
        return r.of(CODE)
    if kind == 14:
        return r.of(REPEATED) * (3 + r.below(40))
    return " " + r.of(WORDS)


def texts(seed, n, added=ADDED):
    """`added`: texts that a vocabulary may have as tokens of their own."""
    r = Random(seed)
    out = ["", " ", "\n", "a"]
    while len(out) < n - 4:
        out.append("".join(piece(r, added) for _ in range(1 + r.below(12))))
    return out + ["a" * 3000, " " * 3000, "7" * 3000, "中 \n" * 1000]
