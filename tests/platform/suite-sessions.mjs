// Sessions own their state: turns taken in turn, and forks. See suite.mjs for `context`.
import { equal, fails } from "./harness.mjs";

export function sessionTests(context, { options, fetchBytes, MODEL, GREEDY }) {
  const { load, loadInWorker, LacewingError } = context;
  let bytes;
  const file = async () => (bytes ??= await fetchBytes(MODEL));

  return [
    ["two sessions that take ten turns prefill only what is new", async () => {
      const model = await load(await file(), options);
      const sessions = [model.session(), model.session()];
      const held = [0, 0];
      let prefilled = (await model.stats()).prefilledTokens;
      for (let turn = 0; turn < 10; turn++) {
        for (const [who, session] of sessions.entries()) {
          const text = turn === 0 ? ["Once upon a time", "The cat sat"][who] : [" and then", " but"][who];
          const { usage } = await session.prompt(text, { ...GREEDY, maxTokens: 3 });
          // The last token of a reply was given out but not computed on: it is new, too.
          const fresh = turn === 0 ? usage.promptTokens : usage.promptTokens - held[who] + 1;
          const now = (await model.stats()).prefilledTokens;
          equal([usage.promptTokens - usage.cachedTokens, now - prefilled], [fresh, fresh], `prefilled by session ${who} in turn ${turn}`);
          prefilled = now;
          held[who] = usage.promptTokens + usage.completionTokens;
        }
      }
      equal((await model.stats()).sessions, 3, "sessions: the model's own and two");
      for (const session of sessions) session.dispose();
      const { sessions: left, sessionBytes } = await settled(model);
      equal(left, 1, "sessions after both were disposed of");
      await model.dispose();
      if (!(sessionBytes > 0)) throw new Error("the model's own session holds nothing");
    }],
    ["a fork goes on alone and computes nothing twice", async () => {
      for (const [where, loadHere] of [["this thread", load], ["a worker", loadInWorker]].slice(context.slow ? 1 : 0)) {
        const model = await loadHere(await file(), options);
        const first = model.session();
        const shared = await first.prompt("Once upon a time", { ...GREEDY, maxTokens: 6 });
        const fork = first.fork();
        const before = (await model.stats()).prefilledTokens;
        const other = await fork.prompt(" but", { ...GREEDY, maxTokens: 5 });
        const own = await first.prompt(" and then", { ...GREEDY, maxTokens: 5 });
        const held = shared.usage.promptTokens + shared.usage.completionTokens;
        const fresh = other.usage.promptTokens + own.usage.promptTokens - 2 * held + 2;
        equal((await model.stats()).prefilledTokens - before, fresh, `tokens prefilled in ${where}`);
        for (const [more, expected] of [[" but", other], [" and then", own]]) {
          const again = model.session();
          await again.prompt("Once upon a time", { ...GREEDY, maxTokens: 6 });
          equal((await again.prompt(more, { ...GREEDY, maxTokens: 5 })).text, expected.text, `"${more}" in ${where}`);
        }
        first.dispose();
        await fails("disposed", () => first.fork(), LacewingError);
        await fork.prompt(" and", { ...GREEDY, maxTokens: 2 });
        await model.dispose();
      }
    }],
  ];
}

/** Statistics once what was disposed of is gone: that waits its turn. */
async function settled(model) {
  await model.logits([1]);
  return model.stats();
}
