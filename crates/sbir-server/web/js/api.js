/**
 * The server's interface. Every call gives the answer or throws an {@link ApiError}.
 *
 * @typedef {[number, number]} Point in canvas units
 * @typedef {{canvas: number, strokes: Point[][]}} Strokes
 *
 * @typedef {object} Photo
 * @property {string} id
 * @property {string} name the file's name
 * @property {string} path
 * @property {string} version changes with the file's content
 * @property {number} width
 * @property {number} height
 *
 * @typedef {Photo & {rank: number, score: number}} Hit
 *
 * @typedef {object} Hits
 * @property {Hit[]} hits
 * @property {number} searched how many photos were compared
 * @property {boolean} exhaustive
 * @property {number} took_ms
 *
 * @typedef {object} RankAnswer
 * @property {number} rank from 1
 * @property {boolean} exact if false, the rank is this or beyond
 * @property {number} of
 * @property {number} score
 * @property {Hit[]} hits
 *
 * @typedef {object} Page
 * @property {Photo[]} photos
 * @property {number | null} next what to ask with for the page after this one
 * @property {number | null} total how many there are, where that is known
 *
 * @typedef {object} Skipped
 * @property {string} path
 * @property {string} reason
 *
 * @typedef {object} Root
 * @property {string} path
 * @property {string | null} problem
 *
 * @typedef {object} State
 * @property {"starting" | "listing" | "indexing" | "idle" | "failed"} phase
 * @property {number} photos in the gallery
 * @property {number} revision grows when the gallery changes
 * @property {number} done
 * @property {number | null} total
 * @property {number | null} rate photos a second
 * @property {number | null} seconds_left
 * @property {number} skipped
 * @property {Skipped[]} skipped_files the first of them
 * @property {Root[]} roots
 * @property {string} encoder
 * @property {boolean} watching
 * @property {string | null} message
 */

/** A call that failed. `status` is 0 when the server could not be reached. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {number} [retryAfter] seconds
   */
  constructor(status, message, retryAfter = 1) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get unreachable() {
    return this.status === 0;
  }

  get busy() {
    return this.status === 503;
  }

  /** Asked again, the server would say the same. */
  get refused() {
    return this.status >= 400 && this.status < 500;
  }
}

/** @param {unknown} error */
export const aborted = (error) => error instanceof DOMException && error.name === "AbortError";

/** @param {unknown} error */
export const message = (error) => (error instanceof Error ? error.message : String(error));

/** Told of every call that could not reach the server. */
export const calls = new EventTarget();

/**
 * @param {string} path below /api/
 * @param {Record<string, string | number | undefined>} [query]
 * @param {RequestInit} [init]
 */
async function call(path, query = {}, init = {}) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  let response;
  try {
    response = await fetch(`/api/${path}${text ? `?${text}` : ""}`, init);
    if (response.ok) return await response.json();
  } catch (error) {
    if (aborted(error)) throw error;
    calls.dispatchEvent(new Event("unreachable"));
    throw new ApiError(0, "The server cannot be reached.");
  }
  const answer = await response.json().catch(() => null);
  const words = typeof answer?.error === "string" ? answer.error : `The server answered ${response.status}.`;
  throw new ApiError(response.status, words, Number(response.headers.get("retry-after")) || 1);
}

/**
 * @typedef {object} Filters
 * @property {number} [k]
 * @property {number} [min_score]
 * @property {string} [under]
 * @property {number} [line] width of the lines as a share of the canvas
 */

/**
 * @param {Strokes} strokes
 * @param {Filters} filters
 * @param {AbortSignal} [signal]
 * @returns {Promise<Hits>}
 */
export const searchStrokes = (strokes, filters, signal) =>
  call("search", { ...filters }, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(strokes),
    signal,
  });

/**
 * @param {Blob} picture
 * @param {Filters} filters
 * @param {AbortSignal} [signal]
 * @returns {Promise<Hits>}
 */
export const searchPicture = (picture, filters, signal) =>
  call("search/image", { ...filters, line: undefined }, {
    method: "POST",
    headers: { "content-type": picture.type || "application/octet-stream" },
    body: picture,
    signal,
  });

/**
 * @param {string} id
 * @param {Filters} filters
 * @param {AbortSignal} [signal]
 * @returns {Promise<Hits>}
 */
export const searchLike = (id, filters, signal) =>
  call(`photos/${encodeURIComponent(id)}/similar`, { ...filters, line: undefined }, { signal });

/**
 * @param {string} id
 * @param {Strokes} strokes
 * @param {{line?: number}} options
 * @returns {Promise<RankAnswer>}
 */
export const rankOf = (id, strokes, options) =>
  call(`photos/${encodeURIComponent(id)}/rank`, { ...options, k: 24 }, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(strokes),
  });

/**
 * @param {{after?: number, limit: number, under?: string}} place
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page>}
 */
export const gallery = (place, signal) => call("gallery", place, { signal });

/**
 * Photos drawn at random.
 * @param {number} wanted
 * @returns {Promise<{photos: Photo[]}>}
 */
export const sample = (wanted) => call("gallery/sample", { count: wanted });

/**
 * Whether the server lives and takes this page's calls.
 * @param {AbortSignal} signal
 */
export const health = (signal) => call("health", {}, { signal });

/** @param {{id: string, version?: string}} photo */
export const thumbnail = ({ id, version }) => `/api/thumbnails/${encodeURIComponent(id)}${versioned(version)}`;

/** @param {{id: string, version?: string}} photo */
export const fullPhoto = ({ id, version }) => `/api/photos/${encodeURIComponent(id)}${versioned(version)}`;

/** With it the browser may keep the picture for good. @param {string | undefined} version */
const versioned = (version) => (version ? `?v=${encodeURIComponent(version)}` : "");
