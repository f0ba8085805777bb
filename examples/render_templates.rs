//! Renders chat templates through the public API: JSON lines `{template, messages, tools, extra, bos, eos,
//! add_generation_prompt}` in, `{"ok": text}` or `{"err": message}` out, for comparison with other engines.

use lacewing::text::chat::{ChatTemplate, RenderOptions};
use std::io::BufRead;

fn main() -> std::io::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let question: serde_json::Value = serde_json::from_str(&line?)?;
        let text = |name: &str| question[name].as_str();
        let options = RenderOptions {
            add_generation_prompt: question["add_generation_prompt"].as_bool().unwrap_or(true),
            // 2024-07-26 00:00, as in compare_templates.py.
            now: Some(1_721_952_000),
            extra: question["extra"].as_object().cloned().unwrap_or_default(),
        };
        let rendered = ChatTemplate::new(text("template").unwrap_or_default(), text("bos"), text("eos"))
            .and_then(|template| template.render(&question["messages"], &question["tools"], &options));
        let answer = match rendered {
            Ok(text) => serde_json::json!({ "ok": text }),
            Err(error) => serde_json::json!({ "err": error.to_string() }),
        };
        println!("{answer}");
    }
    Ok(())
}
