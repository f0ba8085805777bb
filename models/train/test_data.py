"""The training data keeps its promises: `python3 -m unittest discover models/train` (standard library only)."""

import hashlib
import json
import re
import unittest

import questions
from generator import Generator, documents
from topics import has_fact, load_topics, plain, read


def drawn(split: str, seed: int, count: int) -> list:
    generator = Generator(split, seed)
    return [generator.dialogue(max_turns=7) for _ in range(count)]


def digest(dialogues: list) -> str:
    return hashlib.sha256(json.dumps([d.messages() for d in dialogues]).encode()).hexdigest()


class Data(unittest.TestCase):
    def test_topics_are_whole(self):
        topics = load_topics()  # raises when an answer lacks its fact, or when a held-out question is in training
        self.assertGreater(len(topics), 300)
        for topic in topics:
            self.assertTrue(topic.ask and len(topic.held) == 2 and len(topic.answer) == 3, topic.id)
            for text in (*topic.names, *topic.ask, *topic.held, *topic.answer, *topic.more):
                self.assertTrue(text.isascii() and text.isprintable() and text == text.strip(), (topic.id, text))

    def test_forms_of_the_splits_differ(self):
        tables = {**read("grammar"), "outside": read("outside")["ask"]}
        for name, forms in tables.items():
            if "held" in forms:
                self.assertFalse(set(map(plain, forms["train"])) & set(map(plain, forms["held"])), name)

    def test_training_never_asks_a_held_out_question(self):
        held = {plain(question) for topic in load_topics() for question in topic.held}
        asked = {plain(turn.question) for dialogue in drawn("train", 0, 20_000) for turn in dialogue.turns}
        self.assertGreater(len(asked), 10_000)
        self.assertFalse(asked & held)
        self.assertFalse(asked & {plain(entry["question"]) for entry in questions.draw(0)})

    def test_no_dialogue_twice(self):
        seen = [json.dumps(dialogue.messages()) for dialogue in drawn("train", 0, 20_000)]
        self.assertEqual(len(set(seen)), len(seen))

    def test_a_seed_gives_the_same_dialogues(self):
        first = digest(drawn("train", 3, 500))
        self.assertEqual(digest(drawn("train", 3, 500)), first)
        self.assertNotEqual(digest(drawn("train", 4, 500)), first)
        self.assertNotEqual(digest(drawn("held", 3, 500)), first)

    def test_answers_hold_their_facts_and_forms_are_filled(self):
        for split in ("train", "held"):
            for dialogue in drawn(split, 1, 3000):
                for turn in dialogue.turns:
                    self.assertTrue(has_fact(turn.answer, turn.fact), turn)
                    self.assertIsNone(re.search(r"\{[a-z_]+\}", turn.question), turn)
                    self.assertTrue(turn.question and turn.answer, turn)

    def test_a_fact_is_not_found_in_other_words(self):
        topics = load_topics()
        # Topics next to each other may share words ("a lost device", "the error device-lost"); most answers must not.
        for topic in topics:
            others = sum(has_fact(answer, topic.fact) for other in topics if other is not topic for answer in other.answer)
            self.assertLess(others, 0.03 * 3 * len(topics), topic.id)

    def test_the_questions_file_is_what_questions_py_draws(self):
        listed = json.loads(questions.FILE.read_text(encoding="utf-8"))
        self.assertEqual(listed, questions.draw(0))
        self.assertEqual(len(listed), 200)

    def test_documents(self):
        self.assertGreater(len(documents()), 15)


if __name__ == "__main__":
    unittest.main()
