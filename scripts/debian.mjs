// On Debian, as root, installs the system packages that the tests need; elsewhere only says what is missing.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findBrowser } from "../tests/browser/drivers.mjs";

/** Oldest Mesa whose software Vulkan has what WebGPU needs. */
const MESA_MAJOR = 24;

/** Installs what is missing. Returns a list of sentences about what still is; empty when all is there. */
export function prepareSystem() {
  const missing = listMissing();
  if (missing.length === 0) return [];
  const isDebian = existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get");
  if (!isDebian || process.getuid?.() !== 0) return missing.map(({ why }) => why);
  const stable = missing.filter(({ backport }) => !backport).map(({ name }) => name);
  const backports = missing.filter(({ backport }) => backport).map(({ name }) => name);
  try {
    const suite = backports.length > 0 ? addBackports() : undefined;
    apt(["update"]);
    if (stable.length > 0) apt(["install", "--yes", "--no-install-recommends", ...stable]);
    if (suite) apt(["install", "--yes", "--no-install-recommends", "--target-release", suite, ...backports]);
  } catch (error) {
    return [String(error.message), ...listMissing().map(({ why }) => why)];
  }
  return listMissing().map(({ why }) => why);
}

function listMissing() {
  const missing = [];
  for (const [browser, name] of [["chromium", "chromium"], ["firefox", "firefox-esr"]]) {
    if (!findBrowser(browser)) missing.push({ name, why: `${browser}: install it, or name its path in LACEWING_${browser.toUpperCase()}` });
  }
  const python = output("python3", ["-c", "import sys; print(sys.version_info >= (3, 11))"]).trim();
  if (python !== "True") missing.push({ name: "python3", why: "python3 3.11 or newer, for the tests of the training data" });
  if (output("python3", ["-m", "pip", "--version"]) === "") {
    missing.push({ name: "python3-pip", why: "pip of python3, which fetches the trained models of the tests" });
  }
  if (process.platform === "linux" && existsSync("/usr/bin/dpkg-query")) {
    const mesa = installedVersion("mesa-vulkan-drivers");
    if (!(Number.parseInt(mesa ?? "", 10) >= MESA_MAJOR)) {
      const why = `mesa-vulkan-drivers ${MESA_MAJOR} or newer (found ${mesa ?? "none"}): on Debian 12 it is in bookworm-backports`;
      const stock = Number.parseInt(candidateVersion("mesa-vulkan-drivers") ?? "", 10);
      missing.push({ name: "mesa-vulkan-drivers", why, backport: !(stock >= MESA_MAJOR) });
    }
    if (!installedVersion("libvulkan1")) missing.push({ name: "libvulkan1", why: "libvulkan1: the Vulkan loader" });
  }
  return missing;
}

function output(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  return result.status === 0 ? result.stdout : "";
}

function installedVersion(name) {
  const [status, version] = output("dpkg-query", ["--show", "--showformat=${db:Status-Status} ${Version}", name]).split(" ");
  return status === "installed" ? version : undefined;
}

function candidateVersion(name) {
  return /Candidate: (\d\S*)/.exec(output("apt-cache", ["policy", name]))?.[1];
}

/** Adds the backports of this Debian from the same mirror as Debian itself; gives the suite's name. */
function addBackports() {
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  if (!codename) throw new Error("/etc/os-release does not tell the name of this Debian, so its backports cannot be added.");
  const suite = `${codename}-backports`;
  const folder = "/etc/apt/sources.list.d";
  const files = ["/etc/apt/sources.list", ...readdirSync(folder).map((name) => join(folder, name))].filter(existsSync);
  const texts = files.map((file) => readFileSync(file, "utf8"));
  if (texts.some((text) => text.includes(suite))) return suite;
  let mirror;
  for (const text of texts) {
    // The one-line form, then the deb822 form.
    mirror ??= new RegExp(`^deb\\s+(?:\\[[^\\]]*\\]\\s+)?(\\S+)\\s+${codename}\\s`, "m").exec(text)?.[1];
    const stanza = text.split(/\n\s*\n/).find((part) => new RegExp(`^Suites:.*\\b${codename}\\b(?!-)`, "m").test(part));
    mirror ??= /^URIs:\s*(\S+)/m.exec(stanza ?? "")?.[1];
  }
  if (!mirror) throw new Error(`No mirror of Debian ${codename} was found in ${files.join(", ")}.`);
  writeFileSync(join(folder, `${suite}.list`), `deb ${mirror} ${suite} main\n`);
  return suite;
}

function apt(args) {
  const result = spawnSync("apt-get", ["--quiet", ...args], { stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  if (result.status !== 0) throw new Error(`apt-get ${args.join(" ")} failed`);
}
