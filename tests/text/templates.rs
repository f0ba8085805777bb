//! Chat templates: as transformers renders them, within bounds, found where files keep them.

use super::*;

#[test]
fn chat_template_goldens() {
    let Some(dir) = shared("chat-templates") else { return };
    let mut wrong = Vec::new();
    let golden = json(&dir.join("golden.json"));
    assert_eq!(golden.as_object().unwrap().len(), 9);
    for (file, cases) in golden.as_object().unwrap() {
        let source = std::fs::read_to_string(dir.join(file)).unwrap();
        let template = ChatTemplate::new(&source, Some("<s>"), Some("</s>")).unwrap();
        assert_eq!(cases.as_array().unwrap().len(), 7);
        for (i, case) in cases.as_array().unwrap().iter().enumerate() {
            let options = RenderOptions {
                add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap(),
                now: Some(NOW),
                ..Default::default()
            };
            let result = template.render(&case["messages"], &case["tools"], &options);
            let fits = match (&result, case["text"].as_str(), case["error"].as_str()) {
                (Ok(text), Some(expected), _) => text == expected,
                (Err(Error::BadRequest(message)), None, Some(expected)) => {
                    expected.strip_prefix("TemplateError: ") == Some(message)
                }
                _ => false,
            };
            if !fits {
                wrong.push(format!("{file} case {i}:\n{result:?}\nexpected {} {}", case["text"], case["error"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `make_jinja.py` rendered the same templates with Jinja2 itself.
#[test]
fn templates_render_as_in_jinja2() {
    let golden = json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/jinja.json"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for part in golden.as_array().unwrap() {
        let context = &part["context"];
        let mut extra = context.as_object().unwrap().clone();
        extra.retain(|key, _| {
            !["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"].contains(&&**key)
        });
        let options = RenderOptions { add_generation_prompt: true, now: Some(NOW), extra };
        for case in part["cases"].as_array().unwrap() {
            count += 1;
            let template = case["template"].as_str().unwrap();
            let compiled = ChatTemplate::new(template, Some("<s>"), Some("</s>"));
            let result = compiled.and_then(|t| t.render(&context["messages"], &context["tools"], &options));
            let fits = match &result {
                Ok(text) => case["text"] == **text,
                Err(Error::BadRequest(_) | Error::GrammarError(_)) => case["error"].is_string(),
                Err(_) => false,
            };
            if !fits {
                let expected = format!("{} {}", case["text"], case["error"]);
                wrong.push(format!("{}\n  is       {result:?}\n  expected {expected}", case["template"]));
            }
        }
    }
    assert!(count > 600 && wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs on a thread with as little stack as a browser gives, so that an overflow shows.
fn on_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(f).unwrap().join().unwrap();
}

#[test]
fn hostile_templates_end_in_an_error() {
    let doubling = "{% set x = x + x %}".repeat(60);
    let nested = "{% set x = [x, x] %}".repeat(60);
    let long_text = "y".repeat(100_000);
    let templates = [
        // Endless.
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}".to_string(),
        "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}".into(),
        "{% for x in messages recursive %}{{ loop(messages) }}{% endfor %}".into(),
        // Large.
        format!("{{% set x = 'aaaa' %}}{doubling}{{{{ x }}}}"),
        format!("{{% set x = [1] %}}{doubling}{{{{ x | length }}}}"),
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}".into(),
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}"
            .into(),
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}".into(),
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}".into(),
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = '{0}{0}'.format(ns.x) %}{% endfor %}".into(),
        "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x * 999 %}{% endfor %}".into(),
        "{{ 99999999 * 'aaaaaaaaaaaaaaaa' }}".into(),
        "{{ 'a' * 999 * 999 * 999 }}".into(),
        "{{ 'a' * 9 ** 9 }}{{ [0] * 99999999 }}".into(),
        "{{ '%99999999999s' | format('a') }}".into(),
        "{{ 'a' | indent(999999999999, true) }}{{ messages | tojson(indent=99999999999) }}".into(),
        "{{ messages | batch(99999999999, 'x') | list }}".into(),
        format!("{{% set x %}}{{% for i in range(99999) %}}{long_text}{{% endfor %}}{{% endset %}}"),
        // Deep.
        format!("{{% set x = 1 %}}{nested}{{{{ x }}}}"),
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}".into(),
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}".into(),
        "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns }}".into(),
        format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(1500), "]".repeat(1500)),
        "{% if true %}".repeat(5000) + &"{% endif %}".repeat(5000),
        // Not a template.
        "{{ x".into(),
        "{% unknown %}".into(),
        "{{ messages | no_such_filter }}".into(),
        "{% include 'other' %}".into(),
        "\u{0}{%".into(),
    ];
    on_small_stack(move || {
        let messages = serde_json::json!([{"role": "user", "content": "Hi"}]);
        for source in templates {
            let start = std::time::Instant::now();
            let result = ChatTemplate::new(&source, None, None)
                .and_then(|t| t.render(&messages, &Value::Null, &RenderOptions::default()));
            let shown: String = source.chars().take(120).collect();
            let error = result.expect_err(&shown);
            assert!(matches!(error.code(), "grammar-error" | "bad-request"), "{shown}: {error}");
            assert!(start.elapsed().as_secs() < 20, "{shown} took {:?}", start.elapsed());
        }
    });
}

