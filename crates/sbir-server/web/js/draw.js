/**
 * The view on which one draws and finds.
 *
 * @typedef {import("./api.js").Hits} Hits
 * @typedef {import("./api.js").Filters} Filters
 * @typedef {import("./api.js").State} State
 * @typedef {import("./grid.js").Item} Item
 * @typedef {import("./pad/pad.js").Pad} Pad
 * @typedef {import("./viewer.js").Viewer} Viewer
 *
 * @typedef {{kind: "drawing", strokes: import("./api.js").Strokes}} DrawnQuery
 * @typedef {{kind: "picture", blob: Blob, url: string, name: string}} PictureQuery
 * @typedef {{kind: "photo", id: string, version: string, name: string}} PhotoQuery
 * @typedef {(DrawnQuery | PictureQuery | PhotoQuery) & {filters: Filters}} Query
 */

import { ApiError, message, sample, searchLike, searchPicture, searchStrokes, thumbnail } from "./api.js";
import { announce, byId, copy, count, download, el, plural, similarity } from "./dom.js";
import { toCsv, toJson } from "./export.js";
import { Grid } from "./grid.js";
import { LatestQuery } from "./latest.js";
import { menu } from "./menus.js";
import { OWN_WIDTH } from "./pad/pad.js";
import { busy, share, words } from "./status.js";

const FIRST = 30;
const MOST = 240;
/** Larger pictures are not sent; the server refuses them too. */
const MOST_BYTES = 32 << 20;
/** Photos shown while nothing is drawn. */
const SAMPLE = 24;

export class DrawView {
  /** @type {PictureQuery | PhotoQuery | null} what lies on the paper in place of the drawing */
  #picture = null;
  #wanted = FIRST;
  /** @type {Hits | null} */
  #hits = null;
  #minScore = 0;
  #under = "";
  #shown = false;
  #sampling = false;
  /** Whether photos at random are shown, and not results. */
  #sampled = false;
  /** @type {State | null} */
  #state = null;
  /** Of the gallery when it was asked last. */
  #revision = -1;

