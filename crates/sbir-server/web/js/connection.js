/**
 * The live line to the server: the state of the index as it changes, and whether the server is there at all.
 * @typedef {import("./api.js").State} State
 */

import { ApiError, calls, health } from "./api.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 5000;
/** The server sends something at least every 15 s. */
const SILENCE = 40_000;
/** How long the server has to say that it is there. */
const PATIENCE = 5000;

/**
 * Fires `state` when the server told its state or is there again, `lost` when it is missed or turns this page away, `back`
 * when a lost one is there again, and `again` when calls that did not reach it may be made anew.
 */
export class Connection extends EventTarget {
  /** @type {State | null} */
  state = null;
  lost = false;
  /** @type {string | null} why a server that is there turns this page away, in its own words */
  refusal = null;
  /** @type {EventSource | null} */
  #source = null;
  #wait = FIRST_WAIT;
  #timer = 0;
  #silence = 0;
  /** @type {AbortController | null} the question under way whether the server is there */
  #asking = null;
  /** Whether a call did not reach the server. */
  #missed = false;

  start() {
    calls.addEventListener("unreachable", () => {
      this.#missed = true;
      if (!this.lost && !this.#asking) this.#drop();
    });
    // A sleeping laptop or a tab brought back should not wait out the pause.
    for (const [target, name] of /** @type {const} */ ([[window, "online"], [document, "visibilitychange"]])) {
      target.addEventListener(name, () => {
        // Browsers have six connections for a server: a page that nobody sees leaves its one to the others.
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
    this.#rest();
    const source = new EventSource("/api/events");
    this.#source = source;
    this.#listenForSilence();
    source.addEventListener("state", (event) => {
      this.#listenForSilence();
      this.state = JSON.parse(event.data);
      this.#wait = FIRST_WAIT;
      this.#answers();
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

  async #drop() {
    this.#rest();
    const asking = (this.#asking = new AbortController());
    // Silence counts as a failure, unlike a question that was dropped.
    this.#timer = window.setTimeout(() => asking.abort(new DOMException("", "TimeoutError")), PATIENCE);
    // EventSource does not tell why it failed, so the server is asked.
    const answer = await health(asking.signal).catch((/** @type {unknown} */ error) => error);
    if (this.#asking !== asking) return;
    this.#rest();
    const answers = !(answer instanceof Error);
    this.#timer = window.setTimeout(() => {
      this.#open();
      // Only now, so that a call that breaks each time is not made anew at once.
      if (answers) this.#answers();
    }, this.#wait);
    this.#wait = Math.min(this.#wait * 1.7, LONGEST_WAIT);
    const refusal = answer instanceof ApiError && answer.refused ? answer.message : null;
    if (answers || (this.lost && refusal === this.refusal)) return;
    this.lost = true;
    this.refusal = refusal;
    this.dispatchEvent(new Event("lost"));
  }

  /** The server is there. */
  #answers() {
    const { lost } = this;
    const missed = this.#missed;
    this.lost = this.#missed = false;
    this.refusal = null;
    this.dispatchEvent(new Event("state"));
    if (lost) this.dispatchEvent(new Event("back"));
    if (lost || missed) this.dispatchEvent(new Event("again"));
  }

  /** Holds no connection, and waits for none. */
  #rest() {
    this.#source?.close();
    this.#asking?.abort();
    this.#source = this.#asking = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
  }

  #listenForSilence() {
    clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.#drop(), SILENCE);
  }
}