#[test]
fn long_conversations_stay_within_the_bounds() {
    let Some(dir) = shared("chat-templates") else { return };
    let turn = |i: usize| serde_json::json!({"role": (["user", "assistant"][i % 2]), "content": format!("{i} {}", "word ".repeat(40))});
    let messages: Value = (0..2001).map(turn).collect();
    for file in json(&dir.join("golden.json")).as_object().unwrap().keys() {
        let source = std::fs::read_to_string(dir.join(file)).unwrap();
        let template = ChatTemplate::new(&source, Some("<s>"), Some("</s>")).unwrap();
        let text = template
            .render(&messages, &Value::Null, &RenderOptions::default())
            .unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.len() > 400_000 && text.contains("2000 word"), "{file}: {}", text.len());
    }
}

#[test]
fn the_template_is_found_where_it_is() {
    use lacewing::formats::gguf::Value as Meta;
    use lacewing::text::chat::find;
    let entry = |key: &str, s: &str| (key.to_string(), Meta::String(s.into()));
    let gguf = Metadata {
        entries: vec![entry("tokenizer.chat_template", "G"), entry("tokenizer.chat_template.tool_use", "GT")],
    };
    let list = serde_json::json!({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]});
    let one = serde_json::json!({"chat_template": "C"});
    assert_eq!(find(None, None, None, false), None);
    for tools in [false, true] {
        assert_eq!(find(Some("J"), Some(&one), Some(&gguf), tools), Some("J"));
        assert_eq!(find(None, Some(&one), Some(&gguf), tools), Some("C"));
    }
    assert_eq!(find(None, Some(&list), None, false), Some("D"));
    assert_eq!(find(None, Some(&list), None, true), Some("T"));
    assert_eq!(find(None, None, Some(&gguf), false), Some("G"));
    assert_eq!(find(None, None, Some(&gguf), true), Some("GT"));
    assert_eq!(find(None, Some(&serde_json::json!({})), Some(&gguf), false), Some("G"));
}

/// A tokenizer.json of these words, split at white space.
pub(super) fn words(list: &[&str]) -> Vec<u8> {
    let vocab: serde_json::Map<String, Value> =
        list.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
    let model = serde_json::json!({"type": "WordLevel", "vocab": vocab, "unk_token": list[0]});
    serde_json::json!({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model})
        .to_string()
        .into_bytes()
}

