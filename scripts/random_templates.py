"""Random expressions of Jinja as questions for compare_templates.py.

    python scripts/random_templates.py SEED COUNT > questions.jsonl
"""
import json
import random
import sys

TEXTS = ["'abc'", "''", "'a b  c'", "' x '", "'Hello World'", "'é😀x'", "'12'", "'-3.5'", "'0x1f'", "'a,b,,c'", "'x\\ny\\r\\nz\\n'", "'%s-%s'",
         "'{}-{0}'", "'{} {}'", "'<b>&'", '"it\'s"', "'ABC'", "'a-b_c'", "'1e3'", "'ß'", "'user'", "','", "'a'", "'%d'", "'{a}'"]
NUMBERS = ["0", "1", "2", "3", "-1", "-2", "10", "255", "1.5", "2.0", "-0.5", "1e20", "1e-7", "3.14159", "7", "100000000000", "true", "false"]
NAMES = ["messages", "nothing", "none", "x", "n", "d", "l", "t", "f", "messages[0]", "messages[1].content", "messages[0].role", "s"]
FILTERS = """upper lower title capitalize trim length list first last reverse sort unique|list join join(',') int float abs round round(1)
    round(2,'floor') string tojson tojson(indent=2) default('D') default('D',true) sum min max items|list dictsort e escape safe striptags
    urlencode wordcount truncate(5) truncate(4,true,'..',0) indent(2) indent(2,true) center(9) replace('a','b') replace('','-')
    map('upper')|list map('length')|list map(attribute='role')|list map(attribute='a',default=0)|list map('int')|list select|list reject|list
    select('string')|list select('odd')|list select('in',[1,2,'a'])|list reject('none')|list selectattr('role')|list
    selectattr('role','equalto','user')|list rejectattr('a')|list groupby('role') batch(2)|list batch(3,0)|list slice(2)|list slice(3,'z')|list
    filesizeformat format(1) format('a','b') format(1,2.5) xmlattr count wordwrap(4) forceescape sort(reverse=true) sort(attribute='role')
    sum(start=1) sort(case_sensitive=true) unique(case_sensitive=true)|list pprint tojson(ensure_ascii=true) trim('a') list|length attr('role')
    int(5) float(2) d(1) int(base=16)""".split()
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "callable", "odd",
         "even", "divisibleby(2)", "divisibleby 3", "true", "false", "sameas(none)", "eq 1", "equalto 'a'", "ne 2", "lt 2", "gt 'a'", "ge 1",
         "le 1.5", "in [1,'a',none]", "in 'abc'", "upper", "lower", "escaped", "filter", "test", "not none", "not string", "not defined"]
METHODS = """upper() lower() title() capitalize() swapcase() strip() strip('a') lstrip() rstrip('\\n') split() split(',') split(' ',1)
    rsplit(',',1) rsplit(none,1) splitlines() splitlines(true) partition('b') rpartition(' ') replace('a','X') replace('a','X',1)
    startswith('a') endswith(('c','d')) find('b') rfind('b') count('a') index('b') join(['p','q']) join(l) zfill(6) ljust(6,'.') rjust(6)
    center(7,'*') isdigit() isalpha() isalnum() isspace() isupper() islower() istitle() isnumeric() isdecimal() isidentifier()
    removeprefix('a') removesuffix('c') format(1) format(1,2) format(a=3) items() keys() values() get('a') get('zz','dd') get(1) copy() index(1)
    count(1) expandtabs(4) casefold() is_integer() append(1) update({}) pop() nope() bit_length() isprintable() isascii()""".split()
METHODS = [method.replace("(' ',1)", "(' ', 1)") for method in METHODS if method.count("(") == method.count(")")] + ["split(' ', 1)", "rpartition(' ')"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
ITEMS = ["0", "1", "-1", "5", "1:", "::-1", ":2", "-2:", "::2", '"a"', '"role"', "1.5", "none", "true", "3:0:-1", '"items"']
VARIABLES = ("{% set x = 'abc' %}{% set n = 3 %}{% set s = 'one two' %}{% set d = {'a': 1, 'b': [1, 2], 'role': 'user'} %}"
             "{% set l = [3, 1, 2] %}{% set t = (1, 'a', none) %}{% set f = 2.5 %}")
MESSAGES = [{"role": "user", "content": " Hi x There "}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "bye"}]
r = random.Random(int(sys.argv[1]))


def atom():
    return r.choice(r.choice([TEXTS, TEXTS, NUMBERS, NUMBERS, NAMES, NAMES, NAMES]))


def expression(depth):
    if depth == 0 or r.random() < 0.12:
        return atom()
    inner = lambda: "(" + expression(depth - 1) + ")"
    kind = r.choices(range(11), [22, 10, 14, 18, 6, 4, 4, 2, 3, 3, 2])[0]
    if kind == 0:
        return (inner() if r.random() < 0.5 else atom()) + "|" + r.choice(FILTERS)
    if kind == 1:
        return f"{inner()} is {r.choice(TESTS)}"
    if kind == 2:
        return f"{inner()}.{r.choice(METHODS)}"
    if kind == 3:
        operator = r.choice(OPERATORS)
        # Not beyond 127 bits.
        right = {"**": "2 3 0 -1 true".split(), "*": "2 0 -1 1.5 'ab' [1] true n".split()}.get(operator)
        right = r.choice(right) if right else inner()
        return f"{inner() if r.random() < 0.7 else atom()} {operator} {right}"
    if kind == 4:
        return f"{inner()}[{r.choice(ITEMS)}]"
    if kind == 5:
        return f"{inner()}.{r.choice('a role items b get nope real 0 1'.split())}"
    if kind == 6:
        return "[" + ", ".join(expression(depth - 1) for _ in range(r.randrange(4))) + "]"
    if kind == 7:
        return "(" + "".join(expression(depth - 1) + ", " for _ in range(r.randrange(3))) + ")"
    if kind == 8:
        return "{" + ", ".join(f"{r.choice(TEXTS + NUMBERS)}: {expression(depth - 1)}" for _ in range(r.randrange(3))) + "}"
    if kind == 9:
        return f"({inner()} if {inner()} else {inner()})"
    return r.choice(["not ", "-", "+"]) + inner()


for _ in range(int(sys.argv[2])):
    template = r.choices([
        "{{ %s }}" % expression(3),
        "{%% for i in %s %%}{{ loop.index }}{{ i }}{{ loop.last }};{%% else %%}E{%% endfor %%}" % expression(2),
        "{%% if %s %%}A{%% else %%}B{%% endif %%}" % expression(2),
        "{%% set y, z = %s %%}{{ y }}|{{ z }}" % expression(2),
        "{%% macro m(a, b=%s) %%}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{%% endmacro %%}{{ m(%s, %s) }}" % (expression(1), expression(1), r.choice(["1", "b=2", "1, 2", "c=3", "*l", "**d"])),
        "{%% set ns = namespace(v=%s) %%}{%% for i in l if i != ns.v %%}{%% set ns.v = %s %%}{{ ns.v }}{{ loop.length }}{%% endfor %%}{{ ns }}" % (expression(1), expression(2)),
        "{%% set q %%}{{ %s }}{%% endset %%}{%% filter %s %%}{{ q }}{%% endfilter %%}" % (expression(2), r.choice(FILTERS)),
    ], [75, 7, 5, 4, 3, 3, 3])[0]
    print(json.dumps({"id": template, "template": VARIABLES + template, "messages": MESSAGES, "tools": None, "bos": "<s>", "eos": "</s>"}))
