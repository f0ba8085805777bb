import { loadLocal } from "./local.js";
import { makeLoad } from "./model.js";

/** Loads a model into this thread. */
export const load = makeLoad(loadLocal);

export type { Model } from "./model.js";
export type { Reply } from "./reply.js";
export type { Session } from "./session.js";
export { ERROR_CODES, type ErrorCode, LacewingError } from "./errors.js";
export type * from "./types.js";
