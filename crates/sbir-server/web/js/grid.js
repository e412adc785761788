/**
 * A grid of photos. Tiles are kept by the photo's id while its content and path stay, so that a photo that stays moves to
 * its new place. One tile is in the tab order; arrow keys move among the others.
 *
 * @typedef {import("./api.js").Photo} Photo
 * @typedef {Photo & {rank?: number, score?: number}} Item
 * @typedef {{item: Item, li: HTMLLIElement, tile: HTMLButtonElement, rank: HTMLElement, between: HTMLElement, score: HTMLElement}} Entry
 */

import { thumbnail } from "./api.js";
import { calm, el, similarity } from "./dom.js";

/** Tiles beyond these are put in place without moving. */
const MOVING = 60;
/** How often a thumbnail is asked for. */
const TRIES = 3;

export class Grid {
  /** @type {Item[]} */
  items = [];
  /** @type {Map<string, Entry>} */
  #tiles = new Map();

  /**
   * @param {HTMLElement} list
   * @param {(index: number) => void} open
   */
  constructor(list, open) {
    this.list = list;
    this.open = open;
    list.addEventListener("click", (event) => {
      const index = this.#indexOf(event.target);
      if (index < 0) return;
      this.#activate(index);
      open(index);
    });
    list.addEventListener("focusin", (event) => {
      const index = this.#indexOf(event.target);
      if (index >= 0) this.#activate(index);
    });
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * Shows these photos.
   * @param {Item[]} items
   * @param {{move?: boolean, outlined?: string}} [options] `outlined`: the id of the photo that was meant
   */
  show(items, { move = false, outlined } = {}) {
    const focused = this.#indexOf(document.activeElement);
    const focusedId = this.items[focused]?.id;
    // The same photo twice would be the same tile twice.
    /** @type {Map<string, Item>} */
    const wanted = new Map();
    for (const item of items) if (!wanted.has(item.id)) wanted.set(item.id, item);
    this.items = [...wanted.values()];
    const moving = move && !calm() && !document.hidden;
    /** @type {Map<string, DOMRect>} */
    const before = new Map();
    if (moving) {
      for (const [id, { li }] of [...this.#tiles].slice(0, MOVING)) before.set(id, li.getBoundingClientRect());
    }
    for (const [id, { item, li }] of this.#tiles) {
      const now = wanted.get(id);
      if (now && now.version === item.version && now.path === item.path) continue;
      li.remove();
      this.#tiles.delete(id);
    }
    /** @type {Map<string, Entry>} */
    const tiles = new Map();
    this.items.forEach((item, index) => {
      const entry = this.#tiles.get(item.id) ?? this.#make(item);
      tiles.set(item.id, entry);
      const { li, tile, rank, between, score } = entry;
      // What is read out is what is seen, with the rank before it and a word between.
      const scored = item.score !== undefined;
      rank.textContent = scored ? `${item.rank ?? index + 1}. ` : "";
      between.textContent = scored ? ", similarity " : "";
      score.textContent = scored ? similarity(item.score ?? 0) : "";
      tile.classList.toggle("true", item.id === outlined);
      if (this.list.children[index] !== li) this.list.insertBefore(li, this.list.children[index] ?? null);
    });
    this.#tiles = tiles;
    this.list.classList.toggle("ranked", this.items.some((item) => item.score !== undefined));
    // A focused photo that is gone leaves the focus to the one in its place.
    const kept = this.items.findIndex((item) => item.id === focusedId);
    const active = kept >= 0 ? kept : Math.max(0, Math.min(focused, this.items.length - 1));
    this.#activate(active);
    if (focused >= 0) this.#tile(active)?.focus({ preventScroll: true });
    if (moving) this.#glide(before);
  }

  /** @param {string} id */
  focus(id) {
    const index = this.items.findIndex((item) => item.id === id);
    if (index < 0) return;
    this.#activate(index);
    this.#tile(index)?.focus();
  }

  /** Tries again for thumbnails that failed while the server was away. */
  reload() {
    for (const { tile } of this.#tiles.values()) {
      const gone = tile.querySelector(".tile-gone");
      const image = tile.querySelector("img");
      if (!gone || !image) continue;
      gone.remove();
      image.src = image.src;
    }
  }

  /** @param {number} index */
  #tile(index) {
    const id = this.items[index]?.id;
    return id === undefined ? undefined : this.#tiles.get(id)?.tile;
  }

  /** @param {EventTarget | null} target */
  #indexOf(target) {
    const li = target instanceof Element ? target.closest("li") : null;
    return li && li.parentElement === this.list ? [...this.list.children].indexOf(li) : -1;
  }

  /** @param {number} index */
  #activate(index) {
    this.items.forEach((_, i) => {
      const tile = this.#tile(i);
      if (tile) tile.tabIndex = i === index ? 0 : -1;
    });
  }

