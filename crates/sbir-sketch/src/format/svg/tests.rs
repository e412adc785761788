use super::*;

fn svg(content: &str) -> Sketch {
    let text = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 50">{content}</svg>"#
    );
    parse(text.as_bytes()).unwrap()
}

fn strokes(content: &str) -> Vec<Vec<[f32; 2]>> {
    svg(content).strokes.into_iter().map(|stroke| stroke.points).collect()
}

const PEN: &str = r##"fill="none" stroke="#000""##;

#[test]
fn straight_shapes_keep_their_corners() {
    assert_eq!(svg("").canvas, [100.0, 50.0]);
    let line = strokes(&format!(r#"<line x1="1" y1="2" x2="3" y2="4" {PEN}/>"#));
    assert_eq!(line, [[[1.0, 2.0], [3.0, 4.0]]]);
    let polyline = strokes(&format!(r#"<polyline points="1,2 3,4 5,6" {PEN}/>"#));
    assert_eq!(polyline, [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]);
    let polygon = strokes(r#"<polygon points="1,2 3,4 5,7"/>"#);
    assert_eq!(polygon, [[[1.0, 2.0], [3.0, 4.0], [5.0, 7.0], [1.0, 2.0]]]);
    let rect = strokes(&format!(r#"<rect x="10" y="20" width="30" height="5" {PEN}/>"#));
    assert_eq!(rect, [[[10.0, 20.0], [40.0, 20.0], [40.0, 25.0], [10.0, 25.0], [10.0, 20.0]]]);
}

#[test]
fn subpaths_are_strokes() {
    let path = strokes(&format!(r#"<path d="M1 1h5v5z l0 9 M20 20 l1 1" {PEN}/>"#));
    assert_eq!(path.len(), 3);
    assert_eq!(path[0], [[1.0, 1.0], [6.0, 1.0], [6.0, 6.0], [1.0, 1.0]]);
    assert_eq!(path[1], [[1.0, 1.0], [1.0, 10.0]]);
    assert_eq!(path[2], [[20.0, 20.0], [21.0, 21.0]]);
}

#[test]
fn transforms_are_applied() {
    let line = format!(r#"<line x1="1" y1="0" x2="2" y2="0" {PEN}/>"#);
    let moved = strokes(&format!(
        r#"<g transform="translate(10 20)"><g transform="rotate(90) scale(2)">{line}</g></g>"#
    ));
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-4;
    assert!(near(moved[0][0], [10.0, 22.0]) && near(moved[0][1], [10.0, 24.0]), "{moved:?}");
    // The viewBox counts too, and `use`.
    let text = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200" viewBox="-1 -1 2 2">
        <defs><g id="l">{line}</g></defs><use href="#l" x="-1"/></svg>"##
    );
    let sketch = parse(text.as_bytes()).unwrap();
    assert_eq!(sketch.canvas, [200.0, 200.0]);
    assert_eq!(sketch.strokes[0].points, [[100.0, 100.0], [200.0, 100.0]]);
}

#[test]
fn curves_stay_within_the_tolerance() {
    let tolerance = 100.0 * TOLERANCE;
    for shape in [
        r#"<circle cx="50" cy="25" r="20""#,
        r#"<ellipse cx="50" cy="25" rx="20" ry="20""#,
        r#"<path d="M30 25a20 20 0 0 1 40 0a20 20 0 0 1 -40 0""#,
    ] {
        let lines = strokes(&format!("{shape} {PEN}/>"));
        assert_eq!(lines.len(), 1, "{shape}");
        for pair in lines[0].windows(2) {
            // Points lie on the circle (as well as its Bézier form does), the chords' middles near it.
            let radius = |p: [f32; 2]| (p[0] - 50.0).hypot(p[1] - 25.0);
            let middle = [(pair[0][0] + pair[1][0]) / 2.0, (pair[0][1] + pair[1][1]) / 2.0];
            assert!((radius(pair[0]) - 20.0).abs() < 0.006, "{shape}: {}", radius(pair[0]));
            assert!(
                (radius(middle) - 20.0).abs() < tolerance + 0.006,
                "{shape}: {}",
                radius(middle)
            );
        }
        assert!(lines[0].len() < 100);
    }
    let parabola = strokes(&format!(r#"<path d="M0 0Q50 50 100 0" {PEN}/>"#));
    for point in &parabola[0] {
        let t = point[0] / 100.0;
        assert!((point[1] - 100.0 * t * (1.0 - t)).abs() < 1e-3, "{point:?}");
    }
}

#[test]
fn only_what_is_painted_counts() {
    assert_eq!(strokes(r#"<path d="M1 1h5v5z"/>"#).len(), 1);
    assert_eq!(strokes(r#"<path d="M1 1h5v5z" fill="none"/>"#).len(), 0);
    assert_eq!(strokes(r#"<path d="M1 1h5v5z" stroke="red"/>"#).len(), 1);
    assert_eq!(strokes(r#"<path d="M1 1h5v5z" display="none"/>"#).len(), 0);
    assert_eq!(strokes(r#"<path d="M1 1h5v5z" visibility="hidden"/>"#).len(), 0);
    assert_eq!(strokes(r#"<style>.a{fill:none}</style><path class="a" d="M1 1h5v5z"/>"#).len(), 0);
    assert_eq!(strokes(r#"<rect width="100" height="50" fill="white"/>"#).len(), 0);
    assert_eq!(strokes(r#"<rect width="100" height="50" stroke="red"/>"#).len(), 1);
    assert_eq!(strokes("<text x='5' y='5'>hello</text>").len(), 0);
}

#[test]
fn nothing_outside_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner.svg");
    let content =
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M1 1h5v5z"/></svg>"#;
    std::fs::write(&inner, content).unwrap();
    for href in [inner.display().to_string(), format!("file://{}", inner.display())] {
        let image = format!(r#"<image width="50" height="50" xlink:href="{href}"/>"#);
        assert!(svg(&image).is_blank());
    }
    let text = format!(
        r#"<!DOCTYPE svg [<!ENTITY x SYSTEM "file://{}">]><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">&x;</svg>"#,
        inner.display()
    );
    assert!(parse(text.as_bytes()).is_err());
}

#[test]
fn bad_files_are_errors() {
    for text in [
        "",
        "<",
        "<html xmlns='http://www.w3.org/1999/xhtml'/>",
        "{}",
        "<svg xmlns='http://www.w3.org/2000/svg' width='0' height='5'/>",
    ] {
        let problem = parse(text.as_bytes());
        assert!(problem.is_err(), "{text}: {problem:?}");
    }
    assert!(parse(b"\xff\xfe").is_err());
    let large = vec![b' '; MAX_BYTES as usize + 1];
    assert_eq!(parse(&large).unwrap_err(), Problem::TooLarge { limit: MAX_BYTES });
}

#[test]
fn the_deepest_nesting_fits_a_small_stack() {
    let groups = 120;
    let text = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}<path d="M1 1h5v5z"/>{}</svg>"#,
        r#"<g opacity="0.9">"#.repeat(groups),
        "</g>".repeat(groups)
    );
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let sketch = thread.spawn(move || parse(text.as_bytes()).unwrap()).unwrap().join().unwrap();
    assert_eq!(sketch.strokes.len(), 1);
}
