/** Brings the views, the pad and the connection together. */

import { BrowseView } from "./browse.js";
import { Connection } from "./connection.js";
import { announce, byId, el } from "./dom.js";
import { DrawView } from "./draw.js";
import { Pad } from "./pad/pad.js";
import { PracticeView } from "./practice.js";
import { Status } from "./status.js";
import { startTheme } from "./theme.js";
import { showTools, startTools } from "./tools.js";
import { Viewer } from "./viewer.js";

const pad = new Pad(byId("canvas"));
const viewer = new Viewer((item) => {
  go("draw");
  draw.like(item);
});
const draw = new DrawView(pad, viewer);
const browse = new BrowseView(viewer);
const practice = new PracticeView(pad, viewer);
const views = { draw, browse, practice };
const connection = new Connection();
const status = new Status();

/** @typedef {keyof typeof views} ViewName */
const TITLES = { draw: "draw and find", browse: "browse", practice: "practice" };

/** @type {ViewName | null} */
let current = null;

/** @param {ViewName} name */
function go(name) {
  if (current === name) return;
  if (current) views[current].leave();
  current = name;
  byId("workspace").hidden = name === "browse";
  byId("browse").hidden = name !== "browse";
  byId("found").hidden = name !== "draw";
  byId("pad-foot").hidden = name !== "draw";
  byId("practice").hidden = name !== "practice";
  document.title = `sbir — ${TITLES[name]}`;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link instanceof HTMLElement && link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (location.hash.slice(1) !== name) history.pushState(null, "", `#${name}`);
  views[name].enter();
  showTools(pad);
}

function follow() {
  const name = location.hash.slice(1);
  if (Object.hasOwn(views, name)) go(/** @type {ViewName} */ (name));
  // Other names, such as the skip link's, are places in the view that is shown.
  else if (!current || name === "") go("draw");
}

for (const drawing of [draw.drawing, practice.drawing]) {
  for (const event of ["change", "tools"]) drawing.addEventListener(event, () => showTools(pad));
}
startTools(pad, () => draw.again());
startTheme(() => pad.repaint());

/**
 * A line under the bar.
 * @param {string | null} text
 * @param {...Node} more
 */
function notice(text, ...more) {
  const element = byId("notice");
  // Unchanged words are not read out again.
  if (element.hidden === (text === null) && (element.firstChild?.textContent ?? null) === text) return;
  element.hidden = text === null;
  element.replaceChildren(...(text === null ? [] : [el("span", {}, text), ...more]));
}

/** What the bar and the line under it say of the server. */
function tell() {
  const { state, lost, refusal } = connection;
  status.show(state, lost);
  if (!lost) {
    notice(state?.phase === "failed" ? `Indexing stopped. ${state.message ?? ""}` : null);
    return;
  }
  const retry = el("button", { type: "button", class: "button" }, "Try now");
  retry.addEventListener("click", () => connection.retry());
  notice(refusal ?? "The server cannot be reached. Your drawing is kept; trying again…", retry);
}

connection.addEventListener("state", () => {
  tell();
  if (!connection.state) return;
  draw.state(connection.state);
  browse.state(connection.state);
});
connection.addEventListener("lost", tell);
connection.addEventListener("back", () => announce("The server is back."));
connection.addEventListener("again", () => {
  if (current) views[current].again();
});

/** @param {DataTransfer | null} data */
const pictureIn = (data) => [...(data?.files ?? [])].find((file) => file.type.startsWith("image/"));

/** @param {File} file */
function search(file) {
  go("draw");
  draw.picture(file);
}

document.addEventListener("paste", (event) => {
  const file = pictureIn(event.clipboardData);
  if (file) search(file);
});
let dragging = 0;
/** @param {number} depth */
const drag = (depth) => {
  dragging = Math.max(0, depth);
  byId("drop").hidden = dragging === 0;
};
const carriesFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
document.addEventListener("dragenter", (event) => {
  if (carriesFile(event)) drag(dragging + 1);
});
document.addEventListener("dragleave", (event) => {
  if (carriesFile(event)) drag(dragging - 1);
});
document.addEventListener("dragover", (event) => {
  if (carriesFile(event)) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  drag(0);
  const file = pictureIn(event.dataTransfer);
  if (file) search(file);
  else announce("That is no picture.");
});

addEventListener("popstate", follow);
addEventListener("hashchange", follow);
follow();
connection.start();