  /** @param {Item} item */
  #make(item) {
    const image = el("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
    const frame = el("span", { class: "tile-frame" }, image);
    image.addEventListener("load", () => image.classList.add("here"));
    let tries = 0;
    image.addEventListener("error", () => {
      image.classList.remove("here");
      // A busy server makes the thumbnail a little later.
      if (++tries < TRIES) {
        setTimeout(() => {
          image.src = thumbnail(item);
        }, tries * 1500);
        return;
      }
      if (!frame.querySelector(".tile-gone")) frame.append(el("span", { class: "tile-gone" }, "Cannot be shown"));
    });
    image.src = thumbnail(item);
    const rank = el("span", { class: "visually-hidden" });
    const between = el("span", { class: "visually-hidden" });
    const score = el("span", { class: "tile-score" });
    const name = el("span", { class: "tile-name" }, item.name);
    const tile = el("button", { type: "button", class: "tile", title: item.path }, frame);
    tile.append(el("span", { class: "tile-words" }, rank, name, between, score));
    return { item, li: el("li", {}, tile), tile, rank, between, score };
  }

  /** @param {Map<string, DOMRect>} before */
  #glide(before) {
    const options = { duration: 260, easing: "cubic-bezier(0.22, 0.8, 0.3, 1)" };
    const entries = [...this.#tiles].slice(0, MOVING);
    for (const [, { li }] of entries) for (const animation of li.getAnimations()) animation.cancel();
    const after = entries.map(([, { li }]) => li.getBoundingClientRect());
    entries.forEach(([id, { li }], i) => {
      const [from, to] = [before.get(id), after[i]];
      if (!from) {
        li.animate([{ opacity: 0 }, { opacity: 1 }], options);
        return;
      }
      const [dx, dy] = [from.left - to.left, from.top - to.top];
      const scale = to.width > 0 ? from.width / to.width : 1;
      if (Math.abs(dx) < 1 && Math.abs(dy) < 1 && Math.abs(scale - 1) < 0.01) return;
      const start = `translate(${dx}px, ${dy}px) scale(${scale})`;
      li.animate([{ transform: start, transformOrigin: "0 0" }, { transform: "none", transformOrigin: "0 0" }], options);
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const index = this.#indexOf(event.target);
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.items.length - 1;
    /** @type {number | undefined} */
    let next;
    if (event.key === "ArrowRight") next = index + 1;
    else if (event.key === "ArrowLeft") next = index - 1;
    else if (event.key === "ArrowDown") next = this.#beside(index, 1);
    else if (event.key === "ArrowUp") next = this.#beside(index, -1);
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = last;
    if (next === undefined) return;
    event.preventDefault();
    next = Math.min(last, Math.max(0, next));
    this.#activate(next);
    this.#tile(next)?.focus();
  }

  /**
   * The tile above or below: the nearest row, and in it the nearest middle.
   * @param {number} index
   * @param {1 | -1} way
   */
  #beside(index, way) {
    const from = this.list.children[index].getBoundingClientRect();
    const middle = from.left + Math.min(from.width, from.height) / 2;
    let best = index;
    let bestCost = Infinity;
    [...this.list.children].forEach((li, i) => {
      const box = li.getBoundingClientRect();
      const gap = way > 0 ? box.top - from.bottom : from.top - box.bottom;
      if (gap < -2) return;
      const cost = gap * 4 + Math.abs(box.left + box.width / 2 - middle);
      if (cost < bestCost) [best, bestCost] = [i, cost];
    });
    return best;
  }
}
