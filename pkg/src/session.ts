import { onAbort, throwIfAborted } from "./abort.js";
import type { Engine, SamplingOptions } from "./engine.js";
import { LacewingError } from "./errors.js";
import { checkOptions, given, whole } from "./options.js";
import type { PromptQueue } from "./queue.js";
import { Reply } from "./reply.js";
import type { Message, PromptOptions, ReplyResult, SessionOptions } from "./types.js";

const PROMPT_OPTIONS = {
  maxTokens: whole(),
  temperature: "a number",
  topK: whole(),
  topP: "a number",
  minP: "a number",
  repetitionPenalty: "a number",
  stop: "a string or a list of strings",
  seed: whole(0, 2 ** 53),
  ignoreEos: "a boolean",
  signal: "an AbortSignal",
};

/** A conversation with a model. A prompt that fails or is aborted leaves no trace in it. */
export class Session {
  readonly #engine: Engine;
  readonly #queue: PromptQueue;
  /** With a chat template: the conversation. */
  #messages: Message[] = [];
  /** Without: the tokens so far. */
  #ids: Uint32Array = new Uint32Array();
  /** The engine's session, which holds the state on the device; undefined before the first prompt. */
  #state: number | undefined;
  #disposed = false;

  /** Not for callers: `model.session()` makes sessions. */
  constructor(engine: Engine, queue: PromptQueue, options: SessionOptions) {
    this.#engine = engine;
    this.#queue = queue;
    if (options.system !== undefined) this.append({ role: "system", content: options.system });
  }

  /** A copy of the conversation. */
  get messages(): Message[] {
    return structuredClone(this.#messages);
  }

  /** Adds messages without asking for a reply: an earlier conversation, or what was read of an aborted reply. */
  append(...messages: Message[]): void {
    this.#messages.push(...checkMessages(this.#engine, messages));
  }

  /**
   * Asks for a reply to a text (a user message) or to messages, after what was said before. Replies of one model are
   * computed one after the other, in the order of the calls, whether or not anybody reads them.
   */
  prompt(input: string | Message | readonly Message[], options: PromptOptions = {}): Reply {
    const stop = new AbortController();
    const start = async (emit: (text: string) => void): Promise<ReplyResult> => {
      const { signal, stop: ends, ...rest } = checkOptions("prompt()", options, PROMPT_OPTIONS);
      const sampling = ends === undefined ? rest : { ...rest, stop: [ends].flat() };
      const unlisten = onAbort(signal, () => stop.abort(signal?.reason));
      const work = async (): Promise<ReplyResult> => {
        this.#check();
        return this.#reply(input, sampling, stop.signal, emit);
      };
      return this.#queue.run(stop.signal, work).finally(unlisten);
    };
    return new Reply(start, (reason) => stop.abort(reason));
  }

  /**
   * A second conversation that begins where this one is now; both go on independently, and what they share is not
   * computed again. A reply that is still being computed is not part of it.
   */
  fork(): Session {
    this.#check();
    const fork = new Session(this.#engine, this.#queue, {});
    fork.#messages = this.messages;
    fork.#ids = this.#ids.slice();
    // Without room for a copy of the state, the fork computes its own at its first prompt.
    const copy = async (): Promise<void> => {
      if (this.#state === undefined || this.#disposed || fork.#disposed) return;
      fork.#state = await this.#engine.forkSession(this.#state).catch(() => undefined);
    };
    void this.#queue.run(undefined, copy).catch(() => undefined);
    return fork;
  }

  /** Forgets the conversation and frees its memory on the device; later prompts fail with `disposed`. */
  dispose(): void {
    this.#disposed = true;
    this.#messages = [];
    this.#ids = new Uint32Array();
    // After what runs now; a model that has been disposed of has freed it already.
    void this.#queue.run(undefined, () => this.#close()).catch(() => undefined);
  }

  async #close(): Promise<void> {
    const state = this.#state;
    this.#state = undefined;
    if (state !== undefined) await this.#engine.closeSession(state);
  }

  #check(): void {
    if (this.#disposed) throw new LacewingError("disposed", "The session has been disposed of; start another with model.session().");
  }

  async #reply(input: string | Message | readonly Message[], sampling: SamplingOptions, signal: AbortSignal, emit: (text: string) => void): Promise<ReplyResult> {
    const chat = this.#engine.info.hasChatTemplate;
    const added = chat ? toMessages(this.#engine, input) : [];
    const ids = chat ? await this.#engine.tokenizeChat([...this.#messages, ...added]) : await this.#continueText(input);
    throwIfAborted(signal);
    let text = "";
    const generated: number[] = [];
    this.#state ??= await this.#engine.createSession();
    await this.#engine.begin(this.#state, ids, sampling);
    for (;;) {
      throwIfAborted(signal);
      const piece = await this.#engine.next();
      if (!piece) break;
      for (const id of piece.ids) generated.push(id);
      if (piece.text === "") continue;
      text += piece.text;
      emit(piece.text);
    }
    const measured = await this.#engine.usage();
    if (!measured) throw new LacewingError("bad-request", "The reply ended without a reason.");
    const { finishReason, ...usage } = measured;
    if (!this.#disposed) {
      if (chat) this.#messages.push(...added, { role: "assistant", content: text });
      else this.#ids = Uint32Array.from([...ids, ...generated]);
    }
    return { text, usage, finishReason };
  }

  /** Without a chat template a prompt goes on where the last reply ended. */
  async #continueText(input: string | Message | readonly Message[]): Promise<Uint32Array> {
    if (typeof input !== "string") {
      throw new LacewingError("bad-request", "This model has no chat template, so it takes a text to continue, not messages.");
    }
    const ids = await this.#engine.tokenize(input, this.#ids.length === 0);
    return Uint32Array.from([...this.#ids, ...ids]);
  }
}

function toMessages(engine: Engine, input: string | Message | readonly Message[]): Message[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  return checkMessages(engine, Array.isArray(input) ? (input as readonly Message[]) : [input as Message]);
}

/** A copy of the messages, so that later changes by the caller have no effect. */
function checkMessages(engine: Engine, messages: readonly Message[]): Message[] {
  if (!engine.info.hasChatTemplate) {
    throw new LacewingError("bad-request", "This model has no chat template, so a system text and messages have no meaning for it.");
  }
  for (const message of messages) {
    if (typeof message?.role !== "string" || typeof message.content !== "string") {
      throw new LacewingError("bad-request", 'A message is { role, content } with two strings, e.g. { role: "user", content: "Hello" }.');
    }
  }
  return structuredClone(messages.map((message) => given(message) as Message));
}