#[test]
fn tools_choose_the_template_made_for_them() {
    use lacewing::model::open::TextFiles;
    use lacewing::session::text::Text;
    let files = |template: Value| TextFiles {
        tokenizer_json: Some(words(&["?", "plain", "tools"])),
        tokenizer_config: Some(serde_json::json!({"chat_template": template})),
        ..TextFiles::default()
    };
    let named = |name: &str, text: &str| serde_json::json!({"name": name, "template": text});
    let (messages, tools) = (serde_json::json!([{"role": "user", "content": "Hi"}]), serde_json::json!([]));
    let ids = |template: Value, tools: &Value| Text::new(files(template)).unwrap().chat(&messages, tools);
    let both = serde_json::json!([named("default", "plain"), named("tool_use", "tools")]);
    assert_eq!(ids(both.clone(), &Value::Null).unwrap(), [1]);
    assert_eq!(ids(both, &tools).unwrap(), [2]);
    assert_eq!(ids(serde_json::json!([named("default", "plain")]), &tools).unwrap(), [1]);
    let only = serde_json::json!([named("tool_use", "tools")]);
    assert_eq!(ids(only.clone(), &tools).unwrap(), [2]);
    let error = ids(only, &Value::Null).unwrap_err();
    assert!(error.code() == "unsupported-model" && error.to_string().contains("chat template"), "{error}");
}

/// Files of one template for everything and, where given, one for tools.
pub(super) fn text_of(template: &str, for_tools: Option<&str>) -> lacewing::Result<lacewing::session::text::Text> {
    let named = |name: &str, text: &str| serde_json::json!({"name": name, "template": text});
    let list: Vec<Value> =
        [Some(named("default", template)), for_tools.map(|t| named("tool_use", t))].into_iter().flatten().collect();
    lacewing::session::text::Text::new(lacewing::model::open::TextFiles {
        tokenizer_json: Some(words(&["?", "plain", "tools"])),
        tokenizer_config: Some(serde_json::json!({"chat_template": list})),
        ..Default::default()
    })
}

#[test]
fn a_template_that_does_not_parse_is_an_error_of_chat_alone() {
    let (messages, tools) = (serde_json::json!([{"role": "user", "content": "Hi"}]), serde_json::json!([]));
    let long = "x".repeat((1 << 20) + 1);
    for broken in ["{% wat %}{{ messages[0].content }}", "<|user|>\n{{ .Prompt }}</s>", "{% if true %}", "{{ x", &long]
    {
        let shown = &broken[..broken.len().min(40)];
        let text = text_of(broken, None).unwrap_or_else(|e| panic!("{shown}: the load failed: {e}"));
        assert!(text.has_chat_template(), "{shown}");
        assert_eq!(text.tokenizer().unwrap().encode("plain", true).unwrap(), [1], "{shown}");
        for tools in [&Value::Null, &tools] {
            let error = text.chat(&messages, tools).expect_err(shown);
            assert!(error.code() == "grammar-error" && error.to_string().contains("chat template"), "{shown}: {error}");
        }
        // Of two templates, the one that parses still works.
        let text = text_of("plain", Some(broken)).unwrap();
        assert_eq!(text.chat(&messages, &Value::Null).unwrap(), [1], "{shown}");
        assert_eq!(text.chat(&messages, &tools).unwrap_err().code(), "grammar-error", "{shown}");
        let text = text_of(broken, Some("tools")).unwrap();
        assert_eq!(text.chat(&messages, &Value::Null).unwrap_err().code(), "grammar-error", "{shown}");
        assert_eq!(text.chat(&messages, &tools).unwrap(), [2], "{shown}");
    }
}

#[test]
fn templates_print_the_date_of_the_users_own_clock() {
    let render = |now| {
        let template = ChatTemplate::new("{{ strftime_now('%s') }}", None, None).unwrap();
        let options = RenderOptions { now, ..RenderOptions::default() };
        template.render(&serde_json::json!([]), &Value::Null, &options).unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(render(Some(NOW)), NOW);
    let clock = lacewing::clock::local_seconds();
    assert!((0..60).contains(&(render(None) - clock)), "{} is not {clock}", render(None));
}
