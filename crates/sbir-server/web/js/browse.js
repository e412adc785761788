/**
 * All photos, page by page.
 * @typedef {import("./api.js").State} State
 * @typedef {import("./viewer.js").Viewer} Viewer
 */

import { aborted, gallery, message } from "./api.js";
import { announce, byId, count, plural } from "./dom.js";
import { fillFolders, noPhotos } from "./draw.js";
import { Grid } from "./grid.js";

const PAGE = 60;

export class BrowseView {
  /** @type {readonly (number | undefined)[]} what to ask with for the page wanted and those before it */
  #places = [undefined];
  /** The same for the page that is shown. */
  #shownPlaces = this.#places;
  /** @type {number | null} */
  #next = null;
  /** @type {number | null} */
  #total = null;
  #under = "";
  #shown = false;
  #revision = -1;
  /** @type {AbortController | null} */
  #loading = null;
  /** @type {State | null} */
  #state = null;

  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.grid = new Grid(byId("photos"), (index) =>
      viewer.open(this.grid.items, index, (id) => this.grid.focus(id)),
    );
    byId("page-back").addEventListener("click", () => this.#turn(-1));
    byId("page-next").addEventListener("click", () => this.#turn(1));
    const under = /** @type {HTMLSelectElement} */ (byId("browse-under"));
    under.addEventListener("change", () => {
      this.#under = under.value;
      this.#places = this.#shownPlaces = [undefined];
      this.#next = null;
      this.#load();
    });
  }

  enter() {
    this.#shown = true;
    this.#load();
  }

  leave() {
    this.#shown = false;
    this.#loading?.abort();
  }

  again() {
    if (!this.#shown) return;
    this.grid.reload();
    this.#load();
  }

  /** @param {State} state */
  state(state) {
    this.#state = state;
    fillFolders(/** @type {HTMLSelectElement} */ (byId("browse-under")), state);
    byId("browse-under").hidden = state.roots.length < 2;
    if (!this.#shown) return;
    this.#blank();
    // A page that is not full grows while indexing; a full one stays as it is under the reader's eyes.
    if (state.revision !== this.#revision && this.grid.items.length < PAGE) this.#load();
  }

  /** @param {1 | -1} way */
  async #turn(way) {
    // What comes next is known only once this page is there.
    if (this.#loading) return;
    if (way > 0 && this.#next !== null) this.#places = [...this.#places, this.#next];
    else if (way < 0 && this.#places.length > 1) this.#places = this.#places.slice(0, -1);
    else return;
    const places = this.#places;
    await this.#load();
    if (this.#shownPlaces !== places) return;
    byId("browse-title").scrollIntoView({ block: "center" });
    announce(byId("page-text").textContent ?? "");
  }

  /** @returns {Promise<void>} */
  async #load() {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    this.#buttons();
    this.#revision = this.#state?.revision ?? -1;
    try {
      const place = { after: this.#places.at(-1), limit: PAGE, under: this.#under || undefined };
      const page = await gallery(place, loading.signal);
      if (this.#loading !== loading) return;
      if (page.photos.length === 0 && this.#places.length > 1) {
        // Photos went away under the page.
        this.#places = this.#places.slice(0, -1);
        return await this.#load();
      }
      this.#shownPlaces = this.#places;
      [this.#next, this.#total] = [page.next, page.total];
      byId("browse-problem").hidden = true;
      this.grid.show(page.photos);
      this.#pager();
      this.#blank();
    } catch (error) {
      if (aborted(error)) return;
      // The page before stays.
      this.#places = this.#shownPlaces;
      byId("browse-problem").textContent = message(error);
      byId("browse-problem").hidden = false;
      announce(message(error));
    } finally {
      if (this.#loading === loading) {
        this.#loading = null;
        this.#buttons();
      }
    }
  }

  #pager() {
    const first = (this.#places.length - 1) * PAGE + 1;
    const last = first + this.grid.items.length - 1;
    const total = this.#total;
    byId("browse-meta").textContent = total === null ? "" : plural(total, "photo");
    byId("page-text").textContent = `${count(first)}–${count(last)}${total === null ? "" : ` of ${count(total)}`}`;
    byId("pager").hidden = this.#next === null && this.#places.length === 1;
  }

  #buttons() {
    const [back, next] = [byId("page-back"), byId("page-next")];
    // While a page comes they are not `disabled`, which would take the focus from the one that was pressed.
    for (const button of [back, next]) button.setAttribute("aria-disabled", String(this.#loading !== null));
    if (this.#loading) return;
    back.toggleAttribute("disabled", this.#places.length === 1);
    next.toggleAttribute("disabled", this.#next === null);
  }

  #blank() {
    const blank = byId("browse-blank");
    blank.hidden = this.grid.items.length > 0 || this.#state === null;
    if (!blank.hidden && this.#state) blank.replaceChildren(...noPhotos(this.#state));
  }
}
