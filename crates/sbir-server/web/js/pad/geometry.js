/**
 * Geometry of lines on the canvas.
 * @typedef {import("../api.js").Point} Point
 */

/**
 * Distance of a point from the segment `a`–`b`.
 * @param {Point} point
 * @param {Point} a
 * @param {Point} b
 */
export function distanceToSegment([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const square = dx * dx + dy * dy;
  const t = square > 0 ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / square)) : 0;
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

/**
 * Whether `b` lies left of the line from `o` to `a` (positive), right (negative) or on it.
 * @param {Point} o
 * @param {Point} a
 * @param {Point} b
 */
const side = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);

/**
 * Smallest distance between two segments.
 * @param {Point} a
 * @param {Point} b
 * @param {Point} c
 * @param {Point} d
 */
export function segmentDistance(a, b, c, d) {
  if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return 0;
  return Math.min(
    distanceToSegment(a, c, d),
    distanceToSegment(b, c, d),
    distanceToSegment(c, a, b),
    distanceToSegment(d, a, b),
  );
}

/**
 * Whether an eraser of this radius, moved from `a` to `b`, touches the stroke.
 * @param {Point[]} stroke
 * @param {Point} a
 * @param {Point} b
 * @param {number} radius
 */
export function touches(stroke, a, b, radius) {
  if (stroke.length === 1) return distanceToSegment(stroke[0], a, b) <= radius;
  for (let i = 1; i < stroke.length; i++) {
    if (segmentDistance(stroke[i - 1], stroke[i], a, b) <= radius) return true;
  }
  return false;
}

/**
 * What is left of a stroke after rubbing from `a` to `b`: the stroke itself when nothing was touched, else its pieces.
 * @param {Point[]} stroke
 * @param {Point} a
 * @param {Point} b
 * @param {number} radius
 * @returns {Point[][]}
 */
export function rub(stroke, a, b, radius) {
  if (!touches(stroke, a, b, radius)) return [stroke];
  const inside = (/** @type {Point} */ point) => distanceToSegment(point, a, b) <= radius;
  /** @type {Point[][]} */
  const pieces = [];
  /** @type {Point[]} */
  let piece = [];
  const cut = () => {
    if (piece.length > 1) pieces.push(piece);
    piece = [];
  };
  const step = Math.max(radius / 4, 0.25);
  if (!inside(stroke[0])) piece.push(stroke[0]);
  for (let i = 1; i < stroke.length; i++) {
    const [from, to] = [stroke[i - 1], stroke[i]];
    if (segmentDistance(from, to, a, b) > radius) {
      piece.push(to);
      continue;
    }
    // Walks the segment, and keeps the places where it goes in and comes out.
    const steps = Math.min(4096, Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / step)));
    let before = from;
    let hidden = inside(from);
    for (let k = 1; k <= steps; k++) {
      const t = k / steps;
      /** @type {Point} */
      const at = k === steps ? to : [from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])];
      const now = inside(at);
      if (now && !hidden) {
        if (piece.at(-1) !== before) piece.push(before);
        cut();
      } else if (!now && hidden) {
        piece.push(at);
      } else if (!now && k === steps) {
        piece.push(at);
      }
      before = at;
      hidden = now;
    }
  }
  cut();
  return pieces;
}
