//! Matrix products on one thread, row-major.

use gemm::Parallelism;

/// How an operand lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lies {
    /// As its shape says.
    Straight,
    /// Transposed: what is named `[a, b]` is stored as `[b, a]`.
    Transposed,
}

/// `output = left · right`, or added to it.
///
/// # Shapes
/// - `left`: `[rows, inner]`, `right`: `[inner, columns]`, each stored straight or transposed
/// - `output`: `[rows, columns]`
///
/// # Panics
/// Where a slice has another length than its shape.
pub(crate) fn product(
    [rows, inner, columns]: [usize; 3],
    (left, left_lies): (&[f32], Lies),
    (right, right_lies): (&[f32], Lies),
    output: &mut [f32],
    add: bool,
) {
    assert_eq!(left.len(), rows * inner, "length of the left operand");
    assert_eq!(right.len(), inner * columns, "length of the right operand");
    assert_eq!(output.len(), rows * columns, "length of the product");
    // (column stride, row stride)
    let strides = |lies: Lies, height: usize, width: usize| match lies {
        Lies::Straight => (1, width as isize),
        Lies::Transposed => (height as isize, 1),
    };
    let (left_cs, left_rs) = strides(left_lies, rows, inner);
    let (right_cs, right_rs) = strides(right_lies, inner, columns);
    // SAFETY: strides and sizes stay within the slices, whose lengths were checked above; the output is
    // borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            output.as_mut_ptr(),
            1,
            columns as isize,
            add,
            left.as_ptr(),
            left_cs,
            left_rs,
            right.as_ptr(),
            right_cs,
            right_rs,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_agrees_with_the_definition() {
        let [rows, inner, columns] = [5, 7, 3];
        let left: Vec<f32> = (0..rows * inner).map(|i| (i % 11) as f32 - 5.0).collect();
        let right: Vec<f32> = (0..inner * columns).map(|i| (i % 7) as f32 - 3.0).collect();
        let flip = |matrix: &[f32], height: usize, width: usize| -> Vec<f32> {
            (0..width).flat_map(|x| (0..height).map(move |y| matrix[y * width + x])).collect()
        };
        for left_lies in [Lies::Straight, Lies::Transposed] {
            for right_lies in [Lies::Straight, Lies::Transposed] {
                for add in [false, true] {
                    let stored_left = match left_lies {
                        Lies::Straight => left.clone(),
                        Lies::Transposed => flip(&left, rows, inner),
                    };
                    let stored_right = match right_lies {
                        Lies::Straight => right.clone(),
                        Lies::Transposed => flip(&right, inner, columns),
                    };
                    let mut output = vec![2.0; rows * columns];
                    product(
                        [rows, inner, columns],
                        (&stored_left, left_lies),
                        (&stored_right, right_lies),
                        &mut output,
                        add,
                    );
                    for y in 0..rows {
                        for x in 0..columns {
                            let sum: f32 = (0..inner)
                                .map(|i| left[y * inner + i] * right[i * columns + x])
                                .sum();
                            let expected = if add { sum + 2.0 } else { sum };
                            assert_eq!(output[y * columns + x], expected);
                        }
                    }
                }
            }
        }
    }
}
