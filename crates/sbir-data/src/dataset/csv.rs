//! Comma-separated values (RFC 4180).

/// A row's fields and the line, from 1, at which it starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) fields: Vec<String>,
}

/// The rows of a text; blank lines are left out, as is white space around unquoted fields. Quoted fields may hold commas,
/// line ends and, doubled, quotes.
///
/// # Errors
/// The line and what is wrong with it: an open quote, or text behind a closing one.
pub(super) fn parse(text: &str) -> Result<Vec<Row>, (usize, &'static str)> {
    let mut rows = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let mut row = Row { line, fields: Vec::new() };
        loop {
            let (field, after) = field(rest, line)?;
            line += rest[..rest.len() - after.len()].matches('\n').count();
            row.fields.push(field);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix("\r\n").or(after.strip_prefix('\n')).unwrap_or(after);
                    line += 1;
                    break;
                }
            }
        }
        if row.fields != [""] {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The first field of `text` and what follows it: a comma, a line end or nothing.
fn field(text: &str, line: usize) -> Result<(String, &str), (usize, &'static str)> {
    let unquoted = |text: &'_ str| text.find([',', '\n']).unwrap_or(text.len());
    let Some(mut quoted) = text.trim_start_matches([' ', '\t']).strip_prefix('"') else {
        let (field, after) = text.split_at(unquoted(text));
        return Ok((field.trim().to_owned(), after));
    };
    let mut field = String::new();
    loop {
        let Some((part, after)) = quoted.split_once('"') else {
            return Err((line, "a quote is not closed; double the quotes inside of a field"));
        };
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                quoted = next;
            }
            None => {
                let (behind, after) = after.split_at(unquoted(after));
                if !behind.trim().is_empty() {
                    return Err((line, "text behind a closing quote; expected a comma"));
                }
                return Ok((field, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(text: &str) -> Vec<(usize, Vec<String>)> {
        parse(text).unwrap().into_iter().map(|row| (row.line, row.fields)).collect()
    }

    #[test]
    fn quotes_lines_and_blanks() {
        let text = "a, b ,c\r\n\r\n\"x,1\",\"say \"\"hi\"\"\", \"two\nlines\" \nlast,,";
        let rows = fields(text);
        assert_eq!(rows[0], (1, vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(rows[1], (3, vec!["x,1".into(), "say \"hi\"".into(), "two\nlines".into()]));
        assert_eq!(rows[2], (5, vec!["last".into(), String::new(), String::new()]));
        assert_eq!(rows.len(), 3);
        assert!(fields("").is_empty());
        assert_eq!(parse("a\nb,\"c").unwrap_err().0, 2);
        assert_eq!(parse("\"a\"b,c").unwrap_err().0, 1);
    }

    proptest! {
        #[test]
        fn what_was_quoted_comes_back(
            table in prop::collection::vec(prop::collection::vec("[a\",\n\r é]{0,6}", 2..4), 1..5)
        ) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let text: String = table
                .iter()
                .map(|row| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\r\n")
                .collect();
            let found: Vec<Vec<String>> =
                parse(&text).unwrap().into_iter().map(|row| row.fields).collect();
            prop_assert_eq!(found, table);
        }

        #[test]
        fn any_text_gives_rows_or_an_error(text in "[a\",\n\r ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
