/**
 * A drawing and its history, without any screen.
 * @typedef {import("../api.js").Point} Point
 * @typedef {import("../api.js").Strokes} Strokes
 */

import { rub, touches } from "./geometry.js";

/** The canvas is a square of this side, in canvas units. */
export const CANVAS = 512;
/** Points nearer to the one before say nothing new. */
const SPACING = 1;
const MOST_POINTS = 20_000;
const MOST_STROKES = 2_000;
const MOST_STEPS = 200;

/** @param {number} value */
const tidy = (value) => Math.round(Math.min(2 * CANVAS, Math.max(-CANVAS, value)) * 10) / 10;

/**
 * Strokes that can be drawn, erased, undone and redone. Fires `change`; its `detail.live` says that the pen is still
 * down. Strokes that have ended are never changed, so that history shares them.
 */
export class Drawing extends EventTarget {
  /** @type {readonly Point[][]} */
  strokes = [];
  /** @type {Point[] | null} the line under the pen */
  current = null;
  #points = 0;
  /** @type {(readonly Point[][])[]} */
  #past = [];
  /** @type {(readonly Point[][])[]} */
  #future = [];
  /** @type {readonly Point[][] | null} the strokes before the erasing under way */
  #erasing = null;

  get empty() {
    return this.strokes.length === 0 && !this.current;
  }

  /** Whether a line or an erasing is under way. */
  get underWay() {
    return this.current !== null || this.#erasing !== null;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** @param {Point} point */
  begin(point) {
    if (this.strokes.length >= MOST_STROKES) return;
    this.current = [[tidy(point[0]), tidy(point[1])]];
    this.#changed(true);
  }

  /** @param {Point[]} points */
  extend(points) {
    const current = this.current;
    if (!current) return;
    let grown = false;
    for (const [x, y] of points) {
      const last = current[current.length - 1];
      if (Math.hypot(x - last[0], y - last[1]) < SPACING) continue;
      if (this.#points + current.length >= MOST_POINTS) break;
      current.push([tidy(x), tidy(y)]);
      grown = true;
    }
    if (grown) this.#changed(true);
  }

  end() {
    const current = this.current;
    if (!current) return;
    this.current = null;
    this.#step([...this.strokes, current]);
  }

  /** Takes back the line under the pen, or the erasing under way; says whether there was one. */
  cancel() {
    if (this.#erasing) {
      this.strokes = this.#erasing;
      this.#erasing = null;
    } else if (this.current) {
      this.current = null;
    } else {
      return false;
    }
    this.#changed(false);
    return true;
  }

  beginErasing() {
    this.#erasing = this.strokes;
  }

  /**
   * @param {"erase" | "rub"} how whole strokes, or what lies under the eraser
   * @param {Point} a
   * @param {Point} b
   * @param {number} radius
   */
  eraseAlong(how, a, b, radius) {
    const before = this.strokes;
    const after =
      how === "erase"
        ? before.filter((stroke) => !touches(stroke, a, b, radius))
        : before.flatMap((stroke) => rub(stroke, a, b, radius));
    const same = after.length === before.length && after.every((stroke, i) => stroke === before[i]);
    if (same || after.length > MOST_STROKES) return;
    this.strokes = after;
    this.#changed(true);
  }

  endErasing() {
    const before = this.#erasing;
    this.#erasing = null;
    if (!before || before === this.strokes) return;
    const after = this.strokes;
    this.strokes = before;
    this.#step(after);
  }

  undo() {
    // What is under way is the last step.
    if (this.cancel()) return;
    const before = this.#past.pop();
    if (!before) return;
    this.#future.push(this.strokes);
    this.strokes = before;
    this.#changed(false);
  }

  redo() {
    this.cancel();
    const after = this.#future.pop();
    if (!after) return;
    this.#past.push(this.strokes);
    this.strokes = after;
    this.#changed(false);
  }

  clear() {
    this.cancel();
    if (this.strokes.length > 0) this.#step([]);
  }

  /** Empties the drawing and its history. */
  reset() {
    this.current = this.#erasing = null;
    this.strokes = [];
    this.#past = [];
    this.#future = [];
    this.#changed(false);
  }

  /**
   * Replaces the drawing, as one step that can be undone.
   * @param {Point[][]} strokes
   */
  replace(strokes) {
    this.cancel();
    this.#step(strokes);
  }

  /** What the server searches with. @returns {Strokes} */
  toJSON() {
    return { canvas: CANVAS, strokes: this.current ? [...this.strokes, this.current] : [...this.strokes] };
  }

  /** @param {readonly Point[][]} after */
  #step(after) {
    this.#past.push(this.strokes);
    if (this.#past.length > MOST_STEPS) this.#past.shift();
    this.#future = [];
    this.strokes = after;
    this.#changed(false);
  }

  /** @param {boolean} live */
  #changed(live) {
    if (!live) this.#points = this.strokes.reduce((sum, stroke) => sum + stroke.length, 0);
    this.dispatchEvent(new CustomEvent("change", { detail: { live } }));
  }
}
