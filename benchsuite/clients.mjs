// 64 clients that search at once for a minute, between two half minutes of one client: answers, throughput, memory.
//
//   node benchsuite/clients.mjs target/release/sbir benchsuite/runs/<date>-clients [SECONDS]
//
// Each client sends a drawing of Chair-V2, waits for the answer, and sends the next; after a 503 it waits as long as it
// was asked to. Traffic stays on the loopback interface, and the clients share the machine with the server. Needs
// photos1000 and chairv2 in SBIR_DATA. The folder gets report.json, raw.csv (one line an answer: run, clients, when it was
// asked, status, sound, milliseconds) and memory.csv (resident memory without what is mapped from files, each second).
// Fails when an answer is neither results nor a 503 with Retry-After, when 64 clients get less than one does, or when
// memory grows.

import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { chairs, data, machine, pause, quantile, round, serving, summary, tell, workFolder } from "./serving.mjs";

const [binary, out, seconds = "60"] = process.argv.slice(2);
if (!binary) {
  console.error("usage: node benchsuite/clients.mjs SBIR [FOLDER] [SECONDS]");
  process.exit(2);
}
const CLIENTS = 64;
const HITS = 30;
/** Growth from the first to the last third of a run that is no growth: a buffer here and there. */
const FLAT_MIB = 8;

const notes = machine();
const { home, remove } = workFolder();
const server = await serving(binary, home, join(data, "photos1000"), 1000, 18422);
const drawings = chairs().map(({ canvas, strokes }) => JSON.stringify({ canvas, strokes }));

const memory = () => {
  const status = readFileSync(`/proc/${server.child.pid}/status`, "utf8");
  return round(Number(/RssAnon:\s+(\d+)/.exec(status)[1]) / 1024);
};

/** Asks once: status, whether the answer is sound, milliseconds, and the seconds to wait that a 503 names. */
function search(agent, body) {
  return new Promise((done) => {
    const began = performance.now();
    const lost = () => done({ status: 0, sound: false, ms: performance.now() - began, retry: 1 });
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const asked = request({ host: "127.0.0.1", port: server.port, path: `/api/search?k=${HITS}`, method: "POST", agent, headers }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("error", lost);
      answer.on("end", () => {
        const { statusCode: status, headers } = answer;
        const ms = performance.now() - began;
        const retry = Number(headers["retry-after"] ?? 0);
        const sound = status === 200 ? JSON.parse(Buffer.concat(chunks)).hits.length === HITS : status === 503 && retry > 0;
        done({ status, sound, ms, retry });
      });
    });
    asked.on("error", lost);
    asked.end(body);
  });
}

const raw = [];
const sizes = [];

async function run(number, clients, seconds) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const began = performance.now();
  const until = began + seconds * 1000;
  const answers = [];
  const mib = [memory()];
  const watch = setInterval(() => mib.push(memory()), 1000);
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    for (let i = client; performance.now() < until; i += clients) {
      const asked = performance.now() - began;
      const answer = await search(agent, drawings[i % drawings.length]);
      answers.push(answer);
      raw.push([number, clients, round(asked), answer.status, answer.sound, round(answer.ms)]);
      if (answer.retry) await pause(answer.retry * 1000);
    }
  }));
  const took = (performance.now() - began) / 1000;
  clearInterval(watch);
  agent.destroy();
  sizes.push(...mib.map((value, second) => [number, clients, second, value]));
  const third = Math.ceil(mib.length / 3);
  const results = answers.filter((answer) => answer.status === 200);
  return {
    clients,
    seconds: round(took),
    results: results.length,
    busy: answers.filter((answer) => answer.status === 503).length,
    unsound: answers.filter((answer) => !answer.sound).length,
    results_per_second: round(results.length / took),
    ms: summary(results.map((answer) => answer.ms)),
    mib: { first_third: quantile(mib.slice(0, third), 0.5), last_third: quantile(mib.slice(-third), 0.5), most: Math.max(...mib) },
  };
}

try {
  // The first searches make room for what all later ones use again.
  await run(0, CLIENTS, 3);
  raw.length = sizes.length = 0;
  const half = Number(seconds) / 2;
  const runs = [await run(1, 1, half), await run(2, CLIENTS, Number(seconds)), await run(3, 1, half)];
  const [before, many, after] = runs;
  const ratio = many.results_per_second / ((before.results_per_second + after.results_per_second) / 2);
  const grown = many.mib.last_third - many.mib.first_third;
  const failures = [
    runs.some((each) => each.unsound > 0) && "an answer was neither results nor a 503 with Retry-After",
    ratio < 1 && "64 clients got less than one client does",
    grown > FLAT_MIB && "memory grew",
  ].filter(Boolean);
  const report = { machine: notes, encoder: server.state.encoder, photos: server.state.photos, runs, ratio: Math.round(ratio * 1000) / 1000, grown_mib: round(grown), failures };
  tell(out, report, {
    raw: { columns: ["run", "clients", "asked_ms", "status", "sound", "ms"], rows: raw },
    memory: { columns: ["run", "clients", "second", "mib"], rows: sizes },
  });
  if (failures.length > 0) process.exitCode = 1;
} finally {
  server.stop();
  remove();
}
