"""Render small templates with Jinja2 as transformers sets it up: writes jinja.json, a list of {context, cases: [{template, text | error}]}.

    pip install transformers jinja2
    python make_jinja.py

jinja_lines.txt has one template in each line; those of several lines stand here.
"""
import json, pathlib
from datetime import datetime
from transformers.utils.chat_template_utils import _compile_jinja_template

RICH = {
    "messages": [{"role": "user", "content": "It's \"me\"\n\ttab\\ é 🦋"}, {"role": "assistant", "content": None, "n": [1, 2.5, True]}],
    "tools": None, "documents": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
    "data": {"b": 1, "a": [1.0, 1e-5, 1e16, 123456789.125, -0.0, 1e22, 0.0001], "t": True, "none": None, "s": "x'y", "empty": [], "ed": {}},
    "text": "  Hello World, hello  ", "lines": "one\ntwo\n\nthree\n", "words": ["b", "a", "c"],
    "deep": [{"k": {"v": [1, {"z": "é\u0007"}]}}],
}
CHAT = {
    "messages": [{"role": "user", "content": " Hi x There "}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "bye"}],
    "tools": None, "documents": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
}
# Of RICH.
TEMPLATES = r'''
{{ true }} {{ false }} {{ none }} {{ nothing }}|
{{ data }}
{{ messages }}
{{ data.a }} {{ 1.5 }} {{ 3 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ 2 ** 3 }} {{ 7 % 3 }}
{{ data | tojson }}
{{ data | tojson(indent=2) }}
{{ deep | tojson(indent=4) }}
{{ deep | tojson(ensure_ascii=True) }}
{{ data | tojson(separators=(',', ':')) }}
{{ data | tojson(sort_keys=True) }}
{{ messages[0].content | tojson }}
{{ "a" + "b" ~ 1 ~ true ~ none ~ [1, "x"] }}
{{ text.strip() }}|{{ text | trim }}|{{ text.lstrip() }}|{{ text.rstrip() }}|{{ text.upper() }}|{{ text.title() }}
{{ text.split() }} {{ text.split(",") }} {{ "a,b,c".split(",", 1) }} {{ "a,b,c".rsplit(",", 1) }} {{ "a,b,c".partition(",") | list }}
{{ "xay".replace("a", "bb") }} {{ "aaa" | replace("a", "b", 2) }} {{ "abc".find("c") }} {{ "abcb".index("b") }} {{ "abcb".count("b") }}
{{ "prefix-x".removeprefix("prefix-") }} {{ "x-suffix".removesuffix("-suffix") }} {{ "ab".startswith("a") }} {{ "ab".endswith(("x", "b")) }}
{{ words | join(", ") }} {{ ", ".join(words) }} {{ words | sort | join }} {{ words | first }} {{ words | last }} {{ words | length }}
{{ messages | map(attribute="role") | join("/") }} {{ messages | selectattr("role", "equalto", "user") | list | length }}
{{ messages | rejectattr("role", "equalto", "user") | map(attribute="role") | list }}
{% for m in messages if m.role != "user" %}{{ loop.index }}{{ m.role }}{{ loop.last }}{% else %}none{% endfor %}
{% for k, v in data.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in data %}{{ k }}{% if not loop.last %},{% endif %}{% endfor %} {{ data.keys() | list }} {{ data.get("zz", "dflt") }}
{% for i in range(6) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}
{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{% endfor %}{{ x }}
{% macro f(a, b="q") %}[{{ a }}{{ b }}]{% endmacro %}{{ f(1) }}{{ f("x", b=none) }}
{{ lines | indent }}|{{ lines | indent(2, true) }}|{{ lines | indent(2, blank=true) }}|{{ "x\ny" | indent("> ", first=true) }}
{{ words[::-1] }} {{ words[1:] }} {{ text[2:7] }} {{ words[-1] }} {{ text[::-1] }}
{{ "x" is string }} {{ 1 is number }} {{ data is mapping }} {{ words is iterable }} {{ "x" is iterable }} {{ words is sequence }} {{ 1 is iterable }} {{ nothing is defined }} {{ none is none }}
{{ 1 is integer }} {{ 1.0 is float }} {{ true is boolean }} {{ true is true }} {{ "a" in "abc" }} {{ "a" not in words }} {{ "b" in data }} {{ 3 is odd }} {{ 3 is divisibleby 3 }}
{{ nothing | default("d") }} {{ "" | default("d", true) }} {{ none | default("d") }}
{{ "a" if true else "b" }} {{ "a" if false }}|{{ not true }} {{ 1 and 2 }} {{ 0 or "x" }}
{%- if true -%}   a   {%- endif %}   b
{{ "%s is %d" | format("x", 3) }} {{ "{} {}".format("a", 1) }} {{ "3" | int + 1 }} {{ "3.5" | float }} {{ 3.7 | int }} {{ 3.14159 | round(2) }}
{{ [1, 2] + [3] }} {{ {"a": 1} }} {{ ["a"] | string }} {{ 1 | string + "x" }} {{ (1, 2)[0] }}
{{ data | dictsort | map("first") | join(",") }} {{ data | items | list | length }} {{ [3, 1, 2] | sort(reverse=true) }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | sum }}
{{ none is iterable }} {{ nothing is iterable }} {{ none is sequence }} {{ tools is iterable and tools | length > 0 }} {{ nothing | length }}
{{ messages[2:][::-1] }} {{ messages[1:][::-1] | length }} {{ [][::-1] }} {{ words[::2] }} {{ text[-1:2:-2] }} {{ words[5:0:-1] }} {{ words[-2::1] }}
{% set n = 3 %}{{ "ab" * n }} {{ n * "x" }} {{ [0] * n }} {{ "x" * 0 }}{{ "x" * -1 }} {{ n * 2.5 }} {{ n * n * n }} {{ 8 / 2 * 2 }} {{ 2 * 3 ** 2 }} {{ true * 3 }} {{ "-" * (n + 1) ~ n }}
{{ "%s is %d" % ("x", 3) }} {{ "%s" % words }} {{ "%s" % words[0] + "!" }}
{{ "x" | int }} {{ "ff" | int(base=16) }} {{ "0x1f" | int(0, 16) }} {{ "y" | int(7) }} {{ " 12 " | int }} {{ "2.9" | int }} {{ none | int(3) }} {{ "x" | float(1.5) }} {{ true | int }}
{{ [1, "a", none] | trim }} {{ {"a": [1]} | upper }} {{ true | capitalize }} {{ ["x y"] | title }} {{ 1.0 | lower }} {{ "it's a-b (c" | title }}
{{ "7".zfill(3) }} {{ "-7".zfill(4) }} {{ "a".ljust(3, ".") }}| {{ "a".rjust(3) }} {{ "ab".center(5, "*") }} {{ "abc".center(2) }}
{{ dict([("a", 1), ("b", 2)]) }} {{ dict(a=1, b=[2]) }} {% set j = joiner("; ") %}{% for w in words %}{{ j() }}{{ w }}{% endfor %}
{{ 'a' ~ 1 + 2 }}
{{ 2 * 3 ~ "a" ~ 2 * 3 ~ 6 // 4 ~ "b" ~ 7 % 4 ~ words[0] * 2 }}
{{ "%5d|%-5d|%05d|%+d|%x|%#X|%o" % (42, 42, -42, 42, 255, 255, 8) }} {{ "%.2f|%8.3f|%e|%.1E|%5s|%-5s|%.2s|%r|%c%%" % (3.14159, 2.5, 12345.678, 0.00012, "ab", "ab", "abc", "q", 65) }}
{{ "%(a)s-%(b)d" | format(a="x", b=2) }} {{ "%(b)d %(s)s" % data }} {{ "%d" % 3.9 }} {{ "%s %s" % (none, [1]) }} {{ "é%sé" % "é" }}
{{ "%é" % 1 }}
{{ "%d" % "x" }}
{{ "%s" % (1, 2) }}
{{ strftime_now("%d %B %Y") }}
{{ raise_exception("No " ~ messages | length) }}
{{ nothing.attribute }}
{{ "a" + 1 }}
{{ "a" + nothing }}
{% generation %}inside{% endgeneration %} after
{% raw %}{{ x + y }}{% endraw %}{# comment #}end
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = "p", "q" %}{{ c | list }}
{% set t %}block {{ 1 }}{% endset %}{{ t }}{% filter upper %}abc{% endfilter %}
{{ "it's" }} {{ ["it's", 'q"q', "both'\""] }} {{ ["\n\t\\ü"] }}
{{ 10000000000000000000000 }} {{ -5 }} {{ -5 // 2 }} {{ -5 % 3 }} {{ 1_000 }} {{ 0.1 + 0.2 }} {{ 1e3 }}
{{ "abc" | upper | lower | capitalize }} {{ "hello world" | title }} {{ ["a", "b"] | map("upper") | list }} {{ "abc" | list }} {{ "abc" | reverse }} {{ "a-b" | length }}
{{ messages[0]["role"] }} {{ messages[0].get("role") }} {{ messages[5] }} {{ messages[0].nope }} {{ data["s"] }}
{{ " a b ".strip(" a") }}|{{ "xxhixx".strip("x") }}|{{ "\n\nhi\n".lstrip("\n") }}|{{ "a\nb".splitlines() }}
{{ "a" * 3 }}
'''
BLOCKS = [
 "  {% if true %}\n    keep\n  {% endif %}\nend\n",
 "  {% if true %}\n  a\n  {% endif %}\nb\n",
 "a\n",
 "a\n\n",
 "a\r\n{% if true %}\r\nb{% endif %}\r\n",
 "x\n    {%- if true %}\n    y\n    {%- endif %}\n",
 "a\n  {# c #}\nb",
 "  {%+ if true %}x{% endif +%}\ny",
 "{% generation %}a{{ 1 }}\n{% endgeneration %}\nb",
 "{%- generation -%}\n a \n{%- endgeneration -%}\n b",
 "{% for m in messages %}{% generation %}{% for i in [1] %}{{ m.role }}{% endfor %}{% endgeneration %}{% endfor %}",
 "\ufeff{{ 1 }}",
 "a\u0000{{ 1 }}",
 "{% if true %}\na\n{% endif %}\n",
 "  {{ 1 }}\n  {% if true %}  \n  b\n  {% endif %}  \nc",
 "a\n\n\n",
 "\n\na\n{%- if true %}\n\nb\n{%- endif %}\n\n",
 "{% for x in [1,2] %}\n  {{ x }}\n{% endfor %}\nend",
 "{% for x in [1,2] -%}\n  {{ x }}\n{%- endfor %}\nend",
 "a\t{% if true %}b{% endif %}\t\n",
 "\t{% if true %}\tb\n\t{% endif %}\n",
 "{#- x -#}\n a\n {# y #}\n b\n{# z -#}\n\n c",
 "{% raw %}\n{{ a }}\n{% endraw %}\nb",
 "  {% raw %}x{% endraw %}  \ny",
 "x\n  {%- raw %} y {% endraw -%}\n z",
 "{% if true -%}\n  a\n{%- endif -%}\n\n b",
 "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n",
 "a\rb",
 "{{ 'a\r\nb' }}",
 "{% set x %}\n a\n{% endset %}\n[{{ x }}]",
 "{% macro f() %}\n a\n{% endmacro %}\n[{{ f() }}]",
 "{% filter indent(2, true) %}\na\nb\n{% endfilter %}",
 "{{\n  1\n  +\n  2\n}}\nx",
 "{% if\n true\n%}\na{% endif %}",
 "{%if true%}a{%endif%}{{1}}{{'b'}}",
 "{{ '%}' }}{% if '%}' %}a{% endif %}",
 "{{ {'a': {'b': 1}} }}",
 "{{ {'a': {'b': 1}}}}",
 "a{{ '' }}\n{{ '' }}\n b",
 "\ufeff{% if true %}\na{% endif %}",
 "a \u00a0{%- if true -%}\u00a0 b{% endif %}",
 "{% generation %}\nx\n{% endgeneration %}\ny",
 "  {%- generation %} x {% endgeneration -%}  y",
 "{{ 1 }}  \n  {#- c #}\n  d",
 "a{#+ c +#}\nb",
 "  {%+ if true +%}\n a {% endif %}",
 "{{+ 1 }}",
 "{{ 1 +}}",
 "{% for m in messages %}\n{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' }}\n{% endfor %}\n",
 "{{ \"\n\" }}|{{ '\t' }}",
 "{% set x = 'a\\\nb' %}{{ x }}",
 "{{ x }}\u0000{{ 1 }}",
 "line\n{{ raise_exception('\u00e9') }}",
 "{% block a %}\n x\n{% endblock %}\ny",
 "{%- macro f(x) -%}{{ x }}{%- endmacro -%}\n{{- f(1) -}}\n",
 "{% if x is defined %}{{ x }}{% elif y is defined %}{{ y }}{% else %}\n none\n{% endif %}\n",
 "{{ messages | tojson(indent=2) }}",
 "{{ messages | pprint }}"
]


def cases(templates, context):
    rows = []
    for template in templates:
        row = {"template": template}
        try:
            now = lambda f: datetime(2024, 7, 26).strftime(f)
            row["text"] = _compile_jinja_template(template).render(strftime_now=now, **context)
        except Exception as e:
            row["error"] = f"{type(e).__name__}: {e}"
        # Addresses differ from run to run.
        assert " at 0x" not in row.get("text", ""), template
        rows.append(row)
    return {"context": context, "cases": rows}


here = pathlib.Path(__file__).parent
lines = (here / "jinja_lines.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
golden = [cases(TEMPLATES.strip("\n").split("\n"), RICH), cases(lines + BLOCKS, CHAT)]
(here / "jinja.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
print([(len(g["cases"]), sum("error" in row for row in g["cases"])) for g in golden])
