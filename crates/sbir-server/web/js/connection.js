/**
 * The live line to the server: the state of the index as it changes, and whether the server is there at all.
 * @typedef {import("./api.js").State} State
 */

import { calls } from "./api.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 5000;
/** The server sends something at least every 15 s. */
const SILENCE = 40_000;

/** Fires `state` when {@link Connection#state} changed, `lost`, and `back` once a lost server answers again. */
export class Connection extends EventTarget {
  /** @type {State | null} */
  state = null;
  lost = false;
  /** @type {EventSource | null} */
  #source = null;
  #wait = FIRST_WAIT;
  #timer = 0;
  #silence = 0;

  start() {
    calls.addEventListener("unreachable", () => {
      if (!this.lost) this.#drop();
    });
    // A sleeping laptop or a tab brought back should not wait out the pause.
    for (const [target, name] of /** @type {const} */ ([[window, "online"], [document, "visibilitychange"]])) {
      target.addEventListener(name, () => {
        if (document.hidden) this.#rest();
        else if (!this.#source) this.retry();
      });
    }
    this.#open();
  }

  retry() {
    clearTimeout(this.#timer);
    this.#wait = FIRST_WAIT;
    this.#open();
  }

  #open() {
    this.#source?.close();
    const source = new EventSource("/api/events");
    this.#source = source;
    this.#listenForSilence();
    source.addEventListener("state", (event) => {
      this.#listenForSilence();
      this.state = JSON.parse(event.data);
      this.#wait = FIRST_WAIT;
      const back = this.lost;
      this.lost = false;
      this.dispatchEvent(new Event("state"));
      if (back) this.dispatchEvent(new Event("back"));
    });
    source.addEventListener("alive", () => this.#listenForSilence());
    source.addEventListener("again", () => {
      if (this.#source === source) this.#open();
    });
    source.addEventListener("error", () => {
      // EventSource gives up for good on an answer like 503: reconnecting is done here instead.
      if (this.#source === source) this.#drop();
    });
  }

  #drop() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#timer = window.setTimeout(() => this.#open(), this.#wait);
    this.#wait = Math.min(this.#wait * 1.7, LONGEST_WAIT);
    if (!this.lost) {
      this.lost = true;
      this.dispatchEvent(new Event("lost"));
    }
  }

  /** Browsers have six connections for a server: a page that nobody sees leaves its one to the others. */
  #rest() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
  }

  #listenForSilence() {
    clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.#drop(), SILENCE);
  }
}
