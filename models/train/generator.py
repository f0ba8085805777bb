"""Dialogues for lacewing-tiny, composed from the grammar and the topics of `data/`.

    python models/train/generator.py [--split train|held] [--seed N] [--count N]     prints some

Everything follows from (split, seed): the n-th dialogue is the same on every machine. `train` and `held` differ in the
forms of their questions; no question form, wrap or topic question of one occurs in the other.
"""

import argparse
import random
from dataclasses import dataclass, field

from topics import DATA, Topic, load_topics, read

# How often the first, the best wording of an answer is used; the others share the rest.
BEST_WORDING = 0.7
# How often an answer goes on with its first further sentence unasked.
WITH_MORE = 0.7

# How often a question has one of the first, the commonest forms of its list, and how many these are.
COMMON, N_COMMON = 0.25, 12


@dataclass
class Turn:
    """A question, its answer, and what the answer must contain to be right."""

    question: str
    answer: str
    fact: list[str]


@dataclass
class Dialogue:
    """An optional system message and the turns after it."""

    system: str | None
    turns: list[Turn] = field(default_factory=list)

    def messages(self) -> list[dict[str, str]]:
        """The form that chat templates take."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
        return messages


class Generator:
    """Draws dialogues of one split, none of them twice."""

    def __init__(self, split: str, seed: int):
        self.split = split
        self.random = random.Random(f"lacewing-tiny {split} {seed}")
        self.topics = load_topics()
        self.grammar = read("grammar")
        self.outside = read("outside")
        self.about_lacewing = [topic for topic in self.topics if not topic.is_small_talk]
        self.small_talk = [topic for topic in self.topics if topic.is_small_talk]
        self.seen: set[int] = set()
        self.asks = {topic.id: topic.ask if split == "train" else topic.held for topic in self.topics}

    def dialogue(self, max_turns: int) -> Dialogue:
        """A dialogue of 1 to `max_turns` turns that was not drawn before."""
        while True:
            result = self._draw(max_turns)
            key = hash((result.system, *((turn.question, turn.answer) for turn in result.turns)))
            if key not in self.seen:
                self.seen.add(key)
                return result

    def _draw(self, max_turns: int) -> Dialogue:
        r = self.random
        result = Dialogue(r.choice(self.grammar["system"][self.split]) if r.random() < 0.12 else None)
        n_turns = r.randint(1, max_turns)
        while len(result.turns) < n_turns:
            kind = r.random()
            if kind < 0.72:
                self._about(result, r.choice(self.about_lacewing), n_turns)
            elif kind < 0.88:
                self._about(result, r.choice(self.small_talk), n_turns)
            else:
                self._outside(result, n_turns)
        return result

    def question(self, topic: Topic) -> str:
        """One way of asking for the topic, in the words of a hurried human."""
        r = self.random
        if topic.names and r.random() < 0.5:
            forms = self.grammar[topic.kind][self.split]
            form = r.choice(forms[:N_COMMON] if r.random() < COMMON else forms)
            text = form.replace("{x}", r.choice(topic.names))
            text = text[0].upper() + text[1:] if r.random() < 0.9 else text
        else:
            text = r.choice(self.asks[topic.id])
        return self._noise(text, wrap=not topic.is_small_talk)

    def _about(self, result: Dialogue, topic: Topic, n_turns: int) -> None:
        r = self.random
        wordings = list(topic.answer)
        answer = wordings.pop(0 if r.random() < BEST_WORDING else r.randrange(len(wordings)))
        more = list(topic.more)
        if more and not topic.is_small_talk and r.random() < WITH_MORE:
            answer = f"{answer} {more.pop(0)}"
        result.turns.append(Turn(self.question(topic), answer, topic.fact))
        # Questions that only the turn before makes clear.
        while len(result.turns) < n_turns and not topic.is_small_talk and r.random() < 0.3:
            if r.random() < 0.7:
                answer = more.pop(0) if more else r.choice(self.grammar["nothing_more"]["answer"])
                self._follow(result, "more", answer)
            elif wordings:
                self._follow(result, "again", wordings.pop(0))

    def _follow(self, result: Dialogue, form: str, answer: str) -> None:
        text = self.random.choice(self.grammar[form][self.split])
        result.turns.append(Turn(self._noise(text, wrap=False), answer, []))

    def _outside(self, result: Dialogue, n_turns: int) -> None:
        r = self.random
        fact = self.outside["answers"]["fact"]
        answers = self.outside["answers"]["train"]
        answer = answers[0] if r.random() < 0.4 else r.choice(answers)
        result.turns.append(Turn(self.outside_question(), answer, fact))
        if len(result.turns) < n_turns and r.random() < 0.3:
            # Replies to a refusal are the same few in both splits: what is tested there is honesty, not wording.
            text = self._noise(r.choice(self.outside["follow"]["train"]), wrap=False)
            result.turns.append(Turn(text, r.choice(self.outside["follow"]["answers"]), fact))

    def outside_question(self) -> str:
        """A question about the rest of the world."""
        r = self.random
        text = r.choice(self.outside["ask"][self.split])
        for slot, words in self.outside["slots"].items():
            chosen = iter(r.sample(words, 2))
            while f"{{{slot}}}" in text:
                text = text.replace(f"{{{slot}}}", next(chosen), 1)
        return self._noise(text[0].upper() + text[1:], wrap=True)

    def _noise(self, text: str, wrap: bool) -> str:
        """Wraps, typing errors, missing capitals and punctuation, as people type."""
        r = self.random
        if wrap and r.random() < 0.25:
            small = text if text[:2].isupper() or text.startswith("I ") else text[0].lower() + text[1:]
            text = r.choice(self.grammar["wrap"][self.split]).replace("{q}", text).replace("{r}", small)
        if self.split == "train":
            words = text.split()
            while len(words) > 4 and r.random() < 0.15:
                words.pop(r.randrange(len(words)))
            text = " ".join(words)
            if r.random() < 0.1:
                text = self._typing_error(text)
        if r.random() < 0.2:
            text = text.lower()
        if r.random() < 0.2:
            text = text.rstrip("?.! ")
        return text

    def _typing_error(self, text: str) -> str:
        at = self.random.randrange(max(1, len(text) - 1))
        kind = self.random.randrange(3)
        if kind == 0:
            return text[:at] + text[at + 1 :]
        if kind == 1:
            return text[:at] + text[at] + text[at:]
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


def documents() -> list[str]:
    """Our own prose about Lacewing, one paragraph each."""
    text = (DATA / "docs.md").read_text(encoding="utf-8")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip() and not paragraph.startswith("#")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=["train", "held"], default="train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5)
    args = parser.parse_args()
    generator = Generator(args.split, args.seed)
    for _ in range(args.count):
        for message in generator.dialogue(max_turns=4).messages():
            print(f"{message['role']:>9}: {message['content']}")
        print()


if __name__ == "__main__":
    main()
