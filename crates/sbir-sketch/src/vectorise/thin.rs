//! From ink to lines one pixel wide.

use super::follow::around;
use crate::sketchify::Plane;

/// Takes pixels away from both sides of the ink until lines are left that are one pixel wide, as long and as connected
/// as it was. The outermost pixels must be empty.
pub(super) fn lines(mask: &Plane) -> Plane {
    let mut lines = mask.clone();
    let around = around(mask.width);
    let mut ink: Vec<usize> = (0..mask.values.len()).filter(|&at| mask.values[at] > 0.5).collect();
    let mut gone = Vec::new();
    let mut idle = 0;
    let mut odd = false;
    while idle < 2 {
        gone.clear();
        gone.extend(ink.iter().copied().filter(|&at| {
            removable(around.map(|step| lines.values[at.wrapping_add_signed(step)] > 0.5), odd)
        }));
        gone.iter().for_each(|&at| lines.values[at] = 0.0);
        ink.retain(|&at| lines.values[at] > 0.5);
        idle = if gone.is_empty() { idle + 1 } else { 0 };
        odd = !odd;
    }
    lines
}

/// Guo and Hall's conditions, on the neighbours clockwise from above.
fn removable([n, ne, e, se, s, sw, w, nw]: [bool; 8], odd: bool) -> bool {
    let count = |pairs: [bool; 4]| pairs.into_iter().filter(|pair| *pair).count();
    let parts = count([!n && (ne || e), !e && (se || s), !s && (sw || w), !w && (nw || n)]);
    let one = count([nw || n, ne || e, se || s, sw || w]);
    let other = count([n || ne, e || se, s || sw, w || nw]);
    let kept = if odd { (n || ne || !se) && e } else { (s || sw || !nw) && w };
    parts == 1 && (2..=3).contains(&one.min(other)) && !kept
}
