"""Questions for compare_templates.py: every chat template found, in every kind of conversation, with and without tools.

    python scripts/template_questions.py PATH.. > questions.jsonl

PATHs are files, folders or archives (.whl, .zip, .tgz, .tar.gz) with *.jinja files, with JSON files that have a
chat_template (tokenizer_config.json), or with *.jsonl of {template}. Equal templates count once.
"""
import io
import json
import pathlib
import sys
import tarfile
import zipfile

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": 'The weather of a "place" <b>&\'', "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "Köln, 東京"}, "unit": {"type": "string", "enum": ["C", "F"]},
            "days": {"type": "integer", "minimum": 1, "default": 3}, "maybe": {"type": ["string", "null"]},
            "nested": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}}}}}},
    {"type": "function", "function": {"name": "noop", "description": "Nothing", "parameters": {"type": "object", "properties": {}}}},
]


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(arguments, name="get_weather", id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(text):
    return message("user", text)


def said(text, **more):
    return message("assistant", text, **more)


def result(text, **more):
    return message("tool", text, tool_call_id="call00001", **more)


ARGUMENTS = {"city": "Köln", "days": 2, "ok": True, "x": None, "f": 1.0, "l": [1, "b", {"k": "it's"}]}
CONVERSATIONS = {
    "one": [user("Hi")],
    "system": [message("system", "Be brief."), user("  Hi there \n")],
    "developer": [message("developer", "Be brief."), user("Hi")],
    "turns": [user("a"), said("b"), user("c")],
    "system and turns": [message("system", "s"), user("a"), said("b"), user("c"), said("d"), user("e")],
    "empty": [user("")],
    "think": [user("a"), said("<think>\nhm\n</think>\n\nb"), user("c")],
    "reasoning": [user("a"), said("b", reasoning_content="hm"), user("c")],
    "special": [user("{{ x }} {% y %} <|im_end|> \u2028 \"q\" 'p' \\ \t é 😀")],
    "ends with the assistant": [user("a"), said("b")],
    "parts": [user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])],
    "system of parts": [message("system", [{"type": "text", "text": "s"}]), user([{"type": "text", "text": "one"}])],
    "image": [user([{"type": "image"}, {"type": "text", "text": "what?"}])],
    "call": [user("w?"), said("", tool_calls=[call(ARGUMENTS)]), result('{"t": 20}', name="get_weather"), said("20"), user("ok")],
    "call without content": [user("w?"), said(None, tool_calls=[call({"city": "a"})]), result("20", name="get_weather")],
    "arguments as text": [user("w?"), said("x", tool_calls=[call('{"city": "a"}')]), result("20", name="get_weather")],
    "no arguments": [user("w?"), said("x", tool_calls=[call({}, "noop")]), result("done", name="noop"), said("y"), user("z")],
    "two calls": [user("w?"), {"role": "assistant", "tool_calls": [call({"city": "a"}), call({"city": "b"}, id="call00002")]},
                  result("20"), message("tool", "30", tool_call_id="call00002"), said("x"), user("more")],
    "reasoning and call": [message("system", "s"), user("w?"), said("", reasoning_content="let me see", tool_calls=[call({"city": "a"})]), result("20")],
    "result of parts": [user("w?"), said("", tool_calls=[call({"city": "a"})]), result([{"type": "text", "text": "20"}])],
    "unknown role": [message("function", "x")],
    "user twice": [user("a"), user("b")],
    "assistant first": [said("a"), user("b")],
    "none": [],
    "long": [user(f"{i} word") if i % 2 == 0 else said(f"{i} answer") for i in range(41)],
}
EXTRAS = [{}, {"enable_thinking": False}, {"enable_thinking": True, "reasoning_effort": "low", "date_string": "1 Jan 2026"},
          {"documents": [{"title": "t", "text": "x"}], "add_vision_id": True, "thinking": True, "builtin_tools": ["browser", "python"]}]
# Conversations that are asked with each of EXTRAS, and without the opening of a reply.
THOROUGH = {"one", "turns", "think", "call", "ends with the assistant"}


def found_in(name, data):
    """Templates of one file."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from found_in(member, archive.read(member))
    elif name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.isfile():
                    yield from found_in(member.name, archive.extractfile(member).read())
    elif name.endswith(".jinja"):
        yield name, data.decode("utf-8", "replace")
    elif name.endswith((".json", ".jsonl")) and b"template" in data:
        for i, line in enumerate(data.splitlines() if name.endswith(".jsonl") else [data]):
            try:
                config = json.loads(line)
            except ValueError:
                continue
            if isinstance(config, dict):
                yield from found_in_json(f"{name}:{i}", config)


def found_in_json(name, config):
    template = config.get("chat_template", config.get("template"))
    if isinstance(template, str):
        yield name, template
    elif isinstance(template, list):
        for entry in template:
            if isinstance(entry, dict) and isinstance(entry.get("template"), str):
                yield f"{name}:{entry.get('name')}", entry["template"]


def main():
    seen = set()
    for path in map(pathlib.Path, sys.argv[1:]):
        for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
            if not file.name.endswith((".whl", ".zip", ".tar.gz", ".tgz", ".jinja", ".json", ".jsonl")):
                continue
            for name, template in found_in(file.name, file.read_bytes()):
                if template in seen or "{" not in template or "messages" not in template:
                    continue
                seen.add(template)
                ask(name, template)
    print(len(seen), "templates", file=sys.stderr)


def ask(name, template):
    for kind, messages in CONVERSATIONS.items():
        for tools in (None, TOOLS):
            for extra in EXTRAS if kind in THOROUGH else EXTRAS[:1]:
                for prompt in (True, False) if kind in THOROUGH else (True,):
                    print(json.dumps({
                        "id": [name, kind, bool(tools), extra, prompt], "template": template, "messages": messages,
                        "tools": tools, "extra": extra, "bos": "<s>", "eos": "</s>", "add_generation_prompt": prompt}))


main()
