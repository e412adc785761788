/**
 * One photo, large, in a dialog: the browser keeps the focus inside and closes it on Esc.
 * @typedef {import("./grid.js").Item} Item
 */

import { fullPhoto, thumbnail } from "./api.js";
import { announce, byId, copy, count, similarity } from "./dom.js";

export class Viewer {
  /** @type {Item[]} */
  #items = [];
  #at = 0;
  #image = /** @type {HTMLImageElement} */ (byId("viewer-image"));
  #dialog = /** @type {HTMLDialogElement} */ (byId("viewer"));
  /** @type {(id: string) => void} */
  #closed = () => {};
  /** Whether the full photo may still come. */
  #pending = false;

  /** @param {(item: Item) => void} like called when more like a photo are wanted */
  constructor(like) {
    const dialog = this.#dialog;
    byId("viewer-close").addEventListener("click", () => dialog.close());
    byId("viewer-back").addEventListener("click", () => this.#turn(-1));
    byId("viewer-next").addEventListener("click", () => this.#turn(1));
    byId("viewer-like").addEventListener("click", () => {
      const item = this.#items[this.#at];
      this.#closed = () => {};
      dialog.close();
      like(item);
    });
    byId("viewer-copy").addEventListener("click", async () => {
      const copied = await copy(this.#items[this.#at].path);
      this.#say(byId("viewer-copy"), copied ? "Copied" : "Could not copy");
    });
    dialog.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (way) {
        event.preventDefault();
        this.#turn(way);
      } else if (event.key === "Home" || event.key === "End") {
        event.preventDefault();
        this.#show(event.key === "Home" ? 0 : this.#items.length - 1, true);
      }
    });
    dialog.addEventListener("close", () => {
      this.#image.removeAttribute("src");
      this.#closed(this.#items[this.#at]?.id ?? "");
    });
    byId("viewer-problem").textContent = "This photo cannot be shown. It may have been moved or changed.";
    this.#image.addEventListener("error", () => {
      // A thumbnail may fail where the photo itself does not.
      byId("viewer-problem").hidden = this.#pending || !this.#image.getAttribute("src");
      this.#image.hidden = true;
    });
    this.#swipe();
  }

  /**
   * @param {Item[]} items
   * @param {number} at
   * @param {(id: string) => void} closed told the photo that was shown last
   */
  open(items, at, closed) {
    this.#items = items;
    this.#closed = closed;
    this.#show(at, false);
    this.#dialog.showModal();
    byId("viewer-next").focus();
  }

  /** @param {number} way */
  #turn(way) {
    const next = this.#at + way;
    if (next >= 0 && next < this.#items.length) this.#show(next, true);
  }

  /**
   * @param {number} at
   * @param {boolean} spoken
   */
  #show(at, spoken) {
    this.#at = at;
    const item = this.#items[at];
    const image = this.#image;
    byId("viewer-problem").hidden = true;
    image.hidden = false;
    image.alt = item.name;
    // The thumbnail is there already; the photo takes its place once it is.
    image.src = thumbnail(item);
    this.#pending = true;
    const full = new Image();
    full.src = fullPhoto(item);
    full.decode().then(() => true, () => false).then((decoded) => {
      if (!this.#dialog.open || this.#items[this.#at] !== item) return;
      this.#pending = false;
      image.hidden = !decoded;
      byId("viewer-problem").hidden = decoded;
      if (decoded) image.src = full.src;
    });
    byId("viewer-name").textContent = item.name;
    byId("viewer-path").textContent = item.path;
    byId("viewer-path").title = item.path;
    const score = byId("viewer-score");
    score.replaceChildren();
    if (item.score !== undefined) {
      const value = document.createElement("b");
      value.textContent = similarity(item.score);
      score.append(`${count(item.rank ?? at + 1)} of ${count(this.#items.length)} · similarity `, value);
    } else {
      score.append(`${count(at + 1)} of ${count(this.#items.length)}`);
    }
    byId("viewer-open").setAttribute("href", fullPhoto(item));
    byId("viewer-back").setAttribute("aria-disabled", String(at === 0));
    byId("viewer-next").setAttribute("aria-disabled", String(at === this.#items.length - 1));
    if (spoken) announce(`${item.name}, ${score.textContent}`);
    const after = this.#items[at + 1];
    if (after) new Image().src = fullPhoto(after);
  }

  /**
   * @param {HTMLElement} button
   * @param {string} words
   */
  #say(button, words) {
    const span = button.querySelector("span");
    if (!span) return;
    span.textContent = words;
    announce(words);
    setTimeout(() => {
      span.textContent = "Copy path";
    }, 1600);
  }

  #swipe() {
    let from = 0;
    const stage = this.#image;
    stage.addEventListener("touchstart", (event) => {
      from = event.touches.length === 1 ? event.touches[0].clientX : NaN;
    }, { passive: true });
    stage.addEventListener("touchend", (event) => {
      const moved = event.changedTouches[0].clientX - from;
      if (Math.abs(moved) > 60) this.#turn(moved > 0 ? -1 : 1);
    });
  }
}
