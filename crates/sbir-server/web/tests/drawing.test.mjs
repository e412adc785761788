import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../js/api.js";
import { toCsv, toJson } from "../js/export.js";
import { LatestQuery } from "../js/latest.js";
import { Drawing } from "../js/pad/drawing.js";
import { distanceToSegment, rub, segmentDistance, touches } from "../js/pad/geometry.js";

const across = [[0, 0], [100, 0]];

test("distances", () => {
  assert.equal(distanceToSegment([50, 3], [0, 0], [100, 0]), 3);
  assert.equal(distanceToSegment([103, 4], [0, 0], [100, 0]), 5);
  assert.equal(distanceToSegment([3, 4], [0, 0], [0, 0]), 5);
  assert.equal(segmentDistance([0, 0], [10, 10], [0, 10], [10, 0]), 0);
  assert.equal(segmentDistance([0, 0], [10, 0], [0, 2], [10, 2]), 2);
});

test("an eraser moved fast touches what it crossed", () => {
  assert.ok(touches(across, [50, -200], [50, 200], 1));
  assert.ok(!touches(across, [150, -200], [150, 200], 1));
  assert.ok(touches([[5, 5]], [0, 0], [10, 10], 1));
});

test("rubbing leaves the pieces on either side", () => {
  const pieces = rub(across, [50, 0], [50, 0], 10);
  assert.equal(pieces.length, 2);
  const [left, right] = pieces;
  assert.deepEqual(left[0], [0, 0]);
  assert.ok(left.at(-1)[0] > 36 && left.at(-1)[0] <= 40, String(left.at(-1)));
  assert.ok(right[0][0] >= 60 && right[0][0] < 64, String(right[0]));
  assert.deepEqual(right.at(-1), [100, 0]);
});

test("rubbing keeps what it does not touch, and takes what it covers", () => {
  assert.equal(rub(across, [50, 20], [60, 20], 10)[0], across);
  assert.deepEqual(rub([[1, 1], [2, 2]], [0, 0], [3, 3], 10), []);
  const [rest] = rub(across, [0, 0], [20, 0], 5);
  assert.ok(rest[0][0] >= 25 && rest[0][0] < 27);
});

const drawn = () => {
  const drawing = new Drawing();
  for (const y of [10, 200, 400]) {
    drawing.begin([10, y]);
    drawing.extend([[100, y], [300, y]]);
    drawing.end();
  }
  return drawing;
};

test("undo and redo walk through every step", () => {
  const drawing = drawn();
  const all = drawing.strokes;
  drawing.undo();
  drawing.undo();
  assert.equal(drawing.strokes.length, 1);
  drawing.redo();
  drawing.redo();
  assert.deepEqual(drawing.strokes, all);
  assert.ok(!drawing.canRedo);
  drawing.clear();
  assert.ok(drawing.empty);
  drawing.undo();
  assert.deepEqual(drawing.strokes, all);
  drawing.undo();
  drawing.begin([0, 0]);
  drawing.end();
  assert.ok(!drawing.canRedo, "a new line ends what could be redone");
});

test("undone while the pen is down, only the line under it goes", () => {
  const drawing = drawn();
  drawing.begin([1, 1]);
  drawing.extend([[50, 50]]);
  drawing.undo();
  assert.ok(!drawing.underWay);
  assert.equal(drawing.strokes.length, 3);
  drawing.beginErasing();
  drawing.eraseAlong("erase", [50, 0], [50, 100], 5);
  drawing.undo();
  assert.ok(!drawing.underWay);
  assert.equal(drawing.strokes.length, 3);
  drawing.undo();
  assert.equal(drawing.strokes.length, 2);
});

test("an eraser's whole way is one step", () => {
  const drawing = drawn();
  drawing.beginErasing();
  drawing.eraseAlong("erase", [50, 0], [50, 100], 5);
  drawing.eraseAlong("erase", [50, 100], [50, 300], 5);
  drawing.endErasing();
  assert.equal(drawing.strokes.length, 1);
  drawing.undo();
  assert.equal(drawing.strokes.length, 3);
  drawing.beginErasing();
  drawing.eraseAlong("rub", [50, 0], [50, 100], 5);
  drawing.endErasing();
  assert.equal(drawing.strokes.length, 4);
  drawing.beginErasing();
  drawing.endErasing();
  drawing.undo();
  assert.equal(drawing.strokes.length, 3, "an eraser that met nothing is no step");
});

