/**
 * Strokes on a canvas, as a person likes to see them; the search has the server's own renderer.
 * @typedef {import("../api.js").Point} Point
 */

/**
 * Draws strokes with round ends, through the middles of their segments.
 * @param {CanvasRenderingContext2D} context whose units are canvas units
 * @param {Iterable<readonly Point[]>} strokes
 * @param {number} width
 * @param {string} ink
 */
export function paint(context, strokes, width, ink) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = ink;
  for (const stroke of strokes) {
    if (stroke.length === 0) continue;
    context.beginPath();
    context.moveTo(stroke[0][0], stroke[0][1]);
    for (let i = 1; i < stroke.length - 1; i++) {
      const [x, y] = stroke[i];
      const [nextX, nextY] = stroke[i + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const [x, y] = stroke[stroke.length - 1];
    context.lineTo(x, y);
    context.stroke();
  }
}
