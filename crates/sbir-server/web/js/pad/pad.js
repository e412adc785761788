/**
 * The canvas: pens, fingers, mice and keys become strokes.
 * @typedef {import("../api.js").Point} Point
 * @typedef {"pen" | "erase" | "rub"} Tool
 */

import { announce } from "../dom.js";
import { CANVAS, Drawing } from "./drawing.js";
import { paint } from "./paint.js";

/** Line widths as shares of the side. The middle one is the encoder's own, 3 pixels of 256. */
const WIDTHS = [0.005, 0.008, 3 / 256, 0.017, 0.025];
export const OWN_WIDTH = WIDTHS[2];
/** A touch this wide is a palm, in CSS pixels. */
const PALM = 64;
/** After a stylus was seen, fingers do not draw for this long, in milliseconds. */
const STYLUS_REST = 30_000;
/** A button of a stylus turned upside down. */
const ERASER_BUTTON = 32;

export class Pad {
  drawing = new Drawing();
  /** @type {Tool} */
  tool = "pen";
  width = OWN_WIDTH;
  /** Nothing can be drawn while a picture lies on the paper. */
  locked = false;

  /** @type {number | null} the pointer that draws */
  #pointer = null;
  #pointerType = "";
  /** @type {Tool} */
  #using = "pen";
  /** @type {Point | null} */
  #last = null;
  /** @type {Point | null} where the eraser or the keyboard's cursor is shown */
  #cursor = null;
  #keyboard = false;
  #stylusSeen = -Infinity;
  #touches = new Set();
  #frame = 0;
  #changed = () => {
    // What was under way may have been taken back by a key: then the pen is up.
    if (!this.drawing.underWay) this.#release();
    this.repaint();
  };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const context = canvas.getContext("2d");
    if (!context) throw new Error("no 2D canvas");
    this.context = context;
    this.show(this.drawing);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event, true));
    canvas.addEventListener("pointercancel", (event) => this.#up(event, false));
    canvas.addEventListener("lostpointercapture", (event) => this.#up(event, true));
    canvas.addEventListener("pointerleave", (event) => {
      this.#touches.delete(event.pointerId);
      if (this.#pointer === null && !this.#keyboard) this.#point(null);
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("keydown", () => delete canvas.dataset.quiet);
    canvas.addEventListener("blur", () => {
      delete canvas.dataset.quiet;
      this.#leaveKeyboard();
    });
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  /** Shows another drawing. @param {Drawing} drawing */
  show(drawing) {
    this.drawing.cancel();
    this.drawing.removeEventListener("change", this.#changed);
    this.drawing = drawing;
    drawing.addEventListener("change", this.#changed);
    this.repaint();
  }

  /** @param {Tool} tool */
  use(tool) {
    this.tool = tool;
    this.canvas.dataset.tool = tool;
    if (tool === "pen" && !this.#keyboard) this.#point(null);
  }

  /** @param {number} step 1 to 5 */
  setWidth(step) {
    this.width = WIDTHS[Math.min(WIDTHS.length, Math.max(1, step)) - 1];
    this.repaint();
  }

  repaint() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  get #radius() {
    return this.#using === "rub" || this.tool === "rub" ? 8 + this.width * 600 : 5 + this.width * 300;
  }

  #resize() {
    const scale = Math.min(window.devicePixelRatio || 1, 3);
    const { width, height } = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    // At once: a canvas that was resized is blank.
    this.#paint();
  }

  #paint() {
    const { canvas, context } = this;
    const style = getComputedStyle(canvas);
    context.setTransform(canvas.width / CANVAS, 0, 0, canvas.height / CANVAS, 0, 0);
    context.clearRect(0, 0, CANVAS, CANVAS);
    paint(context, this.drawing.toJSON().strokes, this.width * CANVAS, style.color);
    if (!this.#cursor) return;
    const [x, y] = this.#cursor;
    context.lineWidth = (1.5 * CANVAS) / Math.max(1, canvas.clientWidth);
    context.strokeStyle = style.color;
    context.globalAlpha = 0.6;
    context.beginPath();
    if (this.tool === "pen" && this.#using === "pen") {
      for (const [dx, dy] of [[12, 0], [0, 12]]) {
        context.moveTo(x - dx, y - dy);
        context.lineTo(x - dx / 3, y - dy / 3);
        context.moveTo(x + dx / 3, y + dy / 3);
        context.lineTo(x + dx, y + dy);
      }
    } else {
      context.arc(x, y, this.#radius, 0, 2 * Math.PI);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  /** @param {Point | null} point */
  #point(point) {
    if (point === null && this.#cursor === null) return;
    this.#cursor = point;
    this.repaint();
  }

  /**
   * @param {MouseEvent} event
   * @param {DOMRect} box
   * @returns {Point}
   */
  #place(event, box) {
    return [((event.clientX - box.left) / box.width) * CANVAS, ((event.clientY - box.top) / box.height) * CANVAS];
  }

  /** @param {PointerEvent} event */
  #isPalm(event) {
    if (event.pointerType !== "touch") return false;
    return event.timeStamp - this.#stylusSeen < STYLUS_REST || Math.max(event.width, event.height) > PALM;
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.pointerType === "pen") this.#stylusSeen = event.timeStamp;
    if (event.pointerType === "touch") this.#touches.add(event.pointerId);
    if (this.locked || this.#isPalm(event)) return;
    const eraser = (event.buttons & ERASER_BUTTON) !== 0;
    if (event.button !== 0 && !eraser) return;
    if (this.#pointer !== null) {
      // A stylus takes over from the palm that came down before it; a second finger is no drawing.
      if (this.#pointerType !== "touch") return;
      this.#stop(false);
      if (event.pointerType !== "pen") return;
    } else if (this.#touches.size > 1) {
      return;
    }
    event.preventDefault();
    this.#leaveKeyboard();
    // The ring around the paper is for the keyboard.
    this.canvas.dataset.quiet = "";
    this.canvas.focus({ preventScroll: true });
    this.#pointer = event.pointerId;
    this.#pointerType = event.pointerType;
    this.#using = eraser ? "erase" : this.tool;
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {
      // The pointer is gone already; its end is not missed.
    }
    const at = this.#place(event, this.canvas.getBoundingClientRect());
    this.#last = at;
    if (this.#using === "pen") {
      this.drawing.begin(at);
    } else {
      this.drawing.beginErasing();
      this.drawing.eraseAlong(this.#using, at, at, this.#radius);
      this.#point(at);
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (event.pointerType === "pen") this.#stylusSeen = event.timeStamp;
    const box = this.canvas.getBoundingClientRect();
    if (event.pointerId !== this.#pointer) {
      const hovers = this.#pointer === null && event.pointerType !== "touch" && this.tool !== "pen";
      if (hovers && !this.locked) this.#point(this.#place(event, box));
      return;
    }
    const events = event.getCoalescedEvents?.() ?? [];
    const points = (events.length > 0 ? events : [event]).map((each) => this.#place(each, box));
    if (this.#using === "pen") {
      this.drawing.extend(points);
      return;
    }
    for (const point of points) {
      this.drawing.eraseAlong(this.#using, this.#last ?? point, point, this.#radius);
      this.#last = point;
    }
    this.#point(this.#last);
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} keep
   */
  #up(event, keep) {
    if (event.type !== "lostpointercapture") this.#touches.delete(event.pointerId);
    if (event.pointerId !== this.#pointer) return;
    if (keep && event.type === "pointerup" && this.#using === "pen") {
      this.drawing.extend([this.#place(event, this.canvas.getBoundingClientRect())]);
    }
    // The system takes touches back for its own gestures; a mouse or pen that goes away has drawn its line.
    this.#stop(keep || this.#pointerType !== "touch");
  }

  #release() {
    this.#pointer = null;
    this.#last = null;
    this.#using = this.tool;
  }

  /** @param {boolean} keep */
  #stop(keep) {
    const using = this.#using;
    this.#release();
    if (!keep) this.drawing.cancel();
    else if (using === "pen") this.drawing.end();
    else this.drawing.endErasing();
    if (this.#pointerType === "touch") this.#point(null);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.#pointer !== null || this.locked) return;
    const step = event.shiftKey ? 32 : 8;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const at = this.#cursor ?? /** @type {Point} */ ([CANVAS / 2, CANVAS / 2]);
    if (way) {
      event.preventDefault();
      this.#keyboard = true;
      const clamp = (/** @type {number} */ value) => Math.min(CANVAS, Math.max(0, value));
      /** @type {Point} */
      const next = [clamp(at[0] + way[0] * step), clamp(at[1] + way[1] * step)];
      if (this.drawing.current) this.drawing.extend([next]);
      else if (this.#last && this.tool !== "pen") this.drawing.eraseAlong(this.tool, at, next, this.#radius);
      this.#point(next);
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      this.#keyboard = true;
      this.#point(at);
      if (this.#last) {
        this.#liftKeyboard();
        announce("Up");
      } else {
        this.#last = at;
        this.#using = this.tool;
        if (this.tool === "pen") {
          this.drawing.begin(at);
        } else {
          this.drawing.beginErasing();
          this.drawing.eraseAlong(this.tool, at, at, this.#radius);
        }
        announce("Down");
      }
    } else if (event.key === "Escape" && this.#last) {
      event.preventDefault();
      this.#last = null;
      this.drawing.cancel();
      announce("Taken back");
    }
  }

  #liftKeyboard() {
    if (!this.#last) return;
    this.#last = null;
    if (this.#using === "pen") this.drawing.end();
    else this.drawing.endErasing();
  }

  #leaveKeyboard() {
    if (!this.#keyboard) return;
    this.#liftKeyboard();
    this.#keyboard = false;
    this.#point(null);
  }
}
