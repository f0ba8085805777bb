//! Expands a [`Variant`] into the text of a shader.
//!
//! Directives stand alone on a line (spaces around them do not matter):
//!
//! * `#import lib/reduce`: the text of `shaders/lib/reduce.wgsl`, once per shader however often it is asked for;
//!   `#import quant/LAYOUT` is `shaders/quant/<variant.layout.name()>.wgsl`.
//! * `#if FLAG`, `#if !FLAG`, `#else`, `#endif`: nestable; FLAG is one of `Variant::flags`.
//!
//! In front come `enable f16;` (flag `F16`), `enable subgroups;` (flag `SUBGROUPS`, only for [`Host::Tint`]) and one
//! `const NAME: u32 = VALUE;` per entry of `Variant::consts`. The same variant gives the same bytes on every run.

use crate::kernels::Variant;

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// Which compiler will read the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host {
    /// wgpu natively, Firefox, Deno: naga 30 has the subgroup built-ins, but rejects `enable subgroups;`.
    Naga,
    /// Chromium, and Node through Dawn: `enable subgroups;` is required.
    Tint,
}

/// A mistake in a shader file: found by `tests/shaders.rs`, never by a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No such file in `shaders/`.
    #[error("{file}:{line}: no shader file `shaders/{import}.wgsl`")]
    UnknownImport {
        /// File with the directive; the variant itself for a missing stem.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What was asked for.
        import: String,
    },
    /// `#import quant/LAYOUT` in a variant without a layout.
    #[error("{file}:{line}: `#import {import}` needs a variant with a layout")]
    NoLayout {
        /// File with the directive.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What was asked for.
        import: String,
    },
    /// `#else` or `#endif` without `#if`, a second `#else`, or `#if` without `#endif`.
    #[error("{file}:{line}: unbalanced `{directive}`")]
    Unbalanced {
        /// File with the directive.
        file: String,
        /// Line, from 1; of the `#if` that is never closed.
        line: usize,
        /// The directive.
        directive: String,
    },
    /// A line that starts with `#` and is none of the above.
    #[error("{file}:{line}: unknown directive `{directive}`")]
    UnknownDirective {
        /// File with the directive.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The line.
        directive: String,
    },
}

/// The embedded text of `shaders/<name>.wgsl`.
fn embedded(name: &str) -> Option<&'static str> {
    SHADERS.binary_search_by(|(path, _)| (*path).cmp(name)).ok().map(|i| SHADERS[i].1)
}

/// The whole text of a variant.
pub fn expand(variant: &Variant, host: Host) -> Result<String, TemplateError> {
    expand_from(variant, host, &|name| embedded(name).map(str::to_string))
}

/// As [`expand`], with the files that `source` gives (name without `.wgsl`); for tests.
pub fn expand_from(
    variant: &Variant,
    host: Host,
    source: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    let mut template = Template { variant, source, imported: Vec::new(), text: String::new() };
    if variant.has("F16") {
        template.text += "enable f16;\n";
    }
    if variant.has("SUBGROUPS") && host == Host::Tint {
        template.text += "enable subgroups;\n";
    }
    for (name, value) in &variant.consts {
        template.text += &format!("const {name}: u32 = {value}u;\n");
    }
    template.import(variant.stem, &variant.name(), 0)?;
    Ok(template.text)
}

struct Template<'a> {
    variant: &'a Variant,
    source: &'a dyn Fn(&str) -> Option<String>,
    imported: Vec<String>,
    text: String,
}

/// An open `#if`.
struct Open {
    line: usize,
    taken: bool,
    seen_else: bool,
}

