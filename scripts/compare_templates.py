"""Compares our renders of chat templates with those of transformers' Jinja environment.

    pip install transformers jinja2
    cargo build --example render_templates
    python scripts/compare_templates.py QUESTIONS.jsonl target/debug/examples/render_templates

QUESTIONS, by template_questions.py or random_templates.py, holds JSON lines {id, template, messages, tools, extra, bos,
eos, add_generation_prompt}. Prints, over all
questions, how many renders are equal, refused by both, refused by us only, rendered by us only, or different, then
each of the latter three. Errors are compared as refusals, never by their texts.
"""
import collections
import json
import subprocess
import sys
from datetime import datetime

from transformers.utils.chat_template_utils import _compile_jinja_template


def reference(question):
    try:
        names = {"documents": None, "strftime_now": datetime(2024, 7, 26).strftime} | dict(question.get("extra") or {})
        names |= {k + "_token": question[k] for k in ("bos", "eos") if question.get(k) is not None}
        template = _compile_jinja_template(question["template"])
        prompt = question.get("add_generation_prompt", True)
        tools = question.get("tools")
        return template.render(messages=question["messages"], tools=tools, add_generation_prompt=prompt, **names)
    except Exception as error:  # Whatever the template raises is a refusal.
        return error


def main():
    lines = [line for line in open(sys.argv[1], encoding="utf-8") if line.strip()]
    run = subprocess.run([sys.argv[2]], input="".join(lines), capture_output=True, text=True, check=True)
    counts, rest = collections.Counter(), []
    answers = run.stdout.split("\n")[:-1]
    assert len(answers) == len(lines)
    for line, answer in zip(lines, answers):
        question, ours = json.loads(line), json.loads(answer)
        theirs = reference(question)
        refused = isinstance(theirs, Exception)
        if "ok" in ours:
            kind = "only they refuse" if refused else "equal" if ours["ok"] == theirs else "differ"
        else:
            kind = "both refuse" if refused else "only we refuse"
        counts[kind] += 1
        if kind not in ("equal", "both refuse"):
            rest.append((kind, question.get("id"), ours, repr(theirs)))
    for kind, name, ours, theirs in rest:
        print(f"{kind}: {name}\n  ours   {str(ours)[:300]}\n  theirs {theirs[:300]}")
    print(", ".join(f"{kind} {counts[kind]}" for kind in ("equal", "both refuse", "only we refuse", "only they refuse", "differ")))


main()
