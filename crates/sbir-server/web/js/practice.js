/**
 * Practice: a photo is shown, then hidden; one draws it from memory and learns its rank.
 * @typedef {import("./api.js").Photo} Photo
 * @typedef {import("./pad/pad.js").Pad} Pad
 * @typedef {import("./viewer.js").Viewer} Viewer
 */

import { message, rankOf, sample, thumbnail, fullPhoto } from "./api.js";
import { announce, byId, calm, count, el, plural } from "./dom.js";
import { Grid } from "./grid.js";
import { CANVAS, Drawing } from "./pad/drawing.js";
import { OWN_WIDTH } from "./pad/pad.js";
import { paint } from "./pad/paint.js";

/** How long the photo is seen, in milliseconds. */
const LOOK = 8000;
/** How many photos are tried until one can be shown. */
const TRIES = 4;

export class PracticeView {
  /** @type {"start" | "look" | "draw" | "told"} */
  #stage = "start";
  /** @type {Photo | null} */
  #photo = null;
  /** @type {{rank: number, of: number}[]} */
  #ranks = [];
  #timer = 0;
  /** Changes with every action and when the view is left: what an earlier one waited for comes too late. */
  #run = 0;
  #drawing = new Drawing();

  /**
   * @param {Pad} pad
   * @param {Viewer} viewer
   */
  constructor(pad, viewer) {
    this.pad = pad;
    this.viewer = viewer;
    this.#drawing.addEventListener("change", () => this.#tools());
  }