  /**
   * @param {Pad} pad
   * @param {Viewer} viewer
   */
  constructor(pad, viewer) {
    this.pad = pad;
    this.drawing = pad.drawing;
    this.grid = new Grid(byId("results"), (index) =>
      viewer.open(this.grid.items, index, (id) => this.grid.focus(id)),
    );
    /** @type {LatestQuery<Query, Hits>} */
    this.query = new LatestQuery({
      run: (query, signal) => this.#run(query, signal),
      answered: (hits, _, settled) => this.#answered(hits, settled),
      failed: (error) => this.#failed(error),
      working: (on) => byId("pulse").classList.toggle("on", on),
    });
    this.drawing.addEventListener("change", (event) => {
      const { live } = /** @type {CustomEvent<{live: boolean}>} */ (event).detail;
      this.#hint();
      if (!this.#picture) this.#ask(!live);
    });
    this.#startFilters();
    this.#startExport();
    this.#startPictures();
    byId("more").addEventListener("click", () => {
      this.#wanted = Math.min(MOST, this.#wanted * 2);
      this.#ask(true);
    });
    byId("query-close").addEventListener("click", () => {
      this.#usePicture(null);
      byId("canvas").focus();
    });
  }

  enter() {
    this.#shown = true;
    byId("paper-hint-text").textContent = "Draw what you remember";
    this.pad.show(this.drawing);
    this.#layPicture();
    // The drawing or the gallery may have changed since the results came, and leaving dropped what was under way.
    this.#ask(true);
  }

  leave() {
    this.#shown = false;
    this.query.stop();
  }

  /** @param {Item} item */
  like(item) {
    this.#usePicture({ kind: "photo", id: item.id, version: item.version, name: item.name });
    byId("found-title").scrollIntoView({ block: "nearest" });
  }

  /** A picture from the clipboard, a drop or a file. @param {File} file */
  picture(file) {
    if (file.size > MOST_BYTES) {
      this.#problem(`${file.name}: larger than ${MOST_BYTES >> 20} MiB. Choose a smaller picture.`);
      return;
    }
    this.#usePicture({ kind: "picture", blob: file, url: URL.createObjectURL(file), name: file.name || "a picture" });
  }

  /** The server is there again, or the line width changed. */
  again() {
    if (!this.#shown) return;
    this.grid.reload();
    this.#ask(true);
  }

  /** @param {State} state */
  state(state) {
    const before = this.#state;
    this.#state = state;
    this.#folders(state);
    const grown = state.revision !== this.#revision;
    // While indexing the gallery changes all the time: look again now and then, and once at the end.
    const settled = before !== null && busy(before) && !busy(state);
    if (this.#shown && grown && (this.#revision < 0 || settled || this.#due())) {
      this.#ask(true);
    } else if (this.#shown && this.#idle && this.grid.items.length === 0) {
      this.#blank();
    }
  }

  #lookedAt = -Infinity;

  #due() {
    const now = performance.now();
    if (now - this.#lookedAt < 3000 || this.drawing.current) return false;
    this.#lookedAt = now;
    return true;
  }

  /** Nothing is searched with. */
  get #idle() {
    return !this.#picture && this.drawing.empty;
  }

  /** @param {boolean} urgent */
  #ask(urgent) {
    if (!this.#shown) return;
    this.#revision = this.#state?.revision ?? -1;
    if (this.#idle) {
      this.query.stop();
      this.#wanted = FIRST;
      this.#hits = null;
      this.#sample();
      return;
    }
    const line = this.pad.width === OWN_WIDTH ? undefined : this.pad.width;
    const filters = { k: this.#wanted, min_score: this.#minScore || undefined, under: this.#under || undefined, line };
    byId("found-title").textContent = this.#picture?.kind === "photo" ? "More like this" : "Closest photos";
    const what = this.#picture ?? { kind: /** @type {const} */ ("drawing"), strokes: this.drawing.toJSON() };
    this.query.ask({ ...what, filters }, urgent);
  }

  /**
   * @param {Query} query
   * @param {AbortSignal} signal
   */
  #run(query, signal) {
    switch (query.kind) {
      case "picture":
        return searchPicture(query.blob, query.filters, signal);
      case "photo":
        return searchLike(query.id, query.filters, signal);
      default:
        return searchStrokes(query.strokes, query.filters, signal);
    }
  }

  /**
   * @param {Hits} hits
   * @param {boolean} settled
   */
  #answered(hits, settled) {
    this.#hits = hits;
    this.#sampled = false;
    this.#problem(null);
    byId("found-meta").textContent = `of ${count(hits.searched)} · ${hits.took_ms.toFixed(0)} ms`;
    byId("export-menu").hidden = byId("filter-menu").hidden = false;
    this.grid.show(hits.hits, { move: true });
    byId("more").hidden = hits.hits.length < this.#wanted || this.#wanted >= MOST;
    this.#blank();
    performance.mark("sbir:results", { detail: { settled } });
    if (settled && !this.drawing.current) {
      const [first] = hits.hits;
      announce(
        first
          ? `${plural(hits.hits.length, "photo")}. Closest: ${first.name}, similarity ${similarity(first.score)}.`
          : "No photo matches.",
      );
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    // A lost connection has its own notice; the query is asked again when the server is back.
    if (error instanceof ApiError && error.unreachable) return;
    this.#problem(message(error));
  }

  /** @param {string | null} text */
  #problem(text) {
    const problem = byId("found-problem");
    // Unchanged words are not read out again.
    const news = text !== null && text !== problem.textContent;
    problem.hidden = text === null;
    problem.textContent = text ?? "";
    this.grid.list.classList.toggle("stale", text !== null);
    if (news) announce(text);
  }

