/** A real server, a real browser, and real drawings for the tests of the page. */

import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
export const data = process.env.SBIR_DATA ?? join(root, "../shared/data");
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** `sbir` with its real encoder; without it the test server, whose encoder tells pictures apart and no more. */
export const real = Boolean(process.env.SBIR_BIN);
const binary = process.env.SBIR_BIN || process.env.SBIR_TEST_SERVER || "";

/** Why the tests of the page cannot run here, or false. In CI they must. */
export function missing() {
  const reasons = [];
  if (!existsSync(browserPath)) reasons.push(`no Chromium at ${browserPath}`);
  if (!existsSync(join(data, "chairv2/strokes.ndjson"))) reasons.push(`no Chair-V2 in ${data}`);
  if (!binary || !existsSync(binary)) reasons.push("no server: set SBIR_TEST_SERVER or SBIR_BIN");
  if (reasons.length === 0) return false;
  const why = reasons.join("; ");
  if (process.env.CI === "true") throw new Error(why);
  console.log(`skipped: ${why}`);
  return why;
}

/** The first Chair-V2 drawings of `count` different photos: `{sketch, photo, canvas, strokes}`. */
export function drawings(count) {
  const seen = new Map();
  for (const line of readFileSync(join(data, "chairv2/strokes.ndjson"), "utf8").split("\n")) {
    if (!line || seen.size === count) continue;
    const record = JSON.parse(line);
    if (!seen.has(record.photo)) seen.set(record.photo, record);
  }
  return [...seen.values()];
}

/** A folder with so many of the chairs' photos, and files of other names. */
export function photoFolder(count, { names = [] } = {}) {
  const home = mkdtempSync(join(tmpdir(), "sbir-page-"));
  const photos = join(home, "photos");
  mkdirSync(photos);
  const chairs = readdirSync(join(data, "chairv2/photo")).sort();
  for (const name of chairs.slice(0, count)) copyFileSync(join(data, "chairv2/photo", name), join(photos, name));
  const others = readdirSync(join(data, "photos1000")).sort();
  names.forEach((name, i) => copyFileSync(join(data, "photos1000", others[i * 31]), join(photos, name)));
  return { home, photos };
}

export function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** Starts `serve`; `stop` ends it, at once or in an orderly way. */
export async function startServer({ home, photos }, { port, env = {} } = {}) {
  const on = port ?? (await freePort());
  const child = spawn(
    binary,
    ["serve", photos, "--gallery", join(home, "gallery.sbir"), "--listen", `127.0.0.1:${on}`, "--no-open"],
    { env: { ...process.env, XDG_CACHE_HOME: join(home, "xdg"), ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let words = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => { words += text; });
  const url = `http://127.0.0.1:${on}`;
  const began = Date.now();
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended: ${words}`);
    const up = await fetch(`${url}/api/health`).then((answer) => answer.ok, () => false);
    if (up) break;
    if (Date.now() - began > 60_000) throw new Error(`the server does not answer: ${words}`);
    await pause(50);
  }
  const stop = (signal = "SIGTERM") =>
    new Promise((done) => {
      if (child.exitCode !== null || child.signalCode !== null) return done();
      child.once("exit", done);
      child.kill(signal);
    });
  return { url, port: on, stop };
}

export const state = async (url) => (await fetch(`${url}/api/index`)).json();

export async function indexed(url, photos) {
  const began = Date.now();
  for (;;) {
    const now = await state(url);
    if (now.phase === "idle" && now.photos >= photos) return now;
    if (now.phase === "failed" || Date.now() - began > 180_000) throw new Error(JSON.stringify(now));
    await pause(100);
  }
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export const launch = () =>
  chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
  });

/** A page that collects everything it complains about; `check` fails on any of it. */
export async function openPage(browser, url, { hash = "", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.stack ?? String(error)));
  page.on("console", (message) => {
    // A refused or failed request is a line in the console; tests that expect one look for its effect.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  await page.goto(`${url}/${hash}`);
  const check = () => {
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
  };
  return { page, check, close: () => context.close() };
}

/** Draws strokes with the mouse, point by point. */
export async function draw(page, { canvas, strokes }, { afterStroke } = {}) {
  const box = await page.locator("#canvas").boundingBox();
  const at = ([x, y]) => [box.x + (x / canvas) * box.width, box.y + (y / canvas) * box.height];
  for (const stroke of strokes) {
    await page.mouse.move(...at(stroke[0]));
    await page.mouse.down();
    for (const point of stroke.slice(1)) await page.mouse.move(...at(point));
    await page.mouse.up();
    await afterStroke?.();
  }
}

export const line = (...points) => ({ canvas: 100, strokes: [points] });

/** What the page would send, through its own export. */
export async function strokes(page) {
  await page.click("#export-button");
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("[data-export=strokes]")]);
  return JSON.parse(readFileSync(await file.path(), "utf8")).strokes;
}

/** Waits until results for the whole drawing are shown, and gives their names. */
export async function results(page) {
  await page.waitForFunction(() => {
    const pulse = document.querySelector("#pulse");
    return document.querySelector("#results.ranked li") && !pulse.classList.contains("on");
  });
  return page.locator("#results .tile-name").allTextContents();
}

export const remove = (folder) => rmSync(folder, { recursive: true, force: true });
