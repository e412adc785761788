/**
 * Queries while drawing: at most one is under way, the newest one is never lost, and an answer never replaces that of a
 * newer query.
 */

import { ApiError, aborted } from "./api.js";

/** After so many refusals in a row one is told why; the query is asked on. */
const PATIENCE = 3;

/**
 * @template Q, A
 * @typedef {object} Handlers
 * @property {(query: Q, signal: AbortSignal) => Promise<A>} run
 * @property {(answer: A, query: Q, settled: boolean) => void} answered `settled`: no newer query is waiting
 * @property {(error: unknown, query: Q) => void} failed also told why a server stays busy, until it answers
 * @property {(working: boolean) => void} [working]
 */

/** @template Q, A */
export class LatestQuery {
  /** @type {Q | null} */
  #wanted = null;
  /** @type {{abort: AbortController, query: Q} | null} */
  #running = null;
  #lastStart = -Infinity;
  /** How often in a row the server was busy. */
  #refusals = 0;
  #timer = 0;

  /**
   * @param {Handlers<Q, A>} handlers
   * @param {number} interval shortest time between two queries while drawing, in milliseconds
   */
  constructor(handlers, interval = 90) {
    this.handlers = handlers;
    this.interval = interval;
  }

  /**
   * Asks for the answer to `query`. An urgent one (the line has ended) starts at once and drops the query under way;
   * others wait for it, so that a slow server still shows something while drawing.
   * @param {Q} query
   * @param {boolean} urgent
   */
  ask(query, urgent) {
    this.#wanted = query;
    if (urgent) {
      this.#running?.abort.abort();
      this.#running = null;
      this.#start();
    } else if (!this.#running) {
      this.#later(this.#lastStart + this.interval - performance.now());
    }
  }

  /** Forgets everything: no answer comes any more. */
  stop() {
    this.#wanted = null;
    this.#refusals = 0;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#running?.abort.abort();
    this.#running = null;
    this.handlers.working?.(false);
  }

  /** @param {number} delay */
  #later(delay) {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (!this.#running) this.#start();
    }, Math.max(0, delay));
  }

  async #start() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const query = this.#wanted;
    if (query === null) return;
    this.#wanted = null;
    const running = { abort: new AbortController(), query };
    this.#running = running;
    this.#lastStart = performance.now();
    this.handlers.working?.(true);
    /** @type {A} */
    let answer;
    try {
      answer = await this.handlers.run(query, running.abort.signal);
    } catch (error) {
      if (this.#running !== running) return;
      this.#running = null;
      if (error instanceof ApiError && error.busy) {
        // Too much at once: the newest query again, a little later.
        this.#wanted ??= query;
        this.#later(Math.min(error.retryAfter, 3) * 1000);
        // What stays so is no crowd: the photos' store may be away.
        if (++this.#refusals >= PATIENCE) this.handlers.failed(error, query);
        return;
      }
      this.#refusals = 0;
      this.handlers.working?.(false);
      if (!aborted(error)) this.handlers.failed(error, query);
      if (this.#wanted !== null) this.#later(this.interval);
      return;
    }
    if (this.#running !== running) return;
    this.#running = null;
    this.#refusals = 0;
    const settled = this.#wanted === null;
    if (settled) this.handlers.working?.(false);
    this.handlers.answered(answer, query, settled);
    if (this.#wanted !== null) this.#later(this.#lastStart + this.interval - performance.now());
  }
}
