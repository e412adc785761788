// Makes the README's picture of the page: a boat drawn over a folder of photos.
// Usage: node scripts/screenshot.mjs SBIR FOLDER OUT.png [light|dark]
//
// FOLDER must hold pictures that may be shown, such as the Fluent renders that scripts/demo/fetch.sh brings (MIT).
// Run scripts/browser.sh once before: it installs Chromium and Playwright.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(new URL("../crates/sbir-server/web/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const [binary, folder, out, colorScheme = "light"] = process.argv.slice(2);
if (!out) {
  console.error("usage: node scripts/screenshot.mjs SBIR FOLDER OUT.png [light|dark]");
  process.exit(2);
}

/** Points along a curve through the given ones (Catmull–Rom), so that lines look drawn. */
function curve(points, steps = 8) {
  const at = (i) => points[Math.min(points.length - 1, Math.max(0, i))];
  const line = [];
  for (let i = 0; i + 1 < points.length; i++) {
    for (let k = 0; k < steps; k++) {
      const t = k / steps;
      line.push([0, 1].map((c) => {
        const [p, q, r, s] = [at(i - 1)[c], at(i)[c], at(i + 1)[c], at(i + 2)[c]];
        return 0.5 * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t * t + (3 * q - p - 3 * r + s) * t ** 3);
      }));
    }
  }
  return [...line, at(points.length - 1)];
}

/** On a canvas of 100: hull, mast, two sails, the sea. */
const BOAT = [
  curve([[16, 66], [40, 68.5], [62, 68], [86, 65.5]]),
  curve([[16, 66], [20, 75], [27, 82], [50, 83.5], [73, 82], [81, 75], [86, 65.5]]),
  curve([[51, 67.5], [50.5, 40], [51.5, 11]]),
  curve([[52, 12], [64, 27], [75, 44], [79, 58], [66, 60], [52.5, 60.5]]),
  curve([[49, 19], [41, 36], [31, 50], [24, 58.5], [36, 60.5], [49, 60]]),
  curve([[6, 89], [16, 86.5], [26, 90], [37, 87], [49, 90.5], [61, 87], [73, 90.5], [84, 87], [95, 89.5]]),
];

const home = mkdtempSync(join(tmpdir(), "sbir-screenshot-"));
const port = 18420;
const server = spawn(
  binary,
  ["serve", folder, "--gallery", join(home, "gallery.sbir"), "--listen", `127.0.0.1:${port}`, "--no-open"],
  { stdio: "ignore" },
);
const url = `http://127.0.0.1:${port}`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
try {
  for (let tries = 0; ; tries++) {
    const state = await fetch(`${url}/api/index`).then((answer) => answer.json(), () => null);
    if (state?.phase === "idle" && state.photos > 0) break;
    if (state?.phase === "failed" || server.exitCode !== null || tries > 6000) throw new Error(state?.message ?? "no server");
    await pause(200);
  }
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  const page = await browser.newPage({
    viewport: { width: 1280, height: 760 }, deviceScaleFactor: 1.5, colorScheme, reducedMotion: "reduce",
  });
  await page.goto(url);
  const box = await page.locator("#canvas").boundingBox();
  for (const stroke of BOAT) {
    const place = ([x, y]) => [box.x + (x / 100) * box.width, box.y + (y / 100) * box.height];
    await page.mouse.move(...place(stroke[0]));
    await page.mouse.down();
    for (const point of stroke.slice(1)) await page.mouse.move(...place(point));
    await page.mouse.up();
  }
  await page.waitForSelector("#results.ranked li");
  await page.mouse.move(2, 2);
  await pause(1500);
  await page.screenshot({ path: out });
  await browser.close();
} finally {
  server.kill();
  rmSync(home, { recursive: true, force: true });
}
