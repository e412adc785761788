/**
 * How far the index is, in the bar and in the panel under it.
 * @typedef {import("./api.js").State} State
 */

import { byId, count, duration, el, plural } from "./dom.js";
import { menu } from "./menus.js";

/** @param {State} state */
export const busy = (state) => ["starting", "listing", "indexing"].includes(state.phase);

/** What a line has room for. @param {State} state */
export function words(state) {
  switch (state.phase) {
    case "starting":
      return "Starting…";
    case "listing":
      return state.done > 0 ? `Looking · ${count(state.done)} files` : "Looking for photos…";
    case "indexing": {
      const left = state.seconds_left === null ? "" : ` · ${duration(state.seconds_left)} left`;
      return `${count(state.done)}${state.total === null ? "" : ` of ${count(state.total)}`}${left}`;
    }
    case "failed":
      return "Indexing stopped";
    default:
      return plural(state.photos, "photo");
  }
}

/** @param {State} state */
export const share = (state) => (state.total ? Math.min(1, state.done / state.total) : 0);

export class Status {
  constructor() {
    menu("status");
  }

  /**
   * @param {State | null} state
   * @param {boolean} lost
   */
  show(state, lost) {
    const root = byId("status");
    root.dataset.phase = lost ? "lost" : (state?.phase ?? "starting");
    const text = lost ? "Connection lost" : state ? words(state) : "Connecting…";
    byId("status-text").textContent = text;
    byId("status-button").setAttribute("aria-label", `Index: ${text}`);
    const ring = byId("ring");
    ring.style.strokeDashoffset = state && !lost && state.phase === "indexing" ? String(100 - 100 * share(state)) : "";
    if (state) byId("status-panel").replaceChildren(...panel(state));
  }
}

/** @param {State} state */
function panel(state) {
  /** @type {Node[]} */
  const nodes = [];
  if (state.phase === "indexing" && state.total !== null) {
    nodes.push(el("progress", { max: state.total, value: state.done, "aria-label": "Indexing" }));
  }
  if (state.message) nodes.push(el("p", { class: "problem" }, state.message));
  const list = el("dl");
  /** @type {(name: string, value: string) => void} */
  const row = (name, value) => list.append(el("dt", {}, name), el("dd", {}, value));
  row("Photos", count(state.photos));
  if (state.phase === "indexing") {
    row("Indexed", `${count(state.done)}${state.total === null ? "" : ` of ${count(state.total)}`}`);
    if (state.rate !== null) row("Speed", `${state.rate < 10 ? state.rate.toFixed(1) : count(Math.round(state.rate))} a second`);
    if (state.seconds_left !== null) row("Left", duration(state.seconds_left));
  }
  row("Encoder", state.encoder);
  row("Changes", state.watching ? "taken up as they happen" : "looked for every minute");
  nodes.push(list);
  if (state.roots.length > 0) {
    const folders = state.roots.map(({ path, problem }) => el("li", {}, problem ? `${path}: ${problem}` : path));
    nodes.push(el("h3", {}, "Folders"), el("ul", {}, ...folders));
  }
  if (state.skipped > 0) {
    const files = state.skipped_files.map(({ path, reason }) => el("li", {}, `${path}: ${reason}`));
    const more = state.skipped - files.length;
    if (more > 0) files.push(el("li", {}, `and ${count(more)} more`));
    nodes.push(el("h3", {}, `${plural(state.skipped, "file")} skipped`), el("ul", { tabindex: 0 }, ...files));
  }
  return nodes;
}
