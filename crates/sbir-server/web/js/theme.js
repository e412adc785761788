/** The theme button: as the system, light, dark. */

import { announce, byId } from "./dom.js";

const THEMES = /** @type {const} */ ([
  ["auto", "as the system", "i-auto"],
  ["light", "light", "i-sun"],
  ["dark", "dark", "i-moon"],
]);

/** @param {() => void} changed */
export function startTheme(changed) {
  const button = byId("theme");
  let at = Math.max(0, THEMES.findIndex(([name]) => name === document.documentElement.dataset.theme));
  const show = () => {
    const [name, words, icon] = THEMES[at];
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.setAttribute("aria-label", `Theme: ${words}`);
    button.title = `Theme: ${words}`;
    byId("theme-icon").setAttribute("href", `#${icon}`);
  };
  button.addEventListener("click", () => {
    at = (at + 1) % THEMES.length;
    show();
    announce(`Theme: ${THEMES[at][1]}`);
    try {
      localStorage.setItem("theme", THEMES[at][0]);
    } catch {
      // Storage is off: the choice lasts as long as the page.
    }
    changed();
  });
  show();
}
