import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Ends the program with a sentence. */
export function stop(message) {
  console.error(message);
  process.exit(1);
}

/** Runs a command in the root with its output shown; false when it fails. */
export function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", env: { ...process.env, ...env } });
  if (error) console.error(`cannot run ${command}: ${error.message}`);
  return status === 0;
}

/** Runs a command, shows its output and also gives it: { ok, text }, both streams as they come. */
export function runAndRead(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    let text = "";
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8").on("data", (data) => {
        text += data;
        process[name].write(data);
      });
    }
    child.on("error", (error) => {
      console.error(`cannot run ${command}: ${error.message}`);
      resolve({ ok: false, text });
    });
    child.on("close", (code) => resolve({ ok: code === 0, text }));
  });
}

/** Checks Rust, Node and the npm packages, and says what to install where they are missing. */
export function setup() {
  if (Number.parseInt(process.versions.node, 10) < 20) stop(`Node.js 20 or newer is needed; this is ${process.version}. See https://nodejs.org`);
  if (spawnSync("cargo", ["--version"]).status !== 0) stop("Rust is needed: install it from https://rustup.rs, then run this again.");
  if (!run("cargo", ["xtask", "setup"])) stop("The setup is not complete; see above.");
}
