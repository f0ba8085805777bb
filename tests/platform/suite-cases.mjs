// The table of cases that tests/cases.rs runs natively, here through the package: small models, each with one habit of
// real files, and what comes of them. See suite.mjs for `context`; `context.cases` is the folder with the unpacked files
// where all of them are to be tried. Without it, one of each family: a page gets them as Files, others over HTTP.
import { withString } from "./gguf.mjs";
import { equal, Skip } from "./harness.mjs";

export function caseTests({ load, base, cases, slow }, { options }) {
  const table = once(async () => (await fetch(`${base}range/cases/cases.json`)).json());
  const files = once(async () => unpack(await (await fetch(`${base}range/cases/cases.bin`)).arrayBuffer()));

  const overHttp = !cases && !globalThis.document;
  const sourceOf = async (source) => {
    if (cases) return `${cases}/${source}`;
    if (overHttp) {
      const path = source.split("/").map(encodeURIComponent).join("/");
      return `${base}range/files/${path}${(await files()).has(source) ? "" : "/"}`;
    }
    // A directory, or a file; a part of a split file comes with the others.
    const inside = (path) => path.startsWith(`${source}/`) || path.replace(/-\d{5}-of-/, "-of-") === source.replace(/-\d{5}-of-/, "-of-");
    return [...(await files())].filter(([path]) => inside(path)).map(([path, bytes]) => ({ path, file: new File([bytes], path.split("/").at(-1)) }));
  };

  const outcome = async ({ source, prompt }) => {
    let model;
    try {
      model = await load(await sourceOf(source), options);
    } catch (error) {
      return { at: "load", error: error.code, message: error.message };
    }
    try {
      const { text, usage } = await model.session().prompt(prompt, { maxTokens: 6, temperature: 0 });
      return { promptTokens: usage.promptTokens, text, ids: await model.tokenize(prompt) };
    } catch (error) {
      return { at: "prompt", error: error.code, message: error.message };
    } finally {
      await model.dispose();
    }
  };

  const families = ["gguf", "hf", "odd", "more"].map((kind) => [`the cases of ${kind} give what the table says`, async () => {
    if (slow) throw new Skip("a load takes seconds here; Firefox runs them");
    const seen = new Set();
    const first = (family) => !seen.has(family) && seen.add(family);
    const known = await files();
    const tried = ({ source }) => {
      if (!source.startsWith(`${kind}/`)) return false;
      // Over HTTP the name says whether it is a file.
      if (overHttp && known.has(source) && !/\.gguf$/i.test(source)) return false;
      return cases || first(source.split(/[-.]/)[0]);
    };
    const rows = (await table()).filter(tried);
    const wrong = [];
    for (const row of rows) {
      const found = await outcome(row);
      if (Object.entries(row.expect).some(([key, value]) => JSON.stringify(found[key]) !== JSON.stringify(value))) {
        wrong.push(`${row.source}: expected ${JSON.stringify(row.expect)}, found ${JSON.stringify(found)}`);
      }
    }
    if (rows.length === 0 || wrong.length > 0) throw new Error(`${wrong.length} of ${rows.length} cases:\n${wrong.join("\n")}`);
  }]);

  const plain = async () => new Uint8Array(await (await fetch(`${base}range/files/gguf/g01-plain.gguf`)).arrayBuffer());
  /** Tokens of the prompt that a template makes. */
  const promptTokens = async (template) => {
    const model = await load(withString(await plain(), "tokenizer.chat_template", template), options);
    const { usage } = await model.session().prompt("x", { maxTokens: 1 });
    await model.dispose();
    return usage.promptTokens;
  };
  return [...families, ["a chat template's strftime_now is the user's local time", async () => {
    // 14 hours from UTC: neither date nor hour can be UTC's by chance. A page has the zone of its machine.
    const env = globalThis.process?.env;
    const zone = env?.TZ;
    if (env) env.TZ = "Pacific/Kiritimati";
    try {
      const wanted = await promptTokens("ab");
      for (let tries = 0, found; found !== wanted; tries++) {
        equal(tries < 2, true, "the hour that the template was given is the local one");
        const two = (n) => String(n).padStart(2, "0");
        // Twice, because an hour may end in between.
        const now = new Date();
        const local = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())} ${two(now.getHours())}`;
        found = await promptTokens(`{{ "ab" if strftime_now("%Y-%m-%d %H") == "${local}" else "another hour" }}`);
      }
    } finally {
      if (zone === undefined) delete env?.TZ;
      else env.TZ = zone;
    }
  }]];
}

/** The files of cases.bin by path; tests/goldens/cases/make.py says how they lie in it. */
async function unpack(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let at = bytes.indexOf(10) + 1;
  const names = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at)));
  return new Map(names.map(([path, length]) => [path, bytes.subarray(at, (at += length))]));
}

function once(make) {
  let made;
  return () => (made ??= make());
}
