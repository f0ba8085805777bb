// A trained model in the package; see suite.mjs for `context`. `context.real` is its path or URL, undefined where it is
// left out: two runtimes are enough for what tests/real.rs checks in depth.
import { equal } from "./harness.mjs";

export function realTests({ load, real }, { options, fetchBytes }) {
  if (!real) return [];
  return [
    ["SmolLM2 says what transformers says", async () => {
      const golden = JSON.parse(new TextDecoder().decode(await fetchBytes("made/smollm2.json")));
      const model = await load(real, options);
      // Prompts whose every margin is clear; as many tokens as software rendering gives in reasonable time.
      for (const [name, maxTokens] of [["follow-up", 16], ["code", 6]]) {
        const { messages, ids, greedy, finish, text: expected } = golden.cases.find((c) => c.name === name);
        const whole = greedy.length <= maxTokens;
        const { text, usage, finishReason } = await model.session().prompt(messages, { temperature: 0, repetitionPenalty: 1, maxTokens });
        equal(usage.promptTokens, ids.length, `prompt tokens of "${name}"`);
        equal(text, whole ? expected : await model.detokenize(greedy.slice(0, maxTokens)), `reply to "${name}"`);
        equal(finishReason, whole ? finish : "length", `end of "${name}"`);
      }
      await model.dispose();
    }],
  ];
}
