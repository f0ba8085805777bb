import { LacewingError } from "./errors.js";

/** What every option that is not given looks like: absent, or present and undefined. */
type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The options without those that are `undefined`, which mean the same as absent ones, everywhere. */
export function given<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** What an option must be: the range of a whole number, or types and names with "or" between them. */
type Kind = string | { min: number; max: number };
export const whole = (min = 0, max = 0xffffffff): Kind => ({ min, max });

/**
 * The options that are given, each of its kind. Throws `bad-request` for others, by name, and for a name that no option
 * has: a misspelt option must not be ignored silently. `prefix` stands before the names in messages.
 */
export function checkOptions<T extends object>(what: string, options: T, kinds: Record<keyof T, Kind>, prefix = ""): Given<T> {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new LacewingError("bad-request", `The options of ${what} are an object; found ${String(options)}.`);
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
export function check(option: string, value: unknown, kind: Kind): void {
  const one = (name: string): boolean => {
    const type = name.replace(/^an? /, "");
    if (type === "list of strings") return Array.isArray(value) && value.every((each) => typeof each === "string");
    if (type === "AbortSignal") return typeof (value as AbortSignal | null)?.addEventListener === "function";
    return value === name || (typeof value === type && value !== null);
  };
  const named = typeof kind === "string";
  // wasm would cut other numbers to a whole one.
  if (named ? kind.split(" or ").some(one) : Number.isInteger(value) && (value as number) >= kind.min && (value as number) <= kind.max) return;
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 50)) : String(value);
  const words = named ? kind : `a whole number from ${kind.min} to ${kind.max}`;
  throw new LacewingError("bad-request", `${option} is ${shown}; it must be ${words}.`, named ? { option } : { option, ...kind });
}
