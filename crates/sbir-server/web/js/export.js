/**
 * Results as files.
 * @typedef {import("./api.js").Hit} Hit
 */

/** @param {string} text */
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

/**
 * One line a photo. A name that a spreadsheet would run as a formula is kept from it by an apostrophe.
 * @param {readonly Hit[]} hits
 */
export function toCsv(hits) {
  const safe = (/** @type {string} */ text) => quoted(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
  const lines = hits.map((hit) => `${hit.rank},${hit.score},${safe(hit.path)}`);
  return `${["rank,score,path", ...lines].join("\r\n")}\r\n`;
}

/**
 * The form of `sbir search --json`.
 * @param {readonly Hit[]} hits
 */
export const toJson = (hits) =>
  `${JSON.stringify({ hits: hits.map(({ rank, path, score }) => ({ rank, path, score })) }, null, 2)}\n`;
