/** Indexing as the page shows it, and a server that goes away. */

import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { data, draw, indexed, launch, line, missing, openPage, pause, photoFolder, remove, results, startServer } from "./support.mjs";

describe("the page and its server", { skip: missing(), timeout: 600_000 }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  test("indexing is shown while it goes on, and new photos come by themselves", async () => {
    const folder = photoFolder(90);
    const server = await startServer(folder, { env: { SBIR_TEST_PHOTO_MS: "40" } });
    const { page, check, close } = await openPage(browser, server.url);
    try {
      await page.waitForFunction(() => /^\d+ of 90/.test(document.querySelector("#status-text").textContent));
      await page.click("#status-button");
      await page.waitForSelector("#status-panel progress");
      const first = await page.locator("#status-panel progress").getAttribute("value");
      await page.waitForFunction(
        (before) => {
          const bar = document.querySelector("#status-panel progress");
          return !bar || Number(bar.getAttribute("value")) > Number(before);
        },
        first,
      );
      // One can draw already.
      await draw(page, line([20, 30], [80, 60]));
      await results(page);
      await page.waitForFunction(() => document.querySelector("#status-text").textContent === "90 photos", null, { timeout: 120_000 });
      await page.waitForFunction(() => document.querySelector("#found-meta").textContent.startsWith("of 90"));
      copyFileSync(join(data, "photos1000/n07768694_pomegranate.jpg"), join(folder.photos, "pomegranate.jpg"));
      await page.waitForFunction(() => document.querySelector("#status-text").textContent === "91 photos", null, { timeout: 60_000 });
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });

  test("a server that goes away is missed, and found again", async () => {
    const folder = photoFolder(40);
    let server = await startServer(folder);
    await indexed(server.url, 40);
    const { page, check, close } = await openPage(browser, server.url);
    try {
      await draw(page, line([20, 30], [80, 60]));
      await results(page);
      await server.stop("SIGKILL");
      await page.waitForFunction(() => !document.querySelector("#notice").hidden);
      assert.match(await page.textContent("#notice"), /cannot be reached/);
      assert.equal(await page.textContent("#status-text"), "Connection lost");
      // Drawing goes on; its answer comes once the server is back.
      await draw(page, line([20, 80], [80, 20]));
      const before = await page.locator("#results .tile-score").first().textContent();
      server = await startServer(folder, { port: server.port });
      await page.waitForFunction(() => document.querySelector("#notice").hidden, null, { timeout: 30_000 });
      await page.waitForFunction((old) => document.querySelector("#results .tile-score").textContent !== old, before);
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });

  test("an orderly stop is noticed at once", async () => {
    const folder = photoFolder(5);
    const server = await startServer(folder);
    await indexed(server.url, 5);
    const { page, close } = await openPage(browser, server.url);
    try {
      await page.waitForFunction(() => document.querySelector("#status-text").textContent === "5 photos");
      await server.stop();
      await page.waitForFunction(() => !document.querySelector("#notice").hidden, null, { timeout: 8000 });
    } finally {
      await close();
      remove(folder.home);
    }
  });

  test("a stream that the server ends is asked for again, and nobody notices", async () => {
    const folder = photoFolder(5);
    const server = await startServer(folder, { env: { SBIR_TEST_STREAM_MS: "400" } });
    await indexed(server.url, 5);
    const { page, check, close } = await openPage(browser, server.url);
    try {
      const streams = [];
      page.on("request", (request) => { if (request.url().endsWith("/api/events")) streams.push(request); });
      await page.evaluate(() => {
        window.notices = 0;
        new MutationObserver(() => { window.notices += 1; }).observe(document.querySelector("#notice"), { attributes: true });
      });
      while (streams.length < 3) await pause(50);
      copyFileSync(join(data, "photos1000/n07768694_pomegranate.jpg"), join(folder.photos, "pomegranate.jpg"));
      await page.waitForFunction(() => document.querySelector("#status-text").textContent === "6 photos", null, { timeout: 60_000 });
      assert.equal(await page.evaluate(() => window.notices), 0);
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });

  test("a page that nobody sees holds no stream", async () => {
    const folder = photoFolder(5);
    const server = await startServer(folder);
    await indexed(server.url, 5);
    const { page, check, close } = await openPage(browser, server.url);
    const streams = async (wanted) => {
      for (const began = Date.now(); ; await pause(50)) {
        const text = await (await fetch(`${server.url}/api/metrics`)).text();
        if (text.includes(`\nsbir_event_streams ${wanted}\n`)) return;
        assert.ok(Date.now() - began < 10_000, `not ${wanted} streams`);
      }
    };
    const see = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    try {
      await page.waitForFunction(() => document.querySelector("#status-text").textContent === "5 photos");
      await streams(1);
      await see(true);
      await streams(0);
      assert.ok(!(await page.isVisible("#notice")));
      await see(false);
      await streams(1);
      assert.ok(!(await page.isVisible("#notice")));
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });

  test("photos shown at random stay while others come", async () => {
    const folder = photoFolder(40);
    const server = await startServer(folder);
    await indexed(server.url, 40);
    const { page, check, close } = await openPage(browser, server.url);
    try {
      const names = () => page.locator("#results .tile-name").allTextContents();
      await page.waitForFunction(() => document.querySelectorAll("#results li").length === 24);
      const shown = await names();
      copyFileSync(join(data, "photos1000/n07768694_pomegranate.jpg"), join(folder.photos, "pomegranate.jpg"));
      await page.waitForFunction(() => document.querySelector("#status-text").textContent === "41 photos", null, { timeout: 60_000 });
      // Long enough for others to be asked for and shown.
      await pause(1000);
      assert.deepEqual(await names(), shown);
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });

  test("an empty folder says so", async () => {
    const folder = photoFolder(0);
    const server = await startServer(folder);
    const { page, check, close } = await openPage(browser, server.url);
    try {
      await page.getByText("No photos yet").waitFor();
      await page.getByText(`There is no photo in ${folder.photos}`).waitFor();
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });
});