  enter() {
    this.pad.show(this.#drawing);
    if (this.#stage === "draw") this.#draw();
    else if (this.#stage === "start") this.#start();
    else {
      // The rank still stands; what lay on the paper was another view's.
      this.#cover(null);
      this.#lock(true);
    }
    this.#tools();
  }

  leave() {
    this.#run++;
    clearTimeout(this.#timer);
    byId("countdown").toggleAttribute("hidden", true);
    // A photo half looked at is none to draw.
    if (this.#stage === "look") this.#stage = "start";
  }

  again() {}

  #start() {
    this.#stage = "start";
    this.#lock(true);
    this.#cover(null);
    byId("practice-meta").textContent = "";
    this.#body(
      el("p", { class: "words" }, "One of your photos is shown for a few seconds. Then draw it from memory, and see how soon your drawing finds it."),
      this.#row(this.#button("Show a photo", () => this.#look(), true)),
    );
  }

  async #look() {
    clearTimeout(this.#timer);
    const run = ++this.#run;
    let photo;
    try {
      photo = await this.#another(run);
    } catch (error) {
      if (run === this.#run) this.#wrong(error);
      return;
    }
    if (run !== this.#run) return;
    if (!photo) {
      this.#body(el("p", { class: "words" }, "There is no photo to practise with yet."), this.#row(this.#button("Try again", () => this.#look(), true)));
      return;
    }
    this.#photo = photo;
    this.#stage = "look";
    this.#drawing.reset();
    this.#lock(true);
    this.#cover(photo);
    // The time runs from when the photo can be seen.
    await /** @type {HTMLImageElement} */ (byId("paper-image")).decode().catch(() => {});
    if (run !== this.#run) return;
    this.#body(
      el("p", { class: "words" }, "Look well: what stands where, and what shape is it?"),
      this.#row(this.#button("Draw now", () => this.#draw(), true)),
    );
    announce("A photo is shown. Look well.");
    const ring = byId("countdown-ring");
    byId("countdown").toggleAttribute("hidden", false);
    if (!calm()) ring.animate([{ strokeDashoffset: 0 }, { strokeDashoffset: 100 }], LOOK);
    this.#timer = window.setTimeout(() => this.#draw(), LOOK);
  }

  /**
   * A photo that can be shown, another than the last where there is one; none from an empty gallery.
   * @param {number} run
   */
  async #another(run) {
    const { photos } = await sample(TRIES);
    const others = photos.filter((photo) => photo.id !== this.#photo?.id);
    const tried = others.length > 0 ? others : photos;
    for (const photo of tried) {
      if (run !== this.#run) return null;
      const image = new Image();
      image.src = fullPhoto(photo);
      if (await image.decode().then(() => true, () => false)) return photo;
    }
    if (tried.length === 0) return null;
    throw new Error(`No photo can be shown. Tried, and perhaps moved or changed: ${tried.map((photo) => photo.name).join(", ")}.`);
  }

  #draw() {
    this.#run++;
    clearTimeout(this.#timer);
    this.#stage = "draw";
    this.#cover(null);
    this.#lock(false);
    this.#body(
      el("p", { class: "words" }, "Now draw it. The main lines are enough."),
      this.#row(this.#button("Done", () => this.#tell(), true), this.#button("Look again", () => this.#lookAgain())),
    );
    announce("The photo is hidden. Draw it from memory.");
    byId("canvas").focus();
    this.#tools();
  }

  #lookAgain() {
    if (!this.#photo) return;
    this.#run++;
    this.#cover(this.#photo);
    this.#lock(true);
    this.#body(this.#row(this.#button("Back to drawing", () => this.#draw(), true)));
  }

  async #tell() {
    const photo = this.#photo;
    if (!photo) return;
    if (this.#drawing.empty) {
      announce("Draw something first.");
      return;
    }
    const line = this.pad.width === OWN_WIDTH ? undefined : this.pad.width;
    const run = ++this.#run;
    let answer;
    try {
      answer = await rankOf(photo.id, this.#drawing.toJSON(), { line });
    } catch (error) {
      if (run === this.#run) this.#wrong(error);
      return;
    }
    if (run !== this.#run) return;
    this.#stage = "told";
    this.#lock(true);
    this.#ranks.push({ rank: answer.rank, of: answer.of });
    const image = el("img", { src: thumbnail(photo), alt: photo.name });
    const drawn = el("canvas", { width: 440, height: 440, role: "img", "aria-label": "Your drawing" });
    const list = el("ul", { class: "grid", "aria-label": "The photos that your drawing found" });
    const grid = new Grid(list, (index) => this.viewer.open(grid.items, index, (id) => grid.focus(id)));
    this.#body(
      el("p", { class: "rank" }, el("b", {}, `${count(answer.rank)}${answer.exact ? "" : "+"}`), `${verdict(answer.rank)}of ${plural(answer.of, "photo")}`),
      el("div", { class: "beside" }, el("figure", {}, drawn), el("figure", {}, image)),
      this.#row(this.#button("Next photo", () => this.#look(), true), this.#button("Draw on", () => this.#draw())),
    );
    const context = drawn.getContext("2d");
    if (context) {
      context.scale(440 / CANVAS, 440 / CANVAS);
      paint(context, this.#drawing.strokes, this.pad.width * CANVAS, getComputedStyle(this.pad.canvas).color);
    }
    byId("practice-body").append(el("h3", { class: "visually-hidden" }, "Found"), list);
    grid.show(answer.hits, { outlined: photo.id });
    image.addEventListener("error", () => image.setAttribute("src", fullPhoto(photo)), { once: true });
    const ranks = this.#ranks.map((each) => each.rank).sort((a, b) => a - b);
    const median = ranks[Math.floor((ranks.length - 1) / 2)];
    byId("practice-meta").textContent = ranks.length > 1 ? `${count(ranks.length)} drawn · median rank ${count(median)}` : "";
    announce(`Rank ${answer.rank} of ${answer.of}.`);
  }

  /** @param {unknown} error */
  #wrong(error) {
    byId("practice-body").querySelector(".problem")?.remove();
    byId("practice-body").prepend(el("p", { class: "problem" }, message(error)));
    announce(message(error));
  }

  /** @param {...Node} nodes */
  #body(...nodes) {
    byId("practice-body").replaceChildren(el("div", { class: "practice-card" }, ...nodes));
  }

  /** @param {...Node} buttons */
  #row(...buttons) {
    return el("div", { class: "practice-row" }, ...buttons);
  }

  /**
   * @param {string} words
   * @param {() => void} pressed
   * @param {boolean} [primary]
   */
  #button(words, pressed, primary = false) {
    const button = el("button", { type: "button", class: primary ? "button primary" : "button" }, words);
    button.addEventListener("click", pressed);
    return button;
  }

  /** @param {Photo | null} photo */
  #cover(photo) {
    byId("paper-picture").hidden = photo === null;
    byId("countdown").toggleAttribute("hidden", true);
    const image = /** @type {HTMLImageElement} */ (byId("paper-image"));
    if (photo) {
      image.src = fullPhoto(photo);
      image.alt = "The photo to remember";
    } else {
      image.removeAttribute("src");
    }
  }

  /** @param {boolean} locked */
  #lock(locked) {
    this.pad.locked = locked;
    byId("tools").toggleAttribute("inert", locked);
    this.#tools();
  }

  #tools() {
    const hint = { start: "A photo appears here", look: "", draw: "Draw it from memory", told: "" }[this.#stage];
    byId("paper-hint-text").textContent = hint;
    byId("paper-hint").classList.toggle("gone", hint === "" || !this.#drawing.empty);
    this.#drawing.dispatchEvent(new Event("tools"));
  }

  /** @type {Drawing} */
  get drawing() {
    return this.#drawing;
  }
}

/** @param {number} rank */
function verdict(rank) {
  if (rank === 1) return "found first ";
  if (rank <= 10) return "among the first ten ";
  return "";
}
