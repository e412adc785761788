/** A served folder and figures, for the measurements of the page and the interface. */

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
export const data = process.env.SBIR_DATA ?? resolve(root, "../shared/data");

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
export const round = (value) => Math.round(value * 10) / 10;
export const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];

/** The median, the 95th percentile and the largest of some milliseconds. */
export const summary = (ms) => ({ median: round(quantile(ms, 0.5)), p95: round(quantile(ms, 0.95)), max: round(Math.max(...ms)) });

/** A folder to work in: the one that WORK names, which stays, else one that `remove` takes away. */
export function workFolder() {
  const kept = process.env.WORK;
  if (kept) mkdirSync(kept, { recursive: true });
  const home = kept ? resolve(kept) : mkdtempSync(join(tmpdir(), "sbir-bench-"));
  return { home, remove: () => { if (!kept) rmSync(home, { recursive: true, force: true }); } };
}

/** Serves `photos` with a gallery and a cache in `home`, and waits until so many are indexed. */
export async function serving(binary, home, photos, count, port) {
  const child = spawn(
    binary,
    ["serve", photos, "--gallery", join(home, "gallery.sbir"), "--listen", `127.0.0.1:${port}`, "--no-open"],
    { stdio: "ignore", env: { ...process.env, SBIR_CACHE: join(home, "cache"), SBIR_TOKEN: "" } },
  );
  const url = `http://127.0.0.1:${port}`;
  const stop = () => child.kill();
  for (const began = Date.now(); ; await pause(300)) {
    const state = await fetch(`${url}/api/index`).then((answer) => answer.json(), () => null);
    if (state?.phase === "idle" && state.photos >= count) return { child, url, port, state, stop };
    if (state?.phase === "failed" || child.exitCode !== null || Date.now() - began > 3_600_000) {
      stop();
      throw new Error(state?.message ?? "no server");
    }
  }
}

/** The drawings of Chair-V2: `{canvas, strokes}`. */
export const chairs = () =>
  readFileSync(join(data, "chairv2/strokes.ndjson"), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

/** What was measured on, and of which commit. */
export function machine(more = {}) {
  const git = (...args) => execFileSync("git", ["-C", root, ...args], { encoding: "utf8" }).trim();
  return {
    cpu: cpus()[0].model,
    cores: cpus().length,
    memory_gib: round(totalmem() / 2 ** 30),
    linux: release(),
    node: process.version,
    load_before: loadavg().map(round),
    commit: git("describe", "--always", "--dirty", "--abbrev=12"),
    ...more,
  };
}

/** Prints a report, and writes it and the raw figures into a folder, if one was named. */
export function tell(folder, report, tables) {
  console.log(JSON.stringify(report, null, 2));
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
  for (const [name, { columns, rows }] of Object.entries(tables)) {
    writeFileSync(join(folder, `${name}.csv`), [columns, ...rows].map((row) => `${row.join(",")}\n`).join(""));
  }
}
