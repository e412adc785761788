//! Strokes: file formats, geometry, and the sketch renderer.
