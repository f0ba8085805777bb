"""What lacewing-tiny is taught: the TOML files of `data/`, read and checked.

A topic is one fact: questions that ask for it (`ask`, and `held`, which training never sees), rewordings of the answer,
further sentences (`more`) and `fact`, the words by which an answer is recognised as right.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
# Files of `data/` that are not lists of topics.
NOT_TOPICS = {"grammar", "outside", "wordings"}


@dataclass(frozen=True)
class Topic:
    """One fact with its questions and answers. `names` fill the question forms of its `kind`; "ask" has none."""

    id: str
    kind: str
    names: list[str]
    ask: list[str]
    held: list[str]
    answer: list[str]
    more: list[str]
    fact: list[str]
    is_small_talk: bool


def read(name: str) -> dict:
    """One TOML file of `data/`."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))


def has_fact(text: str, fact: list[str]) -> bool:
    """Whether every entry of `fact` occurs in `text`, case aside; `a|b` in an entry means either."""
    text = text.lower()
    return all(any(words.lower() in text for words in entry.split("|")) for entry in fact)


def plain(question: str) -> str:
    """A question without case and punctuation, to tell whether two are the same."""
    return re.sub(r"[^a-z0-9]+", " ", question.lower()).strip()


def load_topics() -> list[Topic]:
    """All topics in the order of file names. Raises ValueError when an answer lacks its fact or a question leaks."""
    topics, wordings = [], read("wordings")
    for path in sorted(DATA.glob("*.toml")):
        if path.stem in NOT_TOPICS:
            continue
        for id, entry in read(path.stem).items():
            entry["ask"] += wordings.pop(id, {"ask": []})["ask"]
            topics.append(Topic(id=id, names=entry.pop("names", []), is_small_talk=path.stem == "smalltalk", **entry))
    if wordings:
        raise ValueError(f"wordings.toml has questions for unknown topics: {', '.join(wordings)}")
    check(topics)
    return topics


def check(topics: list[Topic]) -> None:
    """Raises ValueError with every mistake in the topics, one per line."""
    problems = []
    asked: dict[str, str] = {}
    held = {plain(question): topic.id for topic in topics for question in topic.held}
    for topic in topics:
        problems += [f"{topic.id}: no fact in {answer!r}" for answer in topic.answer if not has_fact(answer, topic.fact)]
        if (topic.kind == "ask") != (not topic.names):
            problems.append(f"{topic.id}: kind {topic.kind} with {len(topic.names)} names")
        for question in topic.ask:
            other = asked.setdefault(plain(question), topic.id)
            if other != topic.id:
                problems.append(f"{topic.id} and {other}: the same question {question!r}")
            if plain(question) in held:
                problems.append(f"{topic.id}: {question!r} is held out")
    if len({topic.id for topic in topics}) != len(topics):
        problems.append("two topics have the same id")
    if problems:
        raise ValueError("\n".join(problems))
