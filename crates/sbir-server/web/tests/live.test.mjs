/** Indexing as the page shows it, and a server that goes away. */

import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { data, draw, indexed, launch, line, missing, openPage, photoFolder, remove, results, startServer } from "./support.mjs";

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

  test("an empty folder says so", async () => {
    const folder = photoFolder(0);
    const server = await startServer(folder);
    const { page, check, close } = await openPage(browser, server.url);
    try {
      await page.getByText("No photos yet").waitFor();
      check();
    } finally {
      await close();
      await server.stop();
      remove(folder.home);
    }
  });
});