impl Template<'_> {
    fn import(&mut self, name: &str, file: &str, line: usize) -> Result<(), TemplateError> {
        let mut name = name.to_string();
        if let Some(folder) = name.strip_suffix("LAYOUT") {
            let Some(layout) = self.variant.layout else {
                return Err(TemplateError::NoLayout { file: file.to_string(), line, import: name });
            };
            name = format!("{folder}{}", layout.name());
        }
        if self.imported.contains(&name) {
            return Ok(());
        }
        let Some(source) = (self.source)(&name) else {
            return Err(TemplateError::UnknownImport { file: file.to_string(), line, import: name });
        };
        self.imported.push(name.clone());
        self.append(&name, &source)
    }

    fn append(&mut self, name: &str, source: &str) -> Result<(), TemplateError> {
        let file = format!("shaders/{name}.wgsl");
        let mut open: Vec<Open> = Vec::new();
        for (index, raw) in source.lines().enumerate() {
            let line = index + 1;
            let unbalanced =
                |directive: &str| TemplateError::Unbalanced { file: file.clone(), line, directive: directive.into() };
            let live = open.iter().all(|o| o.taken);
            let Some(directive) = raw.trim().strip_prefix('#') else {
                if live {
                    self.text += raw.trim_end();
                    self.text.push('\n');
                }
                continue;
            };
            let mut words = directive.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("if"), Some(flag), None) => {
                    let taken = match flag.strip_prefix('!') {
                        Some(flag) => !self.variant.has(flag),
                        None => self.variant.has(flag),
                    };
                    open.push(Open { line, taken, seen_else: false });
                }
                (Some("else"), None, None) => {
                    let top = open.last_mut().filter(|o| !o.seen_else).ok_or_else(|| unbalanced("#else"))?;
                    top.taken = !top.taken;
                    top.seen_else = true;
                }
                (Some("endif"), None, None) => {
                    open.pop().ok_or_else(|| unbalanced("#endif"))?;
                }
                (Some("import"), Some(import), None) => {
                    if live {
                        self.import(import, &file, line)?;
                    }
                }
                _ => {
                    return Err(TemplateError::UnknownDirective { file, line, directive: raw.trim().to_string() });
                }
            }
        }
        match open.pop() {
            Some(o) => Err(TemplateError::Unbalanced { file, line: o.line, directive: "#if".into() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Caps;
    use crate::weights::Layout;

    fn files(name: &str) -> Option<String> {
        let text = match name {
            "k" => {
                "#import lib/a\n  #if X\nx\n#if !F16\nno f16\n#else\nf16\n#endif\n#else\nno x\n#endif\n#import lib/a\nend"
            }
            "lib/a" => "#import quant/LAYOUT\na",
            "quant/ga4_k" => "q4k",
            "open" => "#if A\n",
            "close" => "#endif",
            "twice" => "#if A\n#else\n#else\n#endif",
            "odd" => "#define A",
            "lost" => "#import lib/none",
            _ => return None,
        };
        Some(text.to_string())
    }

    fn run(variant: Variant, host: Host) -> Result<String, TemplateError> {
        expand_from(&variant, host, &files)
    }

    #[test]
    fn expands_imports_once_and_picks_branches() {
        let caps = Caps { f16: true, subgroups: true, ..Caps::BASE };
        let variant = Variant::new("k", &caps).layout(Layout::Ga4K).flag("X", true).constant("ROWS", 4);
        let naga = run(variant.clone(), Host::Naga).unwrap();
        assert_eq!(naga, "enable f16;\nconst ROWS: u32 = 4u;\nq4k\na\nx\nf16\nend\n");
        let tint = run(variant, Host::Tint).unwrap();
        assert_eq!(tint, naga.replace("enable f16;\n", "enable f16;\nenable subgroups;\n"));
        let plain = run(Variant::new("k", &Caps::BASE).layout(Layout::Ga4K), Host::Tint).unwrap();
        assert_eq!(plain, "q4k\na\nno x\nend\n");
    }

    #[test]
    fn mistakes_are_typed() {
        let of = |stem| run(Variant::new(stem, &Caps::BASE), Host::Naga).unwrap_err();
        assert!(matches!(of("open"), TemplateError::Unbalanced { line: 1, .. }));
        assert!(matches!(of("close"), TemplateError::Unbalanced { line: 1, .. }));
        assert!(matches!(of("twice"), TemplateError::Unbalanced { line: 3, .. }));
        assert!(matches!(of("odd"), TemplateError::UnknownDirective { .. }));
        assert!(matches!(of("lost"), TemplateError::UnknownImport { .. }));
        assert!(matches!(of("absent"), TemplateError::UnknownImport { .. }));
        assert!(matches!(of("k"), TemplateError::NoLayout { .. }));
    }
}
