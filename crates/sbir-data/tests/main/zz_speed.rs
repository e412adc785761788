use fast_image_resize as fir;
fn cpu() -> u64 { std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap() }
#[test]
#[ignore]
fn speed() {
    for (w, h) in [(500usize, 375usize), (640, 480), (4000, 3000)] {
        let px: Vec<u8> = (0..w * h * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let t = sbir_data::Transform::origin(224);
        let n = if w > 1000 { 5 } else { 100 };
        let c = cpu();
        for _ in 0..n { std::hint::black_box(t.from_rgb8(w, h, &px).unwrap()); }
        let ours = (cpu() - c) / n;
        let src = fir::images::ImageRef::new(w as u32, h as u32, &px, fir::PixelType::U8x3).unwrap();
        let c = cpu();
        for _ in 0..n {
            let mut dst = fir::images::Image::new(224, 224, fir::PixelType::U8x3);
            fir::Resizer::new().resize(&src, &mut dst, &fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear))).unwrap();
            std::hint::black_box(dst);
        }
        let theirs = (cpu() - c) / n;
        let img = image::RgbImage::from_raw(w as u32, h as u32, px).unwrap();
        let mut b = std::io::Cursor::new(vec![]);
        image::DynamicImage::ImageRgb8(img).write_to(&mut b, image::ImageFormat::Jpeg).unwrap();
        let c = cpu();
        for _ in 0..n { std::hint::black_box(t.load_bytes(std::path::Path::new("x"), b.get_ref()).unwrap()); }
        let all = (cpu() - c) / n;
        eprintln!("{w}x{h}: ours+normalise {} us, fir {} us, jpeg all {} us", ours / 1000, theirs / 1000, all / 1000);
    }
}
