import { LacewingError } from "./errors.js";

/** What every option that is not given looks like: absent, or present and undefined. */
type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The options without those that are `undefined`, which mean the same as absent ones, everywhere. */
export function given<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Throws `bad-request` for a key that no option has: a misspelt option must not be ignored silently. */
export function checkKeys(what: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(given(options))) {
    if (!known.includes(key)) {
      throw new LacewingError("bad-request", `${what} has no option "${key}"; it knows ${known.join(", ")}.`, { key });
    }
  }
}

/** Throws `bad-request` unless the option is absent or a whole number from `min` to `max`: wasm would cut it to one. */
export function checkWhole(option: string, value: unknown, min = 0, max = 0xffffffff): void {
  if (value === undefined || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)) return;
  throw new LacewingError("bad-request", `${option} is ${String(value)}; it must be a whole number from ${min} to ${max}.`, { option, min, max });
}