test("a line taken back leaves no trace", () => {
  const drawing = drawn();
  const before = JSON.stringify(drawing);
  drawing.begin([1, 1]);
  drawing.extend([[50, 50]]);
  drawing.cancel();
  assert.equal(JSON.stringify(drawing), before);
  drawing.beginErasing();
  drawing.eraseAlong("erase", [50, 0], [50, 500], 5);
  drawing.cancel();
  assert.equal(JSON.stringify(drawing), before);
});

test("a drawing stays of a size that the server takes", () => {
  const drawing = new Drawing();
  drawing.begin([0, 0]);
  for (let i = 0; i < 30_000; i++) drawing.extend([[(i % 2) * 100, i % 500]]);
  drawing.end();
  assert.ok(drawing.strokes[0].length <= 20_000);
  drawing.begin([1e9, -1e9]);
  drawing.end();
  assert.ok(drawing.strokes.flat().flat().every((value) => Math.abs(value) <= 1024));
});

const settle = (ms) => new Promise((done) => setTimeout(done, ms));

test("an answer never replaces a newer one", async () => {
  const shown = [];
  const waiting = new Map();
  const latest = new LatestQuery({
    run: (query, signal) => new Promise((done, fail) => {
      waiting.set(query, done);
      signal.addEventListener("abort", () => fail(new DOMException("", "AbortError")));
    }),
    answered: (answer) => shown.push(answer),
    failed: (error) => assert.fail(String(error)),
  }, 1);
  latest.ask(1, true);
  latest.ask(2, true);
  waiting.get(2)("two");
  waiting.get(1)("one");
  await settle(5);
  assert.deepEqual(shown, ["two"]);
});

test("while a query is under way only the newest waits", async () => {
  const asked = [];
  const shown = [];
  const latest = new LatestQuery({
    run: async (query) => {
      asked.push(query);
      await settle(20);
      return query;
    },
    answered: (answer, _, settled) => shown.push([answer, settled]),
    failed: (error) => assert.fail(String(error)),
  }, 1);
  for (let i = 1; i <= 50; i++) {
    latest.ask(i, false);
    await settle(1);
  }
  await settle(120);
  assert.ok(asked.length < 20, `${asked.length} queries`);
  assert.deepEqual(shown.at(-1), [50, true]);
  assert.deepEqual(shown.map(([answer]) => answer), [...shown.map(([answer]) => answer)].sort((a, b) => a - b));
});

test("a busy server is asked again with the newest query", async () => {
  const asked = [];
  const shown = [];
  const latest = new LatestQuery({
    run: async (query) => {
      asked.push(query);
      if (asked.length === 1) throw new ApiError(503, "busy", 0.02);
      return query;
    },
    answered: (answer) => shown.push(answer),
    failed: (error) => assert.fail(String(error)),
  }, 1);
  latest.ask("a", true);
  await settle(5);
  latest.ask("b", false);
  await settle(80);
  assert.deepEqual(shown, ["b"]);
});

test("a server that stays busy says why, and is asked on", async () => {
  const told = [];
  const shown = [];
  let asked = 0;
  const latest = new LatestQuery({
    run: async (query) => {
      if (++asked <= 4) throw new ApiError(503, `busy ${asked}`, 0.005);
      return query;
    },
    answered: (answer) => shown.push(answer),
    failed: (error) => told.push(error.message),
  }, 1);
  latest.ask("a", true);
  while (shown.length === 0) await settle(5);
  assert.deepEqual(told, ["busy 3", "busy 4"]);
  assert.deepEqual(shown, ["a"]);
});

test("stopped, nothing is shown any more", async () => {
  const shown = [];
  const latest = new LatestQuery({
    run: async (query) => {
      await settle(10);
      return query;
    },
    answered: (answer) => shown.push(answer),
    failed: (error) => shown.push(error),
  }, 1);
  latest.ask(1, true);
  latest.ask(2, false);
  latest.stop();
  await settle(40);
  assert.deepEqual(shown, []);
});

test("exports are files that programs read", () => {
  const hit = (path) => ({ rank: 1, score: 0.5, path, id: "1", name: "x", version: "v", width: 1, height: 1 });
  const hits = [hit('/a/"b",c.jpg'), hit("=cmd|'x'!A1")];
  assert.equal(toCsv(hits), 'rank,score,path\r\n1,0.5,"/a/""b"",c.jpg"\r\n1,0.5,"\'=cmd|\'x\'!A1"\r\n');
  assert.deepEqual(JSON.parse(toJson(hits)).hits[0], { rank: 1, path: '/a/"b",c.jpg', score: 0.5 });
});