  async #sample() {
    byId("more").hidden = true;
    byId("export-menu").hidden = byId("filter-menu").hidden = true;
    byId("found-title").textContent = "Some of your photos";
    byId("found-meta").textContent = "";
    this.#problem(null);
    this.#blank();
    // Photos that one looks at stay, as long as the gallery can have so many.
    const stay = this.#sampled && this.grid.items.length >= SAMPLE && (this.#state?.photos ?? SAMPLE) >= SAMPLE;
    if (this.#sampling || stay) return;
    this.#sampling = true;
    try {
      const { photos } = await sample(SAMPLE);
      if (this.#idle && this.#shown) {
        // Those that are shown keep their order, so that a press meets the photo that it was meant for.
        const places = new Map(this.grid.items.map((item, at) => [item.id, at]));
        /** @param {Item} photo */
        const place = (photo) => places.get(photo.id) ?? places.size;
        this.grid.show(photos.sort((a, b) => place(a) - place(b)));
        this.#sampled = true;
        byId("found-title").textContent = "Some of your photos";
        this.#blank();
      }
    } catch (error) {
      if (this.#idle) this.#failed(error);
    } finally {
      this.#sampling = false;
    }
  }

  /** What is said where no photo stands. */
  #blank() {
    const blank = byId("found-blank");
    blank.hidden = this.grid.items.length > 0 || this.#state === null;
    if (blank.hidden || !this.#state) return;
    if (this.#state.photos > 0 && this.#hits) {
      blank.replaceChildren(el("strong", {}, "No photo is that similar"), el("span", {}, "Lower the similarity in the filter, or choose all folders."));
    } else {
      byId("found-title").textContent = "Your photos";
      blank.replaceChildren(...noPhotos(this.#state));
    }
  }

  #hint() {
    byId("paper-hint").classList.toggle("gone", !this.drawing.empty);
  }

  /** @param {PictureQuery | PhotoQuery | null} picture */
  #usePicture(picture) {
    if (this.#picture?.kind === "picture") URL.revokeObjectURL(this.#picture.url);
    this.#picture = picture;
    this.#wanted = FIRST;
    this.#layPicture();
    this.#ask(true);
  }

  #layPicture() {
    const picture = this.#picture;
    this.pad.locked = picture !== null;
    byId("paper-picture").hidden = picture === null;
    byId("query-chip").hidden = picture === null;
    byId("upload-aside").hidden = picture !== null;
    byId("tools").toggleAttribute("inert", picture !== null);
    this.#hint();
    this.drawing.dispatchEvent(new Event("tools"));
    if (!picture) return;
    const image = /** @type {HTMLImageElement} */ (byId("paper-image"));
    image.src = picture.kind === "picture" ? picture.url : thumbnail(picture);
    image.alt = `Searching with ${picture.name}`;
    byId("query-text").textContent = picture.kind === "photo" ? `Like ${picture.name}` : picture.name;
  }

  #startPictures() {
    const input = /** @type {HTMLInputElement} */ (byId("file"));
    byId("upload").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) this.picture(file);
      // The same file can be chosen again.
      input.value = "";
    });
  }

  #startFilters() {
    menu("filter");
    const under = /** @type {HTMLSelectElement} */ (byId("filter-under"));
    under.addEventListener("change", () => {
      this.#under = under.value;
      this.#ask(true);
    });
    const score = /** @type {HTMLInputElement} */ (byId("filter-score"));
    score.addEventListener("input", () => {
      this.#minScore = Number(score.value);
      byId("filter-score-text").textContent = this.#minScore ? similarity(this.#minScore) : "any";
      this.#ask(false);
    });
  }

  /** @param {State} state */
  #folders(state) {
    fillFolders(/** @type {HTMLSelectElement} */ (byId("filter-under")), state);
  }

  #startExport() {
    const { close } = menu("export");
    byId("export-panel").addEventListener("click", async (event) => {
      const kind = event.target instanceof HTMLElement ? event.target.dataset.export : undefined;
      const hits = this.#hits?.hits ?? [];
      if (kind === "csv") download("sbir-results.csv", "text/csv", toCsv(hits));
      else if (kind === "json") download("sbir-results.json", "application/json", toJson(hits));
      else if (kind === "strokes") download("sketch.json", "application/json", JSON.stringify(this.drawing));
      else if (kind === "paths") announce((await copy(hits.map((hit) => hit.path).join("\n"))) ? "Copied" : "Could not copy");
      else return;
      close();
      byId("export-button").focus();
    });
    byId("export-menu").hidden = true;
  }
}

/**
 * Offers the gallery's folders, keeping the choice.
 * @param {HTMLSelectElement} select
 * @param {State} state
 */
export function fillFolders(select, state) {
  const paths = state.roots.map((root) => root.path);
  const shown = [...select.options].slice(1).map((option) => option.value);
  if (paths.length === shown.length && paths.every((path, i) => path === shown[i])) return;
  const { value } = select;
  select.replaceChildren(select.options[0], ...paths.map((path) => el("option", { value: path }, path)));
  select.value = paths.includes(value) ? value : "";
}

/** @param {State} state @returns {Node[]} */
export function noPhotos(state) {
  if (state.phase === "failed") {
    return [el("strong", {}, "Indexing stopped"), el("span", {}, state.message ?? "See the server's own words for why.")];
  }
  if (busy(state)) {
    const bar = state.total ? el("progress", { max: 1, value: share(state), "aria-label": "Indexing" }) : el("progress", { "aria-label": "Indexing" });
    return [el("strong", {}, "Getting to know your photos"), bar, el("span", {}, words(state))];
  }
  if (state.message) return [el("strong", {}, "No photos to show"), el("span", {}, state.message)];
  const folders = state.roots.map((root) => root.path).join(", ");
  return [el("strong", {}, "No photos yet"), el("span", {}, folders ? `There is no photo in ${folders}.` : "Start the server with a folder of photos.")];
}
