import { LacewingError } from "./errors.js";

/** What every option that is not given looks like: absent, or present and undefined. */
type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The options without those that are `undefined`, which mean the same as absent ones, everywhere. */
export function given<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Whether a value suits an option, what it must be in words, and its range. */
type Kind = readonly [suits: (value: unknown) => boolean, words: string, range?: { min: number; max: number }];

const isA = (type: string) => (value: unknown): boolean => typeof value === type;
export const flag: Kind = [isA("boolean"), "true or false"];
export const text: Kind = [isA("string"), "a text"];
/** Its range depends on the option; the engine knows it. */
export const number: Kind = [isA("number"), "a number"];
export const callback: Kind = [isA("function"), "a function"];
export const texts: Kind = [(value) => isA("string")(value) || (Array.isArray(value) && value.every(isA("string"))), "a text or a list of texts"];
export const signalKind: Kind = [(value) => isA("function")((value as AbortSignal | null)?.addEventListener), "an AbortSignal"];
export const object: Kind = [(value) => isA("object")(value) && value !== null, "an object"];
/** wasm would cut other numbers to one of these. */
export const whole = (min = 0, max = 0xffffffff): Kind => [
  (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  `a whole number from ${min} to ${max}`,
  { min, max },
];
export const oneOf = (...names: string[]): Kind => [(value) => names.includes(value as string), names.join(" or ")];

/**
 * The options that are given, each of its kind. Throws `bad-request` for others, by name, and for a name that no option
 * has: a misspelt option must not be ignored silently. `prefix` is what stands before the names in messages.
 */
export function checkOptions<T extends object>(what: string, options: T, kinds: { [K in keyof Required<T>]: Kind }, prefix = ""): Given<T> {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new LacewingError("bad-request", `${what} takes its options as an object; found ${shown(options)}.`);
  }
  const found = given(options);
  for (const [key, value] of Object.entries(found)) {
    if (!Object.hasOwn(kinds, key)) {
      throw new LacewingError("bad-request", `${what} has no option "${key}"; it knows ${Object.keys(kinds).join(", ")}.`, { key });
    }
    check(prefix + key, value, kinds[key as keyof T]);
  }
  return found;
}

/** Throws `bad-request` unless the value is of the kind. */
export function check(option: string, value: unknown, [suits, words, range]: Kind): void {
  if (suits(value)) return;
  throw new LacewingError("bad-request", `${option} is ${shown(value)}; it must be ${words}.`, { option, ...range });
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 50));
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}
