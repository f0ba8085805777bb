// Chromium through playwright-core and Firefox through puppeteer-core, behind the few calls that the tests need.
import { existsSync } from "node:fs";

const CHROMIUM_FLAGS = [
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
];

const PATHS = {
  chromium: [
    process.env.LACEWING_CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  ],
  firefox: [
    process.env.LACEWING_FIREFOX,
    "/usr/bin/firefox-esr",
    "/usr/bin/firefox",
    "/Applications/Firefox.app/Contents/MacOS/firefox",
    "C:\\Program Files\\Mozilla Firefox\\firefox.exe",
  ],
};

/** Path of a browser, or undefined. */
export function findBrowser(name) {
  return PATHS[name].find((path) => path && existsSync(path));
}

/** Starts a browser. `webgpu: false` starts it without WebGPU. */
export async function launch(name, { webgpu = true } = {}) {
  const executablePath = findBrowser(name);
  if (!executablePath) throw new Error(`${name} is not installed (LACEWING_${name.toUpperCase()} may name its path)`);
  return name === "chromium" ? chromium(executablePath, webgpu) : firefox(executablePath, webgpu);
}

async function chromium(executablePath, webgpu) {
  const { chromium } = await import("playwright-core");
  // A GPU where there is one; the browser's own software adapter where there is none, or where a test run wants it.
  const software = process.env.LACEWING_GPU === "1" ? [] : ["--use-webgpu-adapter=swiftshader"];
  const args = webgpu ? [...CHROMIUM_FLAGS, ...software] : ["--disable-gpu"];
  const browser = await chromium.launch({ executablePath, args: ["--headless=new", "--no-sandbox", ...args], headless: true });
  return {
    compiler: "tint",
    close: () => browser.close(),
    async open(url) {
      const page = await browser.newPage();
      const errors = listen(page);
      // Without a GPU Chromium has no adapter, but still the object.
      if (!webgpu) await page.addInitScript(() => delete Navigator.prototype.gpu);
      await page.goto(url);
      return {
        errors,
        evaluate: (code, argument) => page.evaluate(code, argument),
        wait: (code, timeout) => page.waitForFunction(code, undefined, { timeout, polling: 250 }),
        setFiles: (selector, files) => page.setInputFiles(selector, files),
        fill: (selector, text) => page.fill(selector, text),
        click: (selector) => page.click(selector),
        close: () => page.close(),
      };
    },
  };
}

async function firefox(executablePath, webgpu) {
  const { default: puppeteer } = await import("puppeteer-core");
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    headless: true,
    protocolTimeout: 600_000,
    extraPrefsFirefox: { "dom.webgpu.enabled": webgpu, "gfx.webgpu.ignore-blocklist": true, "dom.webgpu.workers.enabled": true },
  });
  return {
    compiler: "naga",
    close: () => browser.close(),
    async open(url) {
      const page = await browser.newPage();
      const errors = listen(page);
      await page.goto(url);
      return {
        errors,
        evaluate: (code, argument) => page.evaluate(code, argument),
        wait: (code, timeout) => page.waitForFunction(code, { timeout, polling: 250 }),
        setFiles: async (selector, files) => (await page.$(selector)).uploadFile(...[files].flat()),
        fill: (selector, text) => page.locator(selector).fill(text),
        click: (selector) => page.locator(selector).click(),
        close: () => page.close(),
      };
    },
  };
}

/** Collects what the page reports as errors: blocked by the policy, thrown and not caught. */
function listen(page) {
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error?.message ?? error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  return errors;
}
