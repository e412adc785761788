// From the end of a stroke to new results on the page, in Chromium, over 10,000 photos.
// Usage: SBIR_DATA=… node benchsuite/page_latency.mjs SBIR [STROKES] [OUT.json]
//
// The folder is made of photos1000's files under ten names each. Strokes are real ones from Chair-V2, drawn point by
// point with the mouse. Measured in the page from the `pointerup` event to the frame after the results stand in the
// document; and to when the first eight pictures are there.
// Run scripts/browser.sh once before: it installs Chromium and Playwright.

import { spawn } from "node:child_process";
import { linkSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(new URL("../crates/sbir-server/web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const [binary, strokesWanted = "200", out] = process.argv.slice(2);
const data = process.env.SBIR_DATA ?? new URL("../../shared/data", import.meta.url).pathname;
if (!binary) {
  console.error("usage: node benchsuite/page_latency.mjs SBIR [STROKES] [OUT.json]");
  process.exit(2);
}

const home = mkdtempSync(join(tmpdir(), "sbir-latency-"));
const photos = join(home, "photos");
mkdirSync(photos);
for (const name of readdirSync(join(data, "photos1000"))) {
  copyFileSync(join(data, "photos1000", name), join(photos, `0-${name}`));
  for (let i = 1; i < 10; i++) linkSync(join(photos, `0-${name}`), join(photos, `${i}-${name}`));
}
const port = 18421;
const server = spawn(
  binary,
  ["serve", photos, "--gallery", join(home, "gallery.sbir"), "--listen", `127.0.0.1:${port}`, "--no-open"],
  { stdio: "ignore", env: { ...process.env, XDG_CACHE_HOME: join(home, "cache") } },
);
const url = `http://127.0.0.1:${port}`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];
const round = (value) => Math.round(value * 10) / 10;

try {
  let state;
  for (const began = Date.now(); ; await pause(500)) {
    state = await fetch(`${url}/api/index`).then((answer) => answer.json(), () => null);
    if (state?.phase === "idle" && state.photos >= 10_000) break;
    if (state?.phase === "failed" || server.exitCode !== null || Date.now() - began > 3_600_000) throw new Error(state?.message ?? "no server");
  }
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  await page.goto(url);
  await page.waitForSelector("#results li");
  await page.evaluate(() => {
    window.times = [];
    let lifted = null;
    document.querySelector("#canvas").addEventListener("pointerup", () => { lifted = performance.now(); });
    new PerformanceObserver((list) => {
      for (const mark of list.getEntries()) {
        if (mark.name !== "sbir:results" || !mark.detail.settled || lifted === null) continue;
        const [from, entry] = [lifted, {}];
        lifted = null;
        window.times.push(entry);
        requestAnimationFrame(() => setTimeout(() => { entry.results = performance.now() - from; }));
        const wait = () => {
          const images = [...document.querySelectorAll("#results img")].slice(0, 8);
          if (images.every((image) => image.complete)) entry.pictures = performance.now() - from;
          else setTimeout(wait, 4);
        };
        wait();
      }
    }).observe({ type: "mark" });
  });
  const box = await page.locator("#canvas").boundingBox();
  const sketches = readFileSync(join(data, "chairv2/strokes.ndjson"), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  let drawn = 0;
  for (let i = 0; drawn < Number(strokesWanted); i += 7) {
    const { canvas, strokes } = sketches[i % sketches.length];
    for (const stroke of strokes.slice(0, 8)) {
      const place = ([x, y]) => [box.x + (x / canvas) * box.width, box.y + (y / canvas) * box.height];
      await page.mouse.move(...place(stroke[0]));
      await page.mouse.down();
      for (const point of stroke.slice(1)) await page.mouse.move(...place(point));
      await page.mouse.up();
      drawn += 1;
      await page.waitForFunction((n) => window.times.length >= n && window.times.at(-1).pictures, drawn, { timeout: 20_000 });
      await pause(60);
      if (drawn >= Number(strokesWanted)) break;
    }
    await page.click("#clear");
  }
  const times = await page.evaluate(() => window.times);
  await browser.close();
  const summary = (key) => {
    const values = times.map((time) => time[key]);
    return { median: round(quantile(values, 0.5)), p95: round(quantile(values, 0.95)), max: round(Math.max(...values)) };
  };
  const report = {
    what: "milliseconds from the end of a stroke",
    photos: state.photos,
    encoder: state.encoder,
    strokes: times.length,
    machine: `${cpus()[0].model}, ${cpus().length} cores`,
    results: summary("results"),
    pictures: summary("pictures"),
  };
  console.log(JSON.stringify(report, null, 2));
  if (out) writeFileSync(out, `${JSON.stringify({ ...report, times }, null, 1)}\n`);
} finally {
  server.kill();
  rmSync(home, { recursive: true, force: true });
}
