// From the end of a stroke to new results on the page, in Chromium, over 10,000 photos.
//
//   node benchsuite/page_latency.mjs target/release/sbir benchsuite/runs/<date>-page-latency [STROKES]
//
// The photos are photos1000's, ten files of each, made different by a few bytes behind their end, so that every one has a
// thumbnail of its own to be made. Strokes are real ones from Chair-V2, drawn point by point with the mouse. Measured in
// the page from the time stamp of the `pointerup` event until the frame is painted in which the results of the whole
// drawing stand; and until the first eight pictures are there, which are made on their first sight. The folder gets
// report.json and raw.csv (one line a stroke). Fails when the median is above 100 ms or the 95th percentile above 200 ms.
//
// Needs photos1000 and chairv2 in SBIR_DATA, and Chromium and Playwright, which scripts/browser.sh installs. WORK names a
// folder that keeps photos and gallery for another run.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chairs, data, machine, pause, round, serving, summary, tell, workFolder } from "./serving.mjs";

const require = createRequire(new URL("../crates/sbir-server/web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const [binary, out, strokesWanted = "200"] = process.argv.slice(2);
if (!binary) {
  console.error("usage: node benchsuite/page_latency.mjs SBIR [FOLDER] [STROKES]");
  process.exit(2);
}
const COPIES = 10;
const BARS = { median: 100, p95: 200 };

const { home, remove } = workFolder();
const photos = join(home, "photos");
mkdirSync(photos, { recursive: true });
const names = readdirSync(join(data, "photos1000")).sort();
for (const name of names) {
  if (existsSync(join(photos, `${COPIES - 1}-${name}`))) continue;
  const bytes = readFileSync(join(data, "photos1000", name));
  for (let copy = 0; copy < COPIES; copy++) writeFileSync(join(photos, `${copy}-${name}`), Buffer.concat([bytes, Buffer.from(`copy ${copy}`)]));
}
const server = await serving(binary, home, photos, names.length * COPIES, 18421);

/** In the page: notes for each stroke when its results and its pictures are there. */
function watch() {
  window.times = [];
  let lifted = null;
  document.querySelector("#canvas").addEventListener("pointerup", (event) => { lifted = event.timeStamp; });
  new PerformanceObserver((list) => {
    for (const mark of list.getEntries()) {
      if (mark.name !== "sbir:results" || !mark.detail.settled || lifted === null) continue;
      const [from, entry] = [lifted, { answered: mark.startTime - lifted }];
      lifted = null;
      window.times.push(entry);
      // A task after the next frame's callbacks: the frame with the results has been painted.
      requestAnimationFrame(() => setTimeout(() => { entry.results = performance.now() - from; }));
      const wait = () => {
        const images = [...document.querySelectorAll("#results img")].slice(0, 8);
        if (images.every((image) => image.complete)) entry.pictures = performance.now() - from;
        else setTimeout(wait, 4);
      };
      wait();
    }
  }).observe({ type: "mark" });
}

try {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  const notes = machine({ chromium: browser.version() });
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  await page.goto(server.url);
  await page.waitForSelector("#results li");
  await page.evaluate(watch);
  const box = await page.locator("#canvas").boundingBox();
  const sketches = chairs();
  const wanted = Number(strokesWanted);
  let drawn = 0;
  for (let i = 0; drawn < wanted; i += 7) {
    const { canvas, strokes } = sketches[i % sketches.length];
    const place = ([x, y]) => [box.x + (x / canvas) * box.width, box.y + (y / canvas) * box.height];
    for (const stroke of strokes.slice(0, Math.min(8, wanted - drawn))) {
      await page.mouse.move(...place(stroke[0]));
      await page.mouse.down();
      for (const point of stroke.slice(1)) await page.mouse.move(...place(point));
      await page.mouse.up();
      drawn += 1;
      await page.waitForFunction((n) => window.times.length >= n && window.times.at(-1).results && window.times.at(-1).pictures, drawn, { timeout: 20_000 });
      // The hand moves on to the next line.
      await pause(60);
    }
    await page.click("#clear");
  }
  const times = await page.evaluate(() => window.times);
  await browser.close();
  const of = (key) => summary(times.map((time) => time[key]));
  const results = of("results");
  const failures = Object.entries(BARS).filter(([key, bar]) => results[key] > bar).map(([key, bar]) => `${key} above ${bar} ms`);
  const report = {
    what: "milliseconds from the end of a stroke",
    machine: notes,
    encoder: server.state.encoder,
    photos: server.state.photos,
    strokes: times.length,
    answered: of("answered"),
    results,
    pictures: of("pictures"),
    failures,
  };
  const columns = ["answered", "results", "pictures"];
  tell(out, report, { raw: { columns: ["stroke", ...columns], rows: times.map((time, i) => [i + 1, ...columns.map((key) => round(time[key]))]) } });
  if (failures.length > 0) process.exitCode = 1;
} finally {
  server.stop();
  remove();
}
