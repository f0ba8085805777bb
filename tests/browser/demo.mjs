// The demo page as a person uses it: talk to lacewing-tiny, pick a file, two replies without reload, stop, a model by URL.
import { assert, equal } from "../platform/harness.mjs";
import { MODEL, TINY_GOLDEN, TRAINED } from "../platform/fixtures.mjs";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const LOADED = () => !document.getElementById("chat").hidden || !document.getElementById("error").hidden;
const IDLE = () => document.getElementById("stop").hidden && document.querySelector("#messages li.assistant:last-child:not(.busy)") !== null;
const MINUTES = 60_000;
const TINY_GOLDENS = JSON.parse(readFileSync(TINY_GOLDEN, "utf8"));

/** Tests of the page at `www` (its URL) in a browser of drivers.mjs. */
export function demoTests(browser, www, { base, made }) {
  const errorText = (page) => page.evaluate(() => document.getElementById("error").textContent);
  const replies = (page) => page.evaluate(() => [...document.querySelectorAll("#messages li.assistant")].map((li) => li.textContent));
  const say = async (page, text) => {
    await page.fill("#prompt", text);
    await page.click("#send");
    await page.wait(IDLE, 3 * MINUTES);
    equal(await errorText(page), "", "error on the page");
  };
  const open = async (query = "&model=") => {
    const page = await browser.open(`${www}?allowSoftware=1${query}`);
    await page.evaluate(() => {
      document.getElementById("max-tokens").value = "12";
      document.getElementById("temperature").value = "0";
    });
    return page;
  };

  return [
    ["demo: lacewing-tiny loads by itself, answers, and forgets the oldest when its context is full", async () => {
      const page = await open("");
      await page.wait(LOADED, 3 * MINUTES);
      await page.evaluate(() => (document.getElementById("max-tokens").value = "100"));
      const suggested = await page.evaluate(() => {
        const button = document.querySelector("#suggestions button");
        button.click();
        return button.textContent;
      });
      await page.wait(IDLE, 3 * MINUTES);
      const [{ text }] = TINY_GOLDENS.filter(({ question }) => question === suggested);
      equal([await errorText(page), await replies(page)], ["", [text]], "error and replies");
      assert(await page.evaluate(() => document.getElementById("suggestions").hidden), "suggestions stay");
      // About 300 tokens each, in a context of 512.
      for (let i = 0; i < 3; i++) await say(page, "What is 2:4 sparsity? ".repeat(30));
      equal((await replies(page)).length, 4, "replies");
      // A message that no forgetting makes room for is an error, and the conversation goes on after it.
      await page.fill("#prompt", "What is 2:4 sparsity? ".repeat(80));
      await page.click("#send");
      await page.wait(() => !document.getElementById("error").hidden, MINUTES);
      assert((await errorText(page)).includes("(context-overflow)"), `error: ${await errorText(page)}`);
      await say(page, "What is 2:4 sparsity?");
      equal(page.errors, [], "errors in the console");
      await page.close();
    }],
    ["demo: a picked file gives two replies without reload", async () => {
      const page = await open();
      await page.setFiles("#file", existsSync(TRAINED) ? TRAINED : MODEL);
      await page.wait(LOADED, 3 * MINUTES);
      equal(await errorText(page), "", "error on the page");
      const read = await page.evaluate(() => document.getElementById("uploaded-bytes").textContent);
      assert(/^([\d.]+ .?B) of \1$/.test(read), `upload shown as "${read}"`);
      await say(page, "Once upon a time");
      await say(page, " One day");
      const [first, second, ...more] = await replies(page);
      assert(first.length > 3 && second.length > 3 && more.length === 0, `replies: ${JSON.stringify([first, second, more])}`);
      if (existsSync(TRAINED)) assert(", there was a little girl named Lily.".startsWith(first.slice(0, 20)), `first reply: ${first}`);
      const status = await page.evaluate(() => document.getElementById("status").textContent);
      assert(/^[\d.]+ tokens\/s/.test(status), `status: ${status}`);
      equal(page.errors, [], "errors in the console");
      await page.close();
    }],
    ["demo: stop ends a reply, and the next one works", async () => {
      const page = await open();
      await page.setFiles("#file", MODEL);
      await page.wait(LOADED, 3 * MINUTES);
      await page.evaluate(() => (document.getElementById("max-tokens").value = "400"));
      const before = await page.evaluate(() => document.getElementById("status").textContent);
      // In the page itself: a reply may be over before the test hears of its first word.
      await page.evaluate(() => {
        const stop = () => document.querySelector("#messages li.assistant")?.textContent && document.getElementById("stop").click();
        new MutationObserver(stop).observe(document.getElementById("messages"), { childList: true, subtree: true });
      });
      await page.fill("#prompt", "Once upon a time");
      await page.click("#send");
      await page.wait(IDLE, MINUTES);
      equal(await page.evaluate(() => document.getElementById("status").textContent), before, "status after a stopped reply");
      equal(await errorText(page), "", "error on the page");
      await page.evaluate(() => document.getElementById("clear").click());
      await page.evaluate(() => (document.getElementById("max-tokens").value = "1"));
      await say(page, "again");
      await page.close();
    }],
    ["demo: a URL loads; a wrong one is a sentence, not a dead page", async () => {
      const page = await open();
      await page.fill("#url", `${base}range/goldens/none.gguf`);
      await page.click("#url-form button");
      await page.wait(() => !document.getElementById("error").hidden, MINUTES);
      const text = await errorText(page);
      assert(text.includes("404") && text.includes("(download-failed)"), `error: ${text}`);
      await page.setFiles("#file", join(made, "garbage.gguf"));
      await page.wait(() => /\(bad-file\)$/.test(document.getElementById("error").textContent), MINUTES);
      await page.fill("#url", `${base}range/goldens/llama-Q4_0.gguf`);
      await page.click("#url-form button");
      await page.wait(LOADED, 3 * MINUTES);
      await say(page, "Once upon a time");
      await page.close();
    }],
  ];
}

/** A browser without WebGPU says what is missing. */
export function noWebGpuTests(browser, www) {
  return [
    ["demo: without WebGPU the page says so", async () => {
      const page = await browser.open(www);
      assert(!(await page.evaluate(() => "gpu" in navigator)), "this browser was started with WebGPU");
      await page.wait(() => !document.getElementById("error").hidden, MINUTES);
      const text = await page.evaluate(() => document.getElementById("error").textContent);
      assert(text.includes("WebGPU") && text.includes("(unsupported-webgpu)"), `error: ${text}`);
      await page.evaluate(() => (document.getElementById("error").textContent = ""));
      await page.setFiles("#file", MODEL);
      await page.wait(() => !document.getElementById("picker").hidden && /WebGPU.*\(unsupported-webgpu\)/s.test(document.getElementById("error").textContent), MINUTES);
      await page.close();
    }],
  ];
}
