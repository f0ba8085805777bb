"""Writes `questions.json`: 200 held-out questions, each with the words that a right answer contains.

    python models/train/questions.py

Held out by paraphrase: forms of questions that training never sees (`held` in `data/`) around the names of topics; for
small talk, which has no names, whole sentences that training never sees; and forms around words from outside its world.
Topics and forms are drawn by seed, not chosen.
"""

import json
import random
from pathlib import Path

from generator import Generator

FILE = Path(__file__).parent / "questions.json"
N_FORMS, N_SMALL_TALK, N_OUTSIDE = 160, 20, 20


def draw(seed: int) -> list[dict]:
    """[{question, fact, topic, kind}]; no topic about Lacewing twice."""
    r = random.Random(f"questions {seed}")
    held = Generator("held", seed)
    questions = []
    for topic in r.sample(held.about_lacewing, N_FORMS):
        text = r.choice(held.grammar[topic.kind]["held"]).replace("{x}", r.choice(topic.names))
        questions.append({"question": text[0].upper() + text[1:], "fact": topic.fact, "topic": topic.id, "kind": "about Lacewing"})
    for topic in r.sample(held.small_talk, N_SMALL_TALK):
        questions.append({"question": r.choice(topic.held), "fact": topic.fact, "topic": topic.id, "kind": "small talk"})
    fact = held.outside["answers"]["fact"]
    for _ in range(N_OUTSIDE):
        questions.append({"question": held.outside_question(), "fact": fact, "topic": "outside", "kind": "outside"})
    return questions


if __name__ == "__main__":
    lines = ",\n".join("  " + json.dumps(question) for question in draw(0))
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"wrote {FILE.name}")
