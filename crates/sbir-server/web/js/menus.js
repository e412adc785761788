/** Buttons that open a small panel: Esc and a press elsewhere close it. */

import { byId } from "./dom.js";

/** @param {string} name of `#name-button` and `#name-panel` */
export function menu(name) {
  const button = byId(`${name}-button`);
  const panel = byId(`${name}-panel`);
  /** @param {boolean} open */
  const set = (open) => {
    panel.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => set(panel.hidden));
  document.addEventListener("pointerdown", (event) => {
    const inside = event.target instanceof Node && (panel.contains(event.target) || button.contains(event.target));
    if (!panel.hidden && !inside) set(false);
  });
  for (const element of [button, panel]) {
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || panel.hidden) return;
      event.stopPropagation();
      set(false);
      button.focus();
    });
  }
  return { close: () => set(false) };
}
