// The demo: lacewing-tiny at once, or a model of your own; see it load, talk to it. The model runs in a worker, so the page
// stays smooth.
import { type LacewingError, load, type Model, type Progress, type Reply, type ReplyResult, type Session, type Source } from "./lacewing/entry/client-browser.js";
import { filesOfDrop } from "./drop.js";

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found as T;
}

const picker = element("picker");
const loading = element("loading");
const chat = element("chat");
const errorBox = element("error");
const drop = element("drop");
const messages = element<HTMLOListElement>("messages");
const promptBox = element<HTMLTextAreaElement>("prompt");
const systemBox = element<HTMLTextAreaElement>("system");
const sendButton = element<HTMLButtonElement>("send");
const stopButton = element<HTMLButtonElement>("stop");
const changeButton = element<HTMLButtonElement>("change");
const status = element<HTMLOutputElement>("status");
const suggestions = element("suggestions");
const query = new URLSearchParams(location.search);

/** The model that the build puts beside the page, so that it can talk without downloading anything from elsewhere. */
const TINY = { url: new URL("./dist/lacewing-tiny/", document.baseURI).href, name: "lacewing-tiny" };

let model: Model | undefined;
let session: Session | undefined;
let reply: Reply | undefined;
let loadAbort: AbortController | undefined;
let isTiny = false;

function show(section: HTMLElement): void {
  for (const each of [picker, loading, chat]) each.hidden = each !== section;
  changeButton.hidden = section !== chat;
}

/** Errors as sentences; their code is there for bug reports. */
function showError(error: unknown): void {
  const { code, message } = error as Partial<LacewingError>;
  if (code === "aborted") return;
  errorBox.textContent = `${message ?? String(error)}${code ? ` (${code})` : ""}`;
  errorBox.dataset["code"] = code ?? "";
  errorBox.hidden = false;
}

function clearError(): void {
  errorBox.hidden = true;
  errorBox.textContent = "";
}

function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit++;
  }
  return `${unit === 0 ? count : count.toFixed(count < 10 ? 2 : 1)} ${units[unit]}`;
}

function showProgress(progress: Progress): void {
  for (const [id, value] of [["downloaded", progress.downloadedBytes], ["uploaded", progress.uploadedBytes]] as const) {
    const bar = element<HTMLProgressElement>(id);
    bar.max = progress.totalBytes || 1;
    bar.value = value;
    const text = progress.waiting !== undefined ? `waiting: ${progress.waiting}` : progress.phase === "open" ? "reading the header…" : `${bytes(value)} of ${bytes(progress.totalBytes)}`;
    element(`${id}-bytes`).textContent = text;
  }
}

async function loadModel(source: Source, name: string): Promise<void> {
  clearError();
  show(loading);
  element("loading-name").textContent = name;
  loadAbort = new AbortController();
  try {
    await model?.dispose();
    model = undefined;
    model = await load(source, {
      onProgress: showProgress,
      signal: loadAbort.signal,
      allowSoftwareAdapter: query.has("allowSoftware"),
    });
    isTiny = source === TINY.url;
    startSession();
    const { adapter } = await model.stats();
    status.textContent = `${name} on ${adapter}`;
    show(chat);
    promptBox.focus();
  } catch (e) {
    showError(e);
    show(picker);
  }
}

function startSession(): void {
  session?.dispose();
  messages.replaceChildren();
  const system = systemBox.value.trim();
  session = model!.session(system && model!.hasChatTemplate ? { system } : {});
  suggestions.hidden = !isTiny;
  promptBox.placeholder = model!.hasChatTemplate ? "Say something" : "Write a beginning: this model continues texts";
}

function addMessage(role: "user" | "assistant", text: string): HTMLLIElement {
  const item = document.createElement("li");
  item.className = role;
  item.textContent = text;
  messages.append(item);
  item.scrollIntoView({ block: "end" });
  return item;
}

/** A number from an input, or undefined when it is left empty. */
function setting(id: string): number | undefined {
  const { value, valueAsNumber } = element<HTMLInputElement>(id);
  return value === "" ? undefined : valueAsNumber;
}

