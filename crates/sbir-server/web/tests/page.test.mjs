/** The page in a real browser before a real server. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  data, draw, drawings, indexed, launch, line, missing, openPage, pause, photoFolder, real, remove, results, startServer, strokes,
} from "./support.mjs";

const HOSTILE = '<img src=x onerror="window.pwned=1">.jpg';
const PHOTOS = 120;

describe("the page", { skip: missing(), timeout: 600_000 }, () => {
  let browser;
  let folder;
  let server;

  before(async () => {
    folder = photoFolder(PHOTOS, { names: [HOSTILE, "harbour.jpg", "meadow.jpg"] });
    [browser, server] = await Promise.all([launch(), startServer(folder)]);
    await indexed(server.url, PHOTOS + 3);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    if (folder) remove(folder.home);
  });

  /** A test with a page of its own, which must complain of nothing. */
  const onPage = (name, options, body) =>
    test(name, async () => {
      const opened = await openPage(browser, server.url, options);
      try {
        await body(opened.page);
        opened.check();
      } finally {
        await opened.close();
      }
    });

  /** Waits until the page has heard from the server. */
  const connected = (page) =>
    page.waitForFunction((words) => document.querySelector("#status-text").textContent === words, `${PHOTOS + 3} photos`);

  onPage("a drawing brings photos while it is drawn", {}, async (page) => {
    const [sketch] = drawings(1);
    await page.waitForSelector("#results li");
    const shown = [];
    await draw(page, sketch, {
      afterStroke: async () => shown.push((await results(page)).join()),
    });
    assert.ok(new Set(shown).size > 1, "the results did not change with the strokes");
    const names = await results(page);
    assert.equal(names.length, 30);
    const scores = (await page.locator("#results .tile-score").allTextContents()).map(Number);
    assert.ok(scores.every((score, i) => score <= 1 && (i === 0 || score <= scores[i - 1])), scores.join());
    if (real) assert.ok(names.slice(0, 10).includes(sketch.photo), `${sketch.photo} is not in ${names.slice(0, 10)}`);
  });

  onPage("results come before the pen is lifted", {}, async (page) => {
    const box = await page.locator("#canvas").boundingBox();
    await page.mouse.move(box.x + 60, box.y + 60);
    await page.mouse.down();
    for (let i = 0; i < 40; i++) await page.mouse.move(box.x + 60 + i * 6, box.y + 60 + (i % 7) * 8);
    await page.waitForSelector("#results.ranked li");
    await page.mouse.up();
    await results(page);
  });

  onPage("undo, redo, erase, rub out, clear", {}, async (page) => {
    await draw(page, line([20, 30], [80, 30]));
    await draw(page, line([20, 60], [80, 60]));
    await draw(page, line([20, 80], [80, 80]));
    await results(page);
    const whole = await strokes(page);
    assert.equal(whole.length, 3);
    await page.keyboard.press("Control+z");
    assert.equal((await strokes(page)).length, 2);
    await page.click("#undo");
    assert.equal((await strokes(page)).length, 1);
    await page.keyboard.press("Control+Shift+z");
    await page.click("#redo");
    assert.deepEqual(await strokes(page), whole);

    await page.click("[data-tool=erase]");
    await draw(page, line([50, 22], [50, 38]));
    assert.equal((await strokes(page)).length, 2);
    await page.click("#undo");
    assert.equal((await strokes(page)).length, 3, "the erased line is back");
    await page.click("[data-tool=rub]");
    await draw(page, line([50, 52], [50, 68]));
    const rubbed = await strokes(page);
    assert.equal(rubbed.length, 4, "the middle line has a gap");

    await page.click("#clear");
    await page.waitForFunction(() => document.querySelector("#found-title").textContent === "Some of your photos");
    await page.click("#undo");
    await results(page);
    assert.deepEqual(await strokes(page), rubbed);
  });

  onPage("an old answer never replaces a newer one", {}, async (page) => {
    let late = 0;
    await page.route("**/api/search**", async (route) => {
      const { strokes: sent } = JSON.parse(route.request().postData());
      const answer = await route.fetch();
      if (sent.length === 1) {
        late += 1;
        await pause(900);
      }
      await route.fulfill({ response: answer }).catch(() => {});
    });
    await draw(page, line([20, 20], [80, 20], [80, 80]));
    await draw(page, line([20, 20], [20, 80], [80, 80]));
    const names = await results(page);
    await pause(1200);
    assert.deepEqual(await page.locator("#results .tile-name").allTextContents(), names);
    assert.ok(late > 0);
  });

  onPage("a wider line asks for a wider line", {}, async (page) => {
    await draw(page, line([20, 30], [80, 60]));
    await results(page);
    const [request] = await Promise.all([
      page.waitForRequest((request) => request.url().includes("/api/search?") && request.url().includes("line=")),
      page.locator("#width").fill("5"),
    ]);
    assert.equal(new URL(request.url()).searchParams.get("line"), "0.025");
    await results(page);
  });

  onPage("the keyboard draws", {}, async (page) => {
    await page.focus("#canvas");
    await page.keyboard.press("Space");
    for (let i = 0; i < 6; i++) await page.keyboard.press("Shift+ArrowRight");
    for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    await results(page);
    const [stroke] = await strokes(page);
    assert.deepEqual(stroke[0], [256, 256]);
    assert.deepEqual(stroke.at(-1), [448, 304]);
  });

  onPage("undone with the pen down, only the line under it goes", {}, async (page) => {
    await draw(page, line([20, 30], [80, 30]));
    const box = await page.locator("#canvas").boundingBox();
    await page.mouse.move(box.x + 60, box.y + 160);
    await page.mouse.down();
    await page.mouse.move(box.x + 160, box.y + 160);
    await page.keyboard.press("Control+z");
    await page.mouse.move(box.x + 200, box.y + 200);
    await page.mouse.up();
    await results(page);
    assert.equal((await strokes(page)).length, 1);
    // By keyboard the pen is up then, and can be put down again.
    await page.focus("#canvas");
    for (const key of ["Space", "Shift+ArrowRight", "Control+z", "Space", "Shift+ArrowDown", "Space"]) await page.keyboard.press(key);
    await results(page);
    assert.deepEqual((await strokes(page)).slice(1), [[[288, 256], [288, 288]]]);
  });

  onPage("a palm does not draw beside a stylus", {}, async (page) => {
    await page.evaluate(() => {
      const canvas = document.querySelector("#canvas");
      canvas.setPointerCapture = () => {};
      const box = canvas.getBoundingClientRect();
      const send = (type, pointerType, pointerId, x, y, more = {}) =>
        canvas.dispatchEvent(new PointerEvent(type, {
          pointerId, pointerType, clientX: box.left + x, clientY: box.top + y, bubbles: true, cancelable: true,
          button: type === "pointermove" ? -1 : 0, buttons: type === "pointerup" ? 0 : 1, width: 20, height: 20, ...more,
        }));
      // A finger draws…
      send("pointerdown", "touch", 1, 40, 40);
      send("pointermove", "touch", 1, 90, 90);
      send("pointerup", "touch", 1, 90, 90);
      // … a palm does not, nor a second finger, nor a touch that the system takes back.
      send("pointerdown", "touch", 2, 200, 200, { width: 90, height: 80 });
      send("pointerup", "touch", 2, 200, 200);
      send("pointerdown", "touch", 3, 40, 140);
      send("pointerdown", "touch", 4, 140, 140);
      send("pointermove", "touch", 3, 60, 180);
      send("pointerup", "touch", 3, 60, 180);
      send("pointerup", "touch", 4, 140, 140);
      send("pointerdown", "touch", 5, 40, 140);
      send("pointermove", "touch", 5, 80, 140);
      send("pointercancel", "touch", 5, 80, 140);
      // The hand comes down first, then the stylus; fingers rest after it.
      send("pointerdown", "touch", 6, 250, 250);
      send("pointerdown", "pen", 7, 100, 200);
      send("pointermove", "pen", 7, 180, 220);
      send("pointermove", "touch", 6, 260, 260);
      send("pointerup", "pen", 7, 180, 220);
      send("pointerup", "touch", 6, 260, 260);
      send("pointerdown", "touch", 8, 30, 30);
      send("pointermove", "touch", 8, 60, 30);
      send("pointerup", "touch", 8, 60, 30);
      // A stylus turned over erases.
      send("pointerdown", "pen", 9, 65, 65, { button: 5, buttons: 32 });
      send("pointerup", "pen", 9, 65, 65);
    });
    await results(page);
    const left = await strokes(page);
    assert.equal(left.length, 1, "only the stylus' line is left");
    await page.click("#undo");
    assert.equal((await strokes(page)).length, 2, "and the finger's, which the stylus erased");
  });

  onPage("a picture searches: chosen, pasted, dropped", {}, async (page) => {
    const [{ photo }] = drawings(1);
    const path = join(data, "chairv2/photo", photo);
    await page.setInputFiles("#file", path);
    assert.equal((await results(page))[0], photo);
    assert.ok(await page.isVisible("#paper-image"));
    await draw(page, line([20, 30], [80, 60]));
    assert.ok(await page.isVisible("#query-chip"), "nothing is drawn over a picture");
    await page.click("#query-close");
    await page.waitForFunction(() => document.querySelector("#found-title").textContent === "Some of your photos");

    const bytes = [...readFileSync(path)];
    for (const kind of ["paste", "drop"]) {
      await page.evaluate(([kind, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], "chair.png", { type: "image/png" }));
        const event = kind === "paste"
          ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
          : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
        document.body.dispatchEvent(event);
      }, [kind, bytes]);
      assert.equal((await results(page))[0], photo, kind);
      await page.click("#query-close");
    }
  });

  onPage("a file that is no picture is said to be none", {}, async (page) => {
    await page.setInputFiles("#file", { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
    await page.waitForSelector("#found-problem:not([hidden])");
    assert.match(await page.textContent("#found-problem"), /no picture/);
    await page.click("#query-close");
    await page.waitForSelector("#found-problem", { state: "hidden" });
  });

  onPage("enlarge, move, close, by keyboard", {}, async (page) => {
    await draw(page, line([20, 30], [80, 60]));
    const names = await results(page);
    await page.locator("#results .tile").first().focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#viewer[open]");
    assert.equal(await page.textContent("#viewer-name"), names[1]);
    await page.waitForFunction(() => document.querySelector("#viewer-image").naturalWidth > 0);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.textContent("#viewer-name"), names[2]);
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press("Tab");
      const inside = await page.evaluate(() => document.activeElement === document.body || document.querySelector("#viewer").contains(document.activeElement));
      assert.ok(inside, "the focus left the dialog");
    }
    await page.keyboard.press("Escape");
    await page.waitForSelector("#viewer[open]", { state: "detached" });
    // The focus comes to the photo that was shown last, once the dialog has told of its end.
    await page.waitForFunction((name) => document.activeElement.querySelector(".tile-name")?.textContent === name, names[2]);
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowUp");
    const above = await page.evaluate(() => [...document.querySelectorAll("#results .tile")].indexOf(document.activeElement));
    assert.ok(above > 0 && above < names.length - 1, String(above));
  });

  onPage("a tile that is gone leaves its focus, and a renamed photo is shown anew", {}, async (page) => {
    await draw(page, line([20, 30], [80, 60]));
    const names = await results(page);
    await page.locator("#results .tile").nth(2).focus();
    await page.route("**/api/search**", async (route) => {
      // Whatever the width, it finds what it found before.
      const response = await route.fetch({ url: route.request().url().replace(/&line=[^&]*/, "") });
      const json = await response.json();
      json.hits.splice(2, 1);
      Object.assign(json.hits[0], { name: "renamed.jpg", path: "/renamed.jpg", version: "another" });
      await route.fulfill({ response, json });
    });
    // Asked again without moving the focus.
    await page.evaluate(() => {
      const width = document.querySelector("#width");
      width.value = "2";
      width.dispatchEvent(new Event("input"));
    });
    await page.waitForFunction((gone) => ![...document.querySelectorAll("#results .tile-name")].some((name) => name.textContent === gone), names[2]);
    const at = await page.evaluate(() => [...document.querySelectorAll("#results .tile")].indexOf(document.activeElement));
    assert.equal(at, 2);
    const first = page.locator("#results .tile").first();
    assert.equal(await first.locator(".tile-name").textContent(), "renamed.jpg");
    assert.equal(await first.getAttribute("title"), "/renamed.jpg");
    assert.match(await first.locator("img").getAttribute("src"), /v=another$/);
  });

  onPage("a photo is shown large where its thumbnail fails", {}, async (page) => {
    await page.route(/\/api\/thumbnails\//, (route) => route.fulfill({ status: 410, json: { error: "gone" } }));
    await page.route(/\/api\/photos\/[^/]+$/, async (route) => {
      await pause(300);
      await route.continue().catch(() => {});
    });
    await page.locator("#results .tile").first().click();
    await page.waitForFunction(() => {
      const image = document.querySelector("#viewer-image");
      return image.src.includes("/api/photos/") && image.naturalWidth > 0;
    });
    assert.ok(await page.isVisible("#viewer-image"));
    assert.ok(!(await page.isVisible("#viewer-problem")));
  });

  onPage("more like this", {}, async (page) => {
    await draw(page, line([20, 30], [80, 60]));
    const names = await results(page);
    await page.locator("#results .tile").nth(3).click();
    await page.click("#viewer-like");
    await page.waitForFunction((name) => document.querySelector("#results .tile-name").textContent === name, names[3]);
    assert.match(await page.textContent("#query-chip"), new RegExp(names[3].slice(0, 6).replaceAll(/\W/g, ".")));
    await page.click("#query-close");
    await page.waitForFunction((name) => document.querySelector("#results .tile-name").textContent === name, names[0]);
  });

  onPage("copy a path, export results", { permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    await draw(page, line([20, 30], [80, 60]));
    const names = await results(page);
    await page.locator("#results .tile").first().click();
    await page.click("#viewer-copy");
    await page.waitForFunction(() => document.querySelector("#viewer-copy").textContent.includes("Copied"));
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(copied.endsWith(names[0]) && copied.startsWith("/"), copied);
    await page.keyboard.press("Escape");
    await page.click("#export-button");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("[data-export=json]")]);
    const { hits } = JSON.parse(readFileSync(await file.path(), "utf8"));
    assert.equal(hits.length, 30);
    assert.equal(hits[0].path, copied);
  });

  onPage("a path copied the old way leaves the keys where they were", {}, async (page) => {
    await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error("not here")); });
    await page.locator("#results .tile").first().click();
    const first = await page.textContent("#viewer-name");
    await page.click("#viewer-copy");
    await page.waitForFunction(() => document.querySelector("#viewer-copy").textContent !== "Copy path");
    await page.keyboard.press("ArrowRight");
    assert.notEqual(await page.textContent("#viewer-name"), first);
  });

  onPage("a hostile name is only a name", { hash: "#browse" }, async (page) => {
    await page.waitForSelector("#photos li");
    for (;;) {
      if ((await page.locator("#photos .tile-name").allTextContents()).includes(HOSTILE)) break;
      await page.click("#page-next");
      await page.waitForTimeout(200);
    }
    await page.locator("#photos .tile", { has: page.getByText(HOSTILE, { exact: true }) }).click();
    assert.equal(await page.textContent("#viewer-name"), HOSTILE);
    await page.click("#viewer-like");
    await results(page);
    assert.equal(await page.textContent("#query-text"), `Like ${HOSTILE}`);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator("img[src=x]").count(), 0);
  });

  onPage("browsing goes through all photos", { hash: "#browse" }, async (page) => {
    const seen = new Set();
    for (;;) {
      await page.waitForSelector("#photos li");
      for (const name of await page.locator("#photos .tile-name").allTextContents()) seen.add(name);
      if (await page.locator("#page-next").isDisabled()) break;
      const before = await page.textContent("#page-text");
      await page.click("#page-next");
      await page.waitForFunction((text) => document.querySelector("#page-text").textContent !== text, before);
    }
    assert.equal(seen.size, PHOTOS + 3);
    assert.match(await page.textContent("#page-text"), new RegExp(`121–${PHOTOS + 3} of ${PHOTOS + 3}`));
    await page.click("#page-back");
    await page.waitForFunction(() => document.querySelector("#page-text").textContent.startsWith("61–120"));
  });

  onPage("a page turned twice at once is turned once, and a failed one not at all", { hash: "#browse" }, async (page) => {
    await page.waitForFunction(() => document.querySelector("#page-text").textContent.startsWith("1–60"));
    let broken = true;
    await page.route(/\/api\/gallery\?.*after=/, async (route) => {
      if (broken) return route.fulfill({ status: 500, json: { error: "The page is broken." } });
      await pause(200);
      return route.continue();
    });
    await page.click("#page-next");
    await page.getByText("The page is broken.").first().waitFor();
    broken = false;
    await page.evaluate(() => {
      const next = document.querySelector("#page-next");
      next.click();
      next.click();
    });
    await page.waitForFunction(() => !document.querySelector("#page-text").textContent.startsWith("1–"));
    assert.match(await page.textContent("#page-text"), /^61–120/);
    await page.click("#page-back");
    await page.waitForFunction(() => document.querySelector("#page-text").textContent.startsWith("1–60"));
  });

  onPage("the skip link stays in its view", { hash: "#browse" }, async (page) => {
    await page.waitForSelector("#photos li");
    await page.focus(".skip");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash === "#main");
    await pause(100);
    assert.ok(await page.isVisible("#browse"));
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  });

  onPage("a name that is no view's starts the page all the same", { hash: "#toString" }, async (page) => {
    await page.waitForSelector("#results li");
    await connected(page);
  });

  onPage("a query that was left is asked when one comes back", {}, async (page) => {
    await draw(page, line([20, 30], [80, 30]));
    await results(page);
    let held = true;
    await page.route("**/api/search**", (route) => (held ? undefined : route.continue()));
    await draw(page, line([20, 70], [80, 70]));
    await page.click("[data-view=browse]");
    await page.waitForSelector("#photos li");
    held = false;
    const whole = (request) => request.url().includes("/api/search") && JSON.parse(request.postData()).strokes.length === 2;
    await Promise.all([page.waitForRequest(whole), page.click("[data-view=draw]")]);
    await results(page);
  });

  onPage("practice shows, hides, and tells the rank", { hash: "#practice" }, async (page) => {
    await page.getByRole("button", { name: "Show a photo" }).click();
    await page.waitForFunction(() => document.querySelector("#paper-image").naturalWidth > 0);
    await page.getByRole("button", { name: "Draw now" }).click();
    assert.ok(!(await page.isVisible("#paper-image")));
    await draw(page, line([20, 30], [80, 30], [80, 80], [20, 80]));
    await page.getByRole("button", { name: "Done" }).click();
    const rank = Number((await page.textContent(".rank b")).replaceAll(/\D/g, ""));
    assert.ok(rank >= 1 && rank <= PHOTOS + 3, String(rank));
    await page.goto(`${server.url}/#draw`);
    await page.waitForSelector("#results li");
    assert.equal(await page.locator("#found .problem:visible").count(), 0);
    // A picture that is searched with stays in its own view.
    await page.locator("#results .tile").first().click();
    await page.click("#viewer-like");
    await results(page);
    await page.click("[data-view=practice]");
    assert.ok(!(await page.isVisible("#paper-image")), "another view's picture lies on the paper");
    assert.equal(Number((await page.textContent(".rank b")).replaceAll(/\D/g, "")), rank);
  });

  onPage("a photo that cannot be shown is passed over in practice", { hash: "#practice" }, async (page) => {
    let asked = 0;
    let broken = Infinity;
    await page.route(/\/api\/photos\/[^/]+$/, (route) =>
      asked++ < broken ? route.fulfill({ status: 410, json: { error: "gone" } }) : route.continue());
    await page.getByRole("button", { name: "Show a photo" }).click();
    await page.locator("#practice .problem", { hasText: "No photo can be shown." }).waitFor();
    assert.ok(!(await page.isVisible("#paper-image")));
    broken = asked + 1;
    await page.getByRole("button", { name: "Show a photo" }).click();
    await page.getByText("Look well: what stands where").waitFor();
    await page.waitForFunction(() => document.querySelector("#paper-image").naturalWidth > 0);
    assert.equal(await page.locator("#practice .problem").count(), 0);
  });

  onPage("practice that was left takes nothing over", { hash: "#practice" }, async (page) => {
    const held = [];
    const hold = (route) => { held.push(route); };
    const wait = async (wanted) => { while (held.length < wanted) await pause(20); };
    // What was asked for comes once another view is shown.
    const release = async () => {
      await Promise.all(held.splice(0).map((route) => Promise.all([route.request().response(), route.continue()])));
      await pause(300);
    };
    // Draw asks for more photos than ten.
    await page.route(/\/api\/gallery\/sample\?count=\d$/, hold);
    await page.getByRole("button", { name: "Show a photo" }).click();
    await wait(1);
    await page.click("[data-view=draw]");
    await release();
    assert.ok(!(await page.isVisible("#paper-image")), "practice's photo lies on Draw's paper");
    await draw(page, line([20, 30], [80, 30]));
    await results(page);

    await page.unrouteAll();
    await page.route(/\/rank\?/, hold);
    await page.click("[data-view=practice]");
    await page.getByRole("button", { name: "Show a photo" }).click();
    await page.getByRole("button", { name: "Draw now" }).click();
    await draw(page, line([20, 30], [80, 30], [80, 80]));
    const done = page.getByRole("button", { name: "Done" });
    await done.click();
    await wait(1);
    await page.click("[data-view=draw]");
    await release();
    await draw(page, line([20, 70], [80, 70]));
    await results(page);
    assert.equal((await strokes(page)).length, 2, "Draw's canvas is dead");

    await page.click("[data-view=practice]");
    await done.click();
    await done.click();
    await wait(2);
    await release();
    await page.waitForSelector(".rank");
    assert.equal(await page.textContent("#practice-meta"), "", "the rank is counted twice");
  });

  onPage("the theme is kept", { colorScheme: "light" }, async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.click("#theme");
    assert.equal(await ground(), light, "light as the system is");
    await page.click("#theme");
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.reload();
    assert.equal(await ground(), dark);
    await page.click("#theme");
    assert.equal(await ground(), light);
  });

  onPage("a busy server is asked again", {}, async (page) => {
    let refused = 0;
    await page.route("**/api/search**", (route) =>
      refused++ < 2
        ? route.fulfill({ status: 503, headers: { "retry-after": "1" }, json: { error: "Too much at once." } })
        : route.continue());
    await draw(page, line([20, 30], [80, 60]));
    assert.equal((await results(page)).length, 30);
    assert.ok(refused >= 2);
  });

  onPage("a server that stays busy says why", {}, async (page) => {
    await page.route("**/api/search**", (route) =>
      route.fulfill({ status: 503, headers: { "retry-after": "0.05" }, json: { error: "The store is away." } }));
    await draw(page, line([20, 30], [80, 60]));
    await page.waitForFunction(() => document.querySelector("#found-problem").textContent === "The store is away.");
    await page.unrouteAll();
    assert.equal((await results(page)).length, 30);
    assert.ok(!(await page.isVisible("#found-problem")));
  });

  onPage("a server that turns the page away is quoted, and found again", {}, async (page) => {
    await connected(page);
    for (const path of ["events", "health"]) {
      await page.route(`**/api/${path}`, (route) => route.fulfill({ status: 401, json: { error: "A token is needed." } }));
    }
    await page.route("**/api/search**", (route) => route.abort());
    await draw(page, line([20, 30], [80, 60]));
    await page.waitForFunction(() => document.querySelector("#notice span")?.textContent === "A token is needed.");
    await page.unrouteAll();
    await page.waitForFunction(() => document.querySelector("#notice").hidden);
    await results(page);
  });

  onPage("a call that breaks is made anew, and nobody notices", {}, async (page) => {
    await connected(page);
    await page.evaluate(() => {
      window.notices = 0;
      new MutationObserver(() => { window.notices += 1; }).observe(document.querySelector("#notice"), { attributes: true });
    });
    let broken = 0;
    await page.route("**/api/search**", (route) => {
      broken += 1;
      return route.abort();
    });
    await draw(page, line([20, 30], [80, 60]));
    while (broken === 0) await pause(20);
    await page.unrouteAll();
    await results(page);
    assert.equal(await page.evaluate(() => window.notices), 0);
  });

  for (const width of [320, 390, 820, 1280]) {
    onPage(`nothing leaves a page ${width} wide`, { viewport: { width, height: 760 } }, async (page) => {
      /** Everything of the page that can be seen lies between its margins. */
      const inside = async (selector, margin) => {
        const box = await page.locator(selector).boundingBox();
        const place = `${selector} from ${box.x} to ${box.x + box.width}`;
        assert.ok(box.x >= margin && box.x + box.width <= width - margin, place);
      };
      await draw(page, line([20, 30], [80, 60]));
      await results(page);
      for (const name of ["status", "filter", "export"]) {
        await page.click(`#${name}-button`);
        await inside(`#${name}-panel`, 12);
        await page.keyboard.press("Escape");
      }
      for (const selector of ["#canvas", "#tools", "#results", "#theme"]) await inside(selector, 4);
      const scrolls = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok((await scrolls()) <= 0, "draw");
      await page.locator("#results .tile").first().click();
      for (const selector of ["#viewer-like", "#viewer-copy", "#viewer-open", "#viewer-close"]) await inside(selector, 4);
      await page.keyboard.press("Escape");
      for (const view of ["browse", "practice"]) {
        await page.click(`[data-view=${view}]`);
        await page.waitForTimeout(150);
        assert.ok((await scrolls()) <= 0, view);
      }
    });
  }

  onPage("what is found is said", {}, async (page) => {
    await draw(page, line([20, 30], [80, 60]));
    const [first] = await results(page);
    await page.waitForFunction(
      (name) => document.querySelector("#live").textContent.includes(`Closest: ${name}, similarity 0.`), first,
    );
    const spoken = await page.locator("#results .tile").first().evaluate((tile) => tile.textContent);
    assert.match(spoken, /^1\. .*, similarity 0\.\d\d$/);
    await page.locator("#results .tile").first().click();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => /, 2 of 30 · similarity/.test(document.querySelector("#live").textContent));
  });

  onPage("a finger draws, and the page does not scroll", { hasTouch: true, viewport: { width: 390, height: 700 } }, async (page) => {
    const client = await page.context().newCDPSession(page);
    const box = await page.locator("#canvas").boundingBox();
    const touch = (type, x, y) =>
      client.send("Input.dispatchTouchEvent", {
        type, touchPoints: type === "touchEnd" ? [] : [{ x: box.x + x, y: box.y + y, radiusX: 8, radiusY: 8 }],
      });
    await touch("touchStart", 60, 260);
    for (let i = 1; i <= 20; i++) await touch("touchMove", 60 + i * 8, 260 - i * 9);
    await touch("touchEnd");
    await results(page);
    assert.equal(await page.evaluate(() => scrollY), 0);
    const drawn = await strokes(page);
    assert.equal(drawn.length, 1);
    assert.ok(drawn[0].length > 10, `${drawn[0].length} points`);
  });

  for (const colorScheme of ["light", "dark"]) {
    onPage(`axe finds nothing, ${colorScheme}`, { colorScheme, reducedMotion: "reduce" }, async (page) => {
      const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
      const check = async (where) => {
        // Twice a frame, so that what fades in is there.
        await page.waitForTimeout(400);
        await page.evaluate(axe);
        const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        const words = found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
        assert.deepEqual(words, [], where);
      };
      await page.waitForSelector("#results li");
      await check("start");
      await draw(page, line([20, 30], [80, 60]));
      await results(page);
      await page.click("#filter-button");
      await page.click("#status-button");
      await check("results");
      await page.locator("#results .tile").first().click();
      await page.waitForFunction(() => document.querySelector("#viewer-image").naturalWidth > 0);
      await check("viewer");
      await page.keyboard.press("Escape");
      await page.goto(`${server.url}/#browse`);
      await page.waitForSelector("#photos li");
      await check("browse");
      await page.goto(`${server.url}/#practice`);
      await page.getByRole("button", { name: "Show a photo" }).waitFor();
      await check("practice");
    });
  }
});
