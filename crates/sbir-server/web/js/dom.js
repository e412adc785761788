/** Small helpers around the document. Text from outside goes in as text, never as markup. */

/**
 * The element of this id; a missing one is a mistake in the page.
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return /** @type {T} */ (/** @type {unknown} */ (element));
}

/**
 * A new element with attributes and children; strings become text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, string | number | boolean | undefined>} [attributes] `true` sets an empty one, `false` and `undefined` none
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

const whole = new Intl.NumberFormat("en");

/** @param {number} value */
export const count = (value) => whole.format(value);

/** A similarity as the page shows it everywhere. @param {number} value */
export const similarity = (value) => value.toFixed(2);

/**
 * `1 photo`, `2 photos`.
 * @param {number} value
 * @param {string} one
 * @param {string} [many]
 */
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

let last = 0;

/** Says something to screen readers. @param {string} text */
export function announce(text) {
  const live = byId("live");
  clearTimeout(last);
  // Emptied first, so that the same words are read again.
  live.textContent = "";
  last = window.setTimeout(() => {
    live.textContent = text;
  }, 60);
}

/**
 * Offers text as a file.
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Copies text; where the browser forbids it (a page over plain HTTP from another machine), through a selection.
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    // Else the focus is nowhere, and keys with it.
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    return copied;
  }
}