/** A session without the oldest question and its answer, when `error` says that the context is full; else undefined. */
function withoutOldest(full: Session, error: unknown): Session | undefined {
  if ((error as Partial<LacewingError>).code !== "context-overflow" || !model?.hasChatTemplate) return undefined;
  const kept = full.messages;
  const first = kept[0]?.role === "system" ? 1 : 0;
  if (kept.length < first + 2) return undefined;
  kept.splice(first, 2);
  const shorter = model.session();
  shorter.append(...kept);
  return shorter;
}

async function ask(text: string): Promise<void> {
  clearError();
  suggestions.hidden = true;
  addMessage("user", text);
  const item = addMessage("assistant", "");
  item.classList.add("busy");
  sendButton.hidden = true;
  stopButton.hidden = false;
  const [temperature, maxTokens] = [setting("temperature"), setting("max-tokens")];
  const options = { ...(temperature === undefined ? {} : { temperature }), ...(maxTokens === undefined ? {} : { maxTokens }) };
  let mine: Reply | undefined;
  const read = async (running: Reply): Promise<ReplyResult> => {
    reply = mine = running;
    for await (const piece of running) {
      item.append(piece);
      item.scrollIntoView({ block: "end" });
    }
    return running;
  };
  try {
    // The conversation is only shortened once a reply came of it.
    const whole = session!;
    let current = whole;
    let result: ReplyResult | undefined;
    while (!result) {
      result = await read(current.prompt(text, options)).catch((error: unknown) => {
        const shorter = withoutOldest(current, error);
        if (!shorter) throw error;
        current = shorter;
        return undefined;
      });
    }
    if (session === whole) session = current;
    const { usage, finishReason } = result;
    const cut = finishReason === "length" ? ", cut at the longest reply" : "";
    status.textContent = `${usage.decodeTokensPerS.toFixed(1)} tokens/s, first after ${(usage.timeToFirstTokenS * 1000).toFixed(0)} ms, ${usage.completionTokens} tokens${cut}`;
  } catch (e) {
    showError(e);
    // What was read of an aborted reply stays part of the conversation.
    const seen = item.textContent ?? "";
    if (seen === "") item.remove();
    else if (model?.hasChatTemplate) session?.append({ role: "user", content: text }, { role: "assistant", content: seen });
  } finally {
    if (reply === mine) reply = undefined;
    item.classList.remove("busy");
    sendButton.hidden = false;
    stopButton.hidden = true;
  }
}

for (const id of ["file", "folder"]) {
  const input = element<HTMLInputElement>(id);
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = "";
    const [first] = files;
    if (!first) return;
    if (id === "file") void loadModel(first, first.name);
    else void loadModel(files, first.webkitRelativePath.split("/")[0] || first.name);
  });
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (picker.hidden || !event.dataTransfer) return;
  filesOfDrop(event.dataTransfer).then((files) => {
    if (files.length > 0) return loadModel(files, files[0]!.path.split("/")[0]!);
    showError(new Error("That was neither a file nor a folder."));
  }, showError);
});

element<HTMLFormElement>("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = element<HTMLInputElement>("url").value.trim();
  if (url) void loadModel(url, url);
});

element<HTMLFormElement>("prompt-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = promptBox.value;
  if (reply || !session || text.trim() === "") return;
  promptBox.value = "";
  void ask(text);
});
promptBox.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    element<HTMLFormElement>("prompt-form").requestSubmit();
  }
});
element("tiny").addEventListener("click", () => void loadModel(TINY.url, TINY.name));
for (const button of suggestions.querySelectorAll("button")) {
  button.addEventListener("click", () => {
    if (!reply && session) void ask(button.textContent ?? "");
  });
}
stopButton.addEventListener("click", () => reply?.abort());
element("cancel-load").addEventListener("click", () => loadAbort?.abort());
element("clear").addEventListener("click", () => {
  reply?.abort();
  startSession();
});
changeButton.addEventListener("click", () => {
  reply?.abort();
  show(picker);
});

if (!("gpu" in navigator)) {
  showError({
    code: "unsupported-webgpu",
    message: isSecureContext
      ? "This browser has no WebGPU, or it is switched off. Use a current Chrome, Edge, Firefox or Safari."
      : "Browsers offer WebGPU only to pages from https: or localhost.",
  });
}
show(picker);
// `?model=URL` loads another model, `?model=` none.
const wanted = query.get("model");
if (wanted) void loadModel(wanted, wanted);
else if (wanted === null && "gpu" in navigator) void loadModel(TINY.url, TINY.name);
