//! Properties over generated input.

use std::path::Path;

use proptest::prelude::*;
use sbir_sketch::format::ndjson::{Record as _, Records};
use sbir_sketch::format::{fscoco_json, fscoco_npy, json, quickdraw, strokes_ndjson, svg};
use sbir_sketch::{LineStyle, MAX_CANVAS, MIN_CANVAS, Sketch, Stroke, render};

/// Finite numbers of every magnitude, and ordinary coordinates.
fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![-64.0..320.0_f32, any::<f32>().prop_filter("finite", |v| v.is_finite())]
}

fn stroke() -> impl Strategy<Value = Stroke> {
    let points = prop::collection::vec([coordinate(), coordinate()], 0..12);
    (points, any::<bool>(), coordinate()).prop_map(|(points, timed, time)| {
        let times = (timed && !points.is_empty()).then(|| vec![time; points.len()]);
        Stroke { points, times }
    })
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let side = || MIN_CANVAS..=MAX_CANVAS;
    let canvas = prop_oneof![Just([256.0, 256.0]), [side(), side()]];
    let strokes = prop::collection::vec(stroke(), 0..8);
    (canvas, strokes).prop_map(|(canvas, strokes)| Sketch::new(canvas, strokes).unwrap())
}

fn style() -> impl Strategy<Value = LineStyle> {
    prop_oneof![
        Just(LineStyle::FsCoco),
        (1e-4..=1.0_f32).prop_map(|width| LineStyle::Antialiased { width })
    ]
}

/// Every reader takes the bytes; only the result may be bad.
fn read_all(bytes: &[u8]) {
    let results = [
        json::parse(bytes),
        fscoco_json::parse(bytes),
        fscoco_npy::parse(bytes),
        svg::parse(bytes),
        quickdraw::Drawing::parse(bytes).map(|drawing| drawing.sketch),
        strokes_ndjson::Record::parse(bytes).map(|record| record.sketch),
    ];
    for sketch in results.into_iter().flatten() {
        Sketch::new(sketch.canvas, sketch.strokes).unwrap();
    }
    for record in Records::<strokes_ndjson::Record, _>::new(Path::new("x"), bytes) {
        drop(record);
    }
}

/// JSON near the formats: their keys with values of any kind.
fn jsonish() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i16>().prop_map(|v| v.to_string()),
        any::<f64>().prop_map(|v| format!("{v:e}")),
        Just("1e999".to_owned()),
        Just("null".to_owned()),
    ];
    let list = number.prop_recursive(4, 64, 6, |inner| {
        prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(",")))
    });
    let key = prop::sample::select(vec![
        "canvas",
        "strokes",
        "drawing",
        "coordinates",
        "pen_state",
        "timestamp",
        "sketch",
        "key_id",
    ]);
    let object = prop::collection::vec((key, list.clone()), 0..5).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        format!("{{{}}}", fields.join(","))
    });
    prop_oneof![
        object.clone(),
        prop::collection::vec(object, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        list
    ]
}

/// Files that are right, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend([1.0_f32, 2.0, 0.0, 3.0, 4.0, 1.0].iter().flat_map(|v| v.to_le_bytes()));
    let texts = [
        r#"{"canvas":[64,48],"strokes":[[[1.5,2,0],[3,4,0.5]],[]]}"#,
        r#"{"sketch":"a","photo":"b","canvas":256,"strokes":[[[1,2],[3,4]]]}"#,
        r#"[{"timestamp":0,"coordinates":[0.5,0.25],"pen_state":[0,1,0]}]"#,
        r#"{"key_id":"1","word":"cat","recognized":true,"drawing":[[[0,255],[3,4],[0,9]]]}"#,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"><defs><marker id="m"><path d="M0 0h1"/></marker></defs><style>.a{fill:none}</style><g transform="rotate(5 1 2) scale(2)" marker-mid="url(#m)"><circle cx="9" cy="8" r="7.5" stroke="#000"/><path class="a" d="m1,4c-.5-1.0-3 .3-1 .8a3 2 1 0 1 5 5zQ1 2 3 4" stroke="red"/></g></svg>"##,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).chain([npy]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_survive_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
        let mut npy = b"\x93NUMPY".to_vec();
        npy.extend(&bytes);
        read_all(&npy);
    }

    #[test]
    fn readers_survive_near_json(text in jsonish()) {
        read_all(text.as_bytes());
    }

    #[test]
    fn readers_survive_damage(
        seed in prop::sample::select(seeds()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = seed;
        for (at, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                // Digits and signs reach further than random bytes.
                _ => bytes[at] = b"0123456789-.e "[usize::from(byte) % 14],
            }
        }
        read_all(&bytes);
    }

    #[test]
    fn our_json_comes_back_the_same(sketch in sketch()) {
        let text = json::to_string(&sketch);
        prop_assert_eq!(json::parse(text.as_bytes()).unwrap(), sketch.clone());
        let record = strokes_ndjson::Record { name: Some("é\"\n".into()), photo: None, sketch };
        let line = record.to_line();
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(strokes_ndjson::Record::parse(line.as_bytes()).unwrap(), record);
    }

    #[test]
    fn rendering_takes_any_finite_sketch(sketch in sketch(), side in 0..70_usize, style in style()) {
        let raster = render(&sketch, side, &style);
        prop_assert_eq!(raster.pixels.len(), side * side);
        prop_assert!(raster == render(&sketch, side, &style));
        if sketch.is_blank() {
            prop_assert!(raster.pixels.iter().all(|&pixel| pixel == 255));
        }
    }

    #[test]
    fn a_mirrored_sketch_is_the_mirrored_picture(
        points in prop::collection::vec([-50.0..300.0_f32, -50.0..300.0_f32], 1..10),
        side in 1..70_usize,
        width in 0.001..0.2_f32,
    ) {
        let style = LineStyle::Antialiased { width };
        let mut sketch = Sketch::new([256.0, 256.0], vec![Stroke::new(points)]).unwrap();
        let straight = render(&sketch, side, &style);
        sketch.flip_horizontal();
        let mirrored = render(&sketch, side, &style);
        for (row, flipped) in straight.pixels.chunks(side).zip(mirrored.pixels.chunks(side)) {
            for (a, b) in row.iter().zip(flipped.iter().rev()) {
                prop_assert!(a.abs_diff(*b) <= 1, "{} {}", a, b);
            }
        }
    }
}
