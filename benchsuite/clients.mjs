// 64 clients that search at once for a minute, after one client alone: answers, throughput, memory.
// Usage: SBIR_DATA=… node benchsuite/clients.mjs SBIR [SECONDS] [OUT.json]
//
// Each client sends a drawing of Chair-V2, waits for the answer, and sends the next; after a 503 it waits as long as it
// was asked to. Traffic stays on the loopback interface.

import { spawn } from "node:child_process";
import { readFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";

const [binary, secondsWanted = "60", out] = process.argv.slice(2);
const data = process.env.SBIR_DATA ?? new URL("../../shared/data", import.meta.url).pathname;
if (!binary) {
  console.error("usage: node benchsuite/clients.mjs SBIR [SECONDS] [OUT.json]");
  process.exit(2);
}
const CLIENTS = 64;
const seconds = Math.min(600, Number(secondsWanted));
const home = mkdtempSync(join(tmpdir(), "sbir-clients-"));
const port = 18422;
const server = spawn(
  binary,
  ["serve", join(data, "photos1000"), "--gallery", join(home, "gallery.sbir"), "--listen", `127.0.0.1:${port}`, "--no-open"],
  { stdio: "ignore", env: { ...process.env, XDG_CACHE_HOME: join(home, "cache") } },
);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];
const round = (value) => Math.round(value * 10) / 10;
/** Resident memory without what is mapped from files, in MiB. */
const memory = () => {
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  return Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)[1]) / 1024);
};

const drawings = readFileSync(join(data, "chairv2/strokes.ndjson"), "utf8").split("\n").filter(Boolean)
  .map((line) => { const { canvas, strokes } = JSON.parse(line); return JSON.stringify({ canvas, strokes }); });

function search(agent, body) {
  return new Promise((done) => {
    const began = performance.now();
    const asked = request(
      { host: "127.0.0.1", port, path: "/api/search?k=30", method: "POST", agent, headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) } },
      (answer) => {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () => {
          let sound = answer.statusCode === 503 && Boolean(answer.headers["retry-after"]);
          if (answer.statusCode === 200) sound = JSON.parse(Buffer.concat(chunks)).hits.length === 30;
          done({ status: answer.statusCode, sound, ms: performance.now() - began, retry: Number(answer.headers["retry-after"] ?? 0) });
        });
        answer.on("error", () => done({ status: 0, sound: false, ms: 0, retry: 0 }));
      },
    );
    asked.on("error", () => done({ status: 0, sound: false, ms: 0, retry: 0 }));
    asked.end(body);
  });
}

async function run(clients) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const until = performance.now() + seconds * 1000;
  const answers = [];
  const sizes = [memory()];
  const watch = setInterval(() => sizes.push(memory()), 2000);
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    for (let i = client; performance.now() < until; i += clients) {
      const answer = await search(agent, drawings[i % drawings.length]);
      answers.push(answer);
      if (answer.retry) await pause(answer.retry * 1000);
    }
  }));
  clearInterval(watch);
  agent.destroy();
  const found = answers.filter((answer) => answer.status === 200);
  const times = found.map((answer) => answer.ms);
  return {
    clients,
    seconds,
    results: found.length,
    busy: answers.filter((answer) => answer.status === 503).length,
    other: answers.filter((answer) => !answer.sound).length,
    per_second: round(found.length / seconds),
    ms: { median: round(quantile(times, 0.5)), p95: round(quantile(times, 0.95)), max: round(Math.max(...times)) },
    mib: { first: sizes[0], middle: sizes[Math.floor(sizes.length / 2)], last: sizes.at(-1), most: Math.max(...sizes) },
  };
}

try {
  let state;
  for (const began = Date.now(); ; await pause(300)) {
    state = await fetch(`http://127.0.0.1:${port}/api/index`).then((answer) => answer.json(), () => null);
    if (state?.phase === "idle" && state.photos >= 1000) break;
    if (state?.phase === "failed" || server.exitCode !== null || Date.now() - began > 1_200_000) throw new Error(state?.message ?? "no server");
  }
  const report = { machine: `${cpus()[0].model}, ${cpus().length} cores`, encoder: state.encoder, photos: state.photos, runs: [await run(1), await run(CLIENTS)] };
  console.log(JSON.stringify(report, null, 2));
  if (out) writeFileSync(out, `${JSON.stringify(report, null, 1)}\n`);
  const [one, many] = report.runs;
  if (one.other + many.other > 0 || many.per_second < 0.95 * one.per_second) process.exitCode = 1;
} finally {
  server.kill();
  rmSync(home, { recursive: true, force: true });
}
