//! Text for HTML.

use std::fmt::Display;

/// Escapes text for element content and double-quoted attributes. Control characters, which HTML forbids, become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ if character.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A foreign error on one line.
pub(super) fn one_line(error: &dyn Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A whole number with commas between its thousands.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            escape("<img src=\"x\" onerror='a&b'>\n\u{7f}é"),
            "&lt;img src=&quot;x&quot; onerror=&#39;a&amp;b&#39;&gt;\u{fffd}\u{fffd}é"
        );
    }

    #[test]
    fn thousands_are_grouped() {
        let grouped = [0, 999, 1000, 34_567, 1_234_567].map(thousands);
        assert_eq!(grouped, ["0", "999", "1,000", "34,567", "1,234,567"]);
    }

    #[test]
    fn errors_come_on_one_line() {
        assert_eq!(one_line(&"a\n  b\tc"), "a b c");
    }
}
