/** The tools under the paper, and their keys. */

import { byId } from "./dom.js";

/**
 * @typedef {import("./pad/pad.js").Pad} Pad
 * @typedef {import("./pad/pad.js").Tool} Tool
 */

const KEYS = /** @type {Record<string, Tool>} */ ({ p: "pen", e: "erase", r: "rub" });

/**
 * @param {Pad} pad
 * @param {() => void} widthChanged
 */
export function startTools(pad, widthChanged) {
  const tools = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("[data-tool]:not(canvas)")]);
  /** @param {Tool} tool */
  const use = (tool) => {
    pad.use(tool);
    for (const button of tools) {
      const on = button.dataset.tool === tool;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }
  };
  tools.forEach((button, at) => {
    button.addEventListener("click", () => use(/** @type {Tool} */ (button.dataset.tool)));
    button.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      const next = tools[(at + way + tools.length) % tools.length];
      next.focus();
      use(/** @type {Tool} */ (next.dataset.tool));
    });
  });
  use("pen");

  const width = /** @type {HTMLInputElement} */ (byId("width"));
  const names = ["finest", "fine", "medium", "bold", "boldest"];
  const setWidth = () => {
    pad.setWidth(Number(width.value));
    width.setAttribute("aria-valuetext", names[Number(width.value) - 1]);
  };
  width.addEventListener("input", () => {
    setWidth();
    widthChanged();
  });
  setWidth();

  byId("undo").addEventListener("click", () => pad.drawing.undo());
  byId("redo").addEventListener("click", () => pad.drawing.redo());
  byId("clear").addEventListener("click", () => pad.drawing.clear());

  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (document.querySelector("dialog[open]") || byId("workspace").hidden || pad.locked) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (target.matches("textarea, input:not([type=range])")) return;
      if (key === "z" && !event.shiftKey) pad.drawing.undo();
      else if (key === "y" || (key === "z" && event.shiftKey)) pad.drawing.redo();
      else return;
      event.preventDefault();
      return;
    }
    // Single letters only where drawing happens, so that they never surprise elsewhere.
    if (event.altKey || !byId("pad").contains(target)) return;
    if (KEYS[key]) use(KEYS[key]);
    else if (event.key === "Delete") pad.drawing.clear();
    else return;
    event.preventDefault();
  });
}

/** Greys what cannot be done. @param {Pad} pad */
export function showTools(pad) {
  const { drawing, locked } = pad;
  /** @type {(id: string, on: boolean) => void} */
  const enable = (id, on) => byId(id).setAttribute("aria-disabled", String(!on || locked));
  enable("undo", drawing.canUndo);
  enable("redo", drawing.canRedo);
  enable("clear", drawing.strokes.length > 0);
}
