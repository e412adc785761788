use super::*;
use crate::render::{LineStyle, render};
use crate::sketchify::Plane;

/// A drawing as RGB: `dark` is the ink's value.
fn drawn(sketch: &Sketch, side: usize, width: f32, dark: u8) -> Vec<u8> {
    let raster = render(sketch, side, &LineStyle::Antialiased { width: width / side as f32 });
    let shade = |value: u8| 255 - ((255 - u32::from(value)) * (255 - u32::from(dark)) / 255) as u8;
    raster.pixels.iter().flat_map(|value| [shade(*value); 3]).collect()
}

fn sketch(strokes: &[&[[f32; 2]]]) -> Sketch {
    let strokes = strokes.iter().map(|points| Stroke::new(points.to_vec())).collect();
    Sketch::new([100.0, 100.0], strokes).unwrap()
}

fn circle(x: f32, y: f32, radius: f32) -> Vec<[f32; 2]> {
    let turn = |i: i32| (i as f32 / 40.0 * std::f32::consts::TAU).sin_cos();
    (0..=40).map(turn).map(|(sine, cosine)| [x + radius * cosine, y + radius * sine]).collect()
}

/// The greatest distance of a point of one drawing's lines from those of the other, both on the unit square.
fn off(of: &Sketch, from: &Sketch) -> f32 {
    let segments: Vec<[[f32; 2]; 2]> = from
        .strokes
        .iter()
        .flat_map(|stroke| stroke.points.windows(2).map(|pair| [pair[0], pair[1]]))
        .map(|pair| pair.map(|[x, y]| [x / from.canvas[0], y / from.canvas[1]]))
        .collect();
    let mut most = 0.0_f32;
    for stroke in &of.strokes {
        for pair in stroke.points.windows(2) {
            for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                let point = [0, 1].map(|axis| {
                    (pair[0][axis] + share * (pair[1][axis] - pair[0][axis])) / of.canvas[axis]
                });
                let nearest = segments
                    .iter()
                    .map(|[a, b]| {
                        let way = [b[0] - a[0], b[1] - a[1]];
                        let size = (way[0] * way[0] + way[1] * way[1]).max(1e-12);
                        let along =
                            ((point[0] - a[0]) * way[0] + (point[1] - a[1]) * way[1]) / size;
                        let along = along.clamp(0.0, 1.0);
                        (point[0] - a[0] - along * way[0]).hypot(point[1] - a[1] - along * way[1])
                    })
                    .fold(f32::INFINITY, f32::min);
                most = most.max(nearest);
            }
        }
    }
    most
}

#[test]
fn lines_of_any_width_and_darkness_come_back_where_they_are() {
    let outline = circle(50.0, 45.0, 30.0);
    let curve: Vec<[f32; 2]> =
        (0..30).map(|i| [20.0 + 2.0 * i as f32, 85.0 + 6.0 * (i as f32 / 4.0).sin()]).collect();
    let sketch = sketch(&[&outline, &curve]);
    for (side, width, dark) in [
        (256, 1.0, 0),
        (256, 2.6, 0),
        (224, 6.0, 90),
        (400, 1.5, 150),
        (96, 1.2, 60),
        (900, 4.0, 0),
    ] {
        let found = vectorise(side, side, &drawn(&sketch, side, width, dark)).unwrap();
        let what = format!("{side} pixels, lines of {width}, ink {dark}");
        assert_eq!(found.canvas, [side as f32; 2], "{what}");
        assert_eq!(found.strokes.len(), 2, "{what}: {found:?}");
        assert!(off(&found, &sketch) < 0.012, "{what}: {}", off(&found, &sketch));
        // Ends of lines are thinned away by about half a width.
        let ends = 0.015 + width / side as f32;
        assert!(off(&sketch, &found) < ends, "{what}: {}", off(&sketch, &found));
        let share = found.length() / side as f64 / (sketch.length() / 100.0);
        assert!((0.93..1.03).contains(&share), "{what}: {share}");
    }
}

#[test]
fn crossings_are_gone_straight_through() {
    let sketch = sketch(&[&[[10.0, 20.0], [90.0, 70.0]], &[[15.0, 80.0], [85.0, 15.0]]]);
    let found = vectorise(256, 256, &drawn(&sketch, 256, 2.6, 0)).unwrap();
    assert_eq!(found.strokes.len(), 2, "{found:?}");
    assert!(off(&found, &sketch) < 0.012 && off(&sketch, &found) < 0.025);
}

#[test]
fn pictures_need_not_be_square() {
    let line = sketch(&[&[[10.0, 10.0], [90.0, 90.0]]]);
    let square = drawn(&line, 300, 3.0, 0);
    // The upper half.
    let found = vectorise(300, 150, &square[..300 * 150 * 3]).unwrap();
    assert_eq!(found.canvas, [300.0, 150.0]);
    assert_eq!(found.strokes.len(), 1);
    let on_line = |[x, y]: &[f32; 2]| (x - y).abs() < 2.5;
    assert!(found.strokes[0].points.iter().all(on_line), "{found:?}");
}

#[test]
fn paper_and_noise_are_no_strokes() {
    let mut state = 7_u32;
    let noisy: Vec<u8> = (0..200 * 120)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [235 + (state >> 28) as u8; 3]
        })
        .collect();
    assert!(vectorise(200, 120, &noisy).unwrap().is_blank());
    for (width, height, value) in [(1, 1, 0), (2, 300, 255), (64, 64, 0), (64, 64, 255)] {
        let found = vectorise(width, height, &vec![value; width * height * 3]).unwrap();
        assert!(found.is_blank(), "{width} x {height} of {value}: {found:?}");
    }
    assert!(matches!(vectorise(4, 4, &[0; 47]), Err(Error::Pixels { .. })));
    assert!(matches!(vectorise(usize::MAX, 2, &[0; 6]), Err(Error::Pixels { .. })));
}

#[test]
fn anything_becomes_something() {
    // Noise of black and white at all sizes: nothing to see, and nothing to fail on.
    let mut state = 3_u32;
    for (width, height) in [(8, 8), (9, 200), (130, 70), (256, 256)] {
        let pixels: Vec<u8> = (0..width * height * 3)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 31 == 0 { 0 } else { 255 }
            })
            .collect();
        let found = vectorise(width, height, &pixels).unwrap();
        let points = found.strokes.iter().flat_map(|stroke| &stroke.points);
        let canvas = [width as f32, height as f32];
        assert!(points.flatten().all(|value| (0.0..=canvas[0].max(canvas[1])).contains(value)));
    }
}

#[test]
fn thinning_leaves_lines_of_one_pixel() {
    let mut mask = Plane::new(40, 30);
    for y in 8..22 {
        for x in 5..35 {
            // A frame, five pixels wide.
            let inner = (13..17).contains(&y) && (10..30).contains(&x);
            mask.values[y * 40 + x] = f32::from(!inner);
        }
    }
    let lines = thin::lines(&mask);
    let count = lines.values.iter().filter(|value| **value > 0.5).count();
    assert!((50..80).contains(&count), "{count}");
    // No block of two by two is left, and every pixel has a neighbour on each side: the ring is closed.
    for y in 1..29 {
        for x in 1..39 {
            let at = |dx: usize, dy: usize| lines.at(x + dx - 1, y + dy - 1) > 0.5;
            assert!(!(at(1, 1) && at(2, 1) && at(1, 2) && at(2, 2)), "{x} {y}");
            if at(1, 1) {
                let near = (0..9).filter(|place| at(place % 3, place / 3)).count() - 1;
                assert!(near >= 2, "{x} {y}");
            }
        }
    }
}
