"""Tokenizer and rows of token ids: what the generator says, packed for training."""

import hashlib
import itertools
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from generator import Generator, documents
from topics import DATA

BOS, END = "<|bos|>", "<|end|>"
SPECIAL = [BOS, END, "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}{{ raise_exception('lacewing-tiny knows the roles system, user and assistant') }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + (message['content'] | trim) + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# Dialogues of which the tokenizer learns its merges.
TOKENIZER_DIALOGUES = 30_000
# One in so many sequences is a paragraph of our documentation instead of a dialogue.
DOCUMENT_EVERY = 60


def render(messages: list[dict[str, str]]) -> str:
    """The text that CHAT_TEMPLATE gives for messages."""
    return BOS + "".join(f"<|{m['role']}|>{m['content'].strip()}{END}" for m in messages)


def train_tokenizer(vocab_size: int, seed: int) -> Tokenizer:
    """Byte-level BPE over the generator's text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    generator = Generator("train", seed)
    texts = (m["content"] for _ in range(TOKENIZER_DIALOGUES) for m in generator.dialogue(1).messages())
    tokenizer.train_from_iterator(itertools.chain(documents(), texts), trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, bos)])
    return tokenizer


def pack(generator: Generator, tokenizer: Tokenizer, row: int, n_rows: int, max_turns: int) -> np.ndarray:
    """`n_rows` rows of `row` + 1 ids. Each begins with a beginning; the last sequence of a row is cut where the row ends."""
    rows = np.zeros((n_rows, row + 1), dtype=np.uint16)
    pick = random.Random(f"documents {row} {generator.split}")
    prose = documents() if generator.split == "train" else []
    at, filled = 0, 0
    while True:
        texts = []
        for _ in range(2000):
            if prose and pick.randrange(DOCUMENT_EVERY) == 0:
                texts.append(f"{BOS}{pick.choice(prose)}{END}")
            else:
                texts.append(render(generator.dialogue(max_turns).messages()))
        for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            ids = encoding.ids[: row + 1 - filled]
            rows[at, filled : filled + len(ids)] = ids
            filled += len(ids)
            if filled == row + 1:
                at, filled = at + 1, 0
                if at == n_rows:
                    return rows


def fingerprint() -> str:
    """Changes when the data or the code that makes it changes, so that a stale cache is not used."""
    digest = hashlib.sha256()
    for path in sorted([*DATA.iterdir(), *Path(__file__).parent.glob("*.py")]):
        if path.stem not in ("evaluate", "train"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
