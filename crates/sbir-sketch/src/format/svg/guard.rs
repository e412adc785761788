//! Bounds on what an SVG expands to.
//!
//! The XML parser stops entity loops and counts nodes, and `usvg` counts what `<use>` copies. Left open,
//! and closed here: large entities used often, references that multiply (a pattern in a pattern in a
//! pattern, a marker on every vertex), deep nesting, style sheets whose matching takes time in the product
//! of rules and elements, and arcs of astronomic radius, which become as many curves.

use std::collections::HashMap;

use usvg::roxmltree::{Document, Node, ParsingOptions};

use crate::error::{Problem, one_line};

/// Most XML nodes in the file.
const MAX_NODES: u32 = 100_000;
/// Most vertices after every reference is replaced by what it refers to.
const MAX_EXPANDED: u64 = 4_000_000;
/// What an element costs beside its vertices, in vertices.
const ELEMENT_COST: u64 = 20;
/// Largest number in a shape. An arc of radius r becomes some r^(1/6) curves.
const MAX_NUMBER: f64 = 1e8;
/// Deepest nesting, references included.
const MAX_DEPTH: u32 = 128;
/// Most bytes that entities may expand to.
const MAX_ENTITY_BYTES: usize = 1 << 20;
/// Most bytes of style sheets.
const MAX_STYLE_BYTES: usize = 64 << 10;

/// Parses the XML and checks it.
pub(super) fn document(text: &str) -> Result<Document<'_>, Problem> {
    check_entities(text)?;
    // Drawing programs write document types, with entities for their namespaces.
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..Default::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| Problem::Syntax { format: "SVG", detail: one_line(&error.to_string()) })?;
    check_styles(&document)?;
    check_numbers(&document)?;
    check_expansion(&document)?;
    Ok(document)
}

fn refuse(detail: impl Into<String>) -> Problem {
    Problem::Svg { detail: detail.into() }
}

/// Entities may not refer to others, and their text times their uses is bounded.
fn check_entities(text: &str) -> Result<(), Problem> {
    let mut longest = 0;
    for (at, keyword) in text.match_indices("<!ENTITY") {
        let rest = &text[at + keyword.len()..];
        let Some((_, value)) = rest.split_once(['"', '\'']) else { continue };
        let quote = rest.as_bytes()[rest.len() - value.len() - 1] as char;
        let value = value.split_once(quote).map_or(value, |(value, _)| value);
        if value.contains('&') {
            return Err(refuse("has entities within entities"));
        }
        longest = longest.max(value.len());
    }
    let uses = text.bytes().filter(|&byte| byte == b'&').count();
    if longest.saturating_mul(uses) > MAX_ENTITY_BYTES {
        return Err(refuse(format!("has entities that expand beyond {MAX_ENTITY_BYTES} bytes")));
    }
    Ok(())
}

/// Style sheets may be no longer than [`MAX_STYLE_BYTES`] and refer to gradients only, since the elements
/// that other references end up on cannot be counted without matching the rules.
fn check_styles(document: &Document<'_>) -> Result<(), Problem> {
    let mut bytes = 0;
    let mut gradients: Option<HashMap<&str, bool>> = None;
    for style in document.descendants().filter(|node| node.tag_name().name() == "style") {
        let text = style.children().filter_map(|child| child.text());
        for text in text {
            bytes += text.len();
            if bytes > MAX_STYLE_BYTES {
                return Err(refuse(format!("has style sheets beyond {MAX_STYLE_BYTES} bytes")));
            }
            for id in url_references(text) {
                let gradients = gradients.get_or_insert_with(|| {
                    let named = document.descendants().filter_map(|node| {
                        let name = node.tag_name().name();
                        Some((node.attribute("id")?, name.ends_with("Gradient")))
                    });
                    named.collect()
                });
                if gradients.get(id) == Some(&false) {
                    return Err(refuse(format!("refers to `{}` from a style sheet", one_line(id))));
                }
            }
        }
    }
    Ok(())
}

/// The `x` of every `url(#x)` in a value.
fn url_references(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("url(").filter_map(|(at, keyword)| {
        let (inside, _) = text[at + keyword.len()..].split_once(')')?;
        inside.trim_matches([' ', '\t', '\n', '\r', '"', '\'']).strip_prefix('#')
    })
}

/// No shape may have a number beyond [`MAX_NUMBER`].
fn check_numbers(document: &Document<'_>) -> Result<(), Problem> {
    const NAMES: [&str; 7] = ["d", "points", "r", "rx", "ry", "width", "height"];
    let attributes = document.descendants().flat_map(|node| node.attributes());
    for attribute in attributes.filter(|attribute| NAMES.contains(&attribute.name())) {
        if numbers(attribute.value()).any(|number| number.abs() > MAX_NUMBER) {
            return Err(refuse(format!("has numbers beyond {MAX_NUMBER:e} in its shapes")));
        }
    }
    Ok(())
}

/// The numbers in path data or a length: `1`, `-.5`, `2e3`, without blanks between where signs and points
/// part them.
fn numbers(text: &str) -> impl Iterator<Item = f64> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|c: char| c.is_ascii_digit() || c == '.')?;
        rest = &rest[start..];
        let bytes = rest.as_bytes();
        let digits = |from: usize| {
            from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        let number;
        (number, rest) = rest.split_at(end);
        // A lone point is no number, and harmless.
        Some(number.parse().unwrap_or(0.0))
    })
}

/// What an element expands to.
#[derive(Clone, Copy, Default)]
struct Size {
    /// Vertices, everything included.
    vertices: u64,
    /// Vertices of the element, its children and what they use: where inherited paint may be repeated.
    places: u64,
    depth: u32,
}

impl Size {
    fn add(self, other: Self) -> Self {
        Self {
            vertices: self.vertices.saturating_add(other.vertices),
            places: self.places.saturating_add(other.places),
            depth: self.depth.max(other.depth),
        }
    }
}

/// How an element refers to another.
#[derive(Clone, Copy, PartialEq)]
enum Link {
    /// The other takes its place (`href`): counted once, and painted as the element is.
    Used,
    /// Applied to the element as a whole (`clip-path`, `mask`, `filter`): counted once.
    Applied,
    /// Paint and markers, which are inherited: repeated at each vertex at worst.
    Painted,
}

/// Bounds vertices and depth after expansion.
fn check_expansion(document: &Document<'_>) -> Result<(), Problem> {
    let ids: HashMap<&str, Node<'_, '_>> =
        document.descendants().filter_map(|node| Some((node.attribute("id")?, node))).collect();
    let links = |node: Node<'_, '_>| {
        let mut links = Vec::new();
        for attribute in node.attributes() {
            let value = attribute.value();
            let kind = match attribute.name() {
                "clip-path" | "mask" | "filter" => Link::Applied,
                _ => Link::Painted,
            };
            let used = (attribute.name() == "href").then(|| value.trim().strip_prefix('#'));
            let used = used.flatten().map(|name| (Link::Used, name));
            let names = used.into_iter().chain(url_references(value).map(|name| (kind, name)));
            links.extend(names.filter_map(|(kind, name)| Some((kind, ids.get(name)?.id()))));
        }
        links
    };

    // Depth first by hand: the first visit queues the parts, the second one adds them up.
    let mut sizes: HashMap<_, Option<Size>> = HashMap::new();
    let mut open = vec![(document.root().id(), false)];
    while let Some((id, parts_known)) = open.pop() {
        let Some(node) = document.get_node(id) else { continue };
        let children = || node.children().filter(Node::is_element).map(|child| child.id());
        let links = links(node);
        if parts_known {
            let total = |ids: &mut dyn Iterator<Item = _>| {
                let known = ids.filter_map(|id| sizes.get(&id).copied().flatten());
                known.fold(Size::default(), Size::add)
            };
            let linked = |kind: Link| {
                total(&mut links.iter().filter(|link| link.0 == kind).map(|link| link.1))
            };
            let own = vertices(node);
            let inside = total(&mut children()).add(linked(Link::Used)).add(Size {
                vertices: own,
                places: own,
                depth: 0,
            });
            let painted = linked(Link::Painted);
            let whole = inside
                .add(linked(Link::Applied))
                .add(Size { vertices: inside.places.saturating_mul(painted.vertices), ..painted });
            let size = Size { places: inside.places, depth: whole.depth + 1, ..whole };
            if size.vertices > MAX_EXPANDED {
                return Err(refuse(format!("expands to more than {MAX_EXPANDED} vertices")));
            }
            if size.depth > MAX_DEPTH {
                return Err(refuse(format!("nests more than {MAX_DEPTH} elements")));
            }
            sizes.insert(id, Some(size));
            continue;
        }
        match sizes.get(&id) {
            Some(Some(_)) => continue,
            Some(None) => return Err(refuse("refers to itself")),
            None => sizes.insert(id, None),
        };
        open.push((id, true));
        open.extend(children().chain(links.iter().map(|link| link.1)).map(|part| (part, false)));
    }
    Ok(())
}

/// What an element alone costs: its vertices take two characters each at least.
fn vertices(node: Node<'_, '_>) -> u64 {
    let length = |name| node.attribute(name).map_or(0, str::len) as u64;
    ELEMENT_COST + (length("d") + length("points")) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Problem> {
        document(text).map(|_| ())
    }

    fn refused(text: &str, word: &str) {
        let problem = check(text).unwrap_err().to_string();
        assert!(problem.contains(word), "{problem}");
    }

    #[test]
    fn entity_bombs_are_refused() {
        let nested = r#"<!DOCTYPE s [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>"#;
        refused(nested, "entities within");
        let long = "a".repeat(100_000);
        let often = "&a;".repeat(1000);
        refused(&format!("<!DOCTYPE s [<!ENTITY a '{long}'>]><svg>{often}</svg>"), "expand beyond");
        let harmless =
            r#"<!DOCTYPE s [<!ENTITY ns "http://www.w3.org/2000/svg">]><svg xmlns="&ns;"/>"#;
        check(harmless).unwrap();
    }

    #[test]
    fn multiplying_references_are_refused() {
        let mut text = String::from("<svg><g id='g0'><path d='M0 0'/></g>");
        for level in 1..12 {
            let uses = format!("<use href='#g{}'/>", level - 1).repeat(10);
            text.push_str(&format!("<g id='g{level}'>{uses}</g>"));
        }
        refused(&format!("{text}</svg>"), "expands");
        let mut text = String::from("<svg><pattern id='p0'/>");
        for level in 1..12 {
            let rects = format!("<rect fill='url(#p{})'/>", level - 1).repeat(10);
            text.push_str(&format!("<pattern id='p{level}'>{rects}</pattern>"));
        }
        refused(&format!("{text}</svg>"), "expands");
        let vertices = "l1 1".repeat(10_000);
        let content = "<rect/>".repeat(100);
        let markers = format!(
            "<svg><marker id='m'>{content}</marker><g marker-mid='url(#m)'><path d='M0 0{vertices}'/></g></svg>"
        );
        refused(&markers, "expands");
    }

    #[test]
    fn what_drawing_programs_write_is_read() {
        let clips = "<g clip-path='url(#c)'>".repeat(20);
        let ends = "</g>".repeat(20);
        let path = format!("<path fill='url(#f)' d='M0 0{}'/>", "l1 1".repeat(2000));
        let text = format!(
            "<svg><clipPath id='c'><rect/></clipPath><linearGradient id='f'><stop/></linearGradient>\
             {clips}{path}{ends}</svg>"
        );
        check(&text).unwrap();
    }

    #[test]
    fn large_shapes_used_often_are_refused() {
        let path = format!("<path id='p' d='M0 0{}'/>", "l1 1".repeat(10_000));
        let uses = "<use href='#p'/>".repeat(1000);
        refused(&format!("<svg>{path}{uses}</svg>"), "expands");
        check(&format!("<svg>{path}{}</svg>", "<use href='#p'/>".repeat(10))).unwrap();
    }

    #[test]
    fn astronomic_numbers_are_refused() {
        for shape in [
            "path d='M0 0a.7672.7672,0,0,1,.761e38-.6641'",
            "rect rx='1e20'",
            "path d='M1 -200000000'",
        ] {
            refused(&format!("<svg><{shape}/></svg>"), "numbers");
        }
        for shape in ["path d='M1e7-1e-38.5.5,1e+3e4eh.'", "rect width='100%' rx='5in'"] {
            check(&format!("<svg><{shape}/></svg>")).unwrap();
        }
        let found: Vec<f64> = numbers("M1.5.25-3e2,4E-1 05e.e7z").collect();
        assert_eq!(found, [1.5, 0.25, 300.0, 0.4, 5.0, 0.0]);
    }

    #[test]
    fn loops_and_depth_are_refused() {
        refused("<svg><g id='a'><use href='#a'/></g></svg>", "itself");
        refused(
            "<svg><g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g></svg>",
            "itself",
        );
        let deep = format!("<svg>{}{}</svg>", "<g>".repeat(200), "</g>".repeat(200));
        refused(&deep, "nests");
        let chain: String =
            (1..200).map(|i| format!("<g id='c{i}'><use href='#c{}'/></g>", i + 1)).collect();
        refused(&format!("<svg>{chain}</svg>"), "nests");
    }

    #[test]
    fn style_sheets_are_bounded() {
        refused(&format!("<svg><style>{}</style></svg>", "a{}".repeat(30_000)), "style sheets");
        refused(
            "<svg><style>.a{clip-path:url(#c)}</style><clipPath id='c'/></svg>",
            "refers to `c` from a style sheet",
        );
        check("<svg><style>.a{fill:url(#c)}</style><linearGradient id='c'/></svg>").unwrap();
    }

    #[test]
    fn many_nodes_are_refused() {
        let text = format!("<svg>{}</svg>", "<g/>".repeat(MAX_NODES as usize));
        assert!(matches!(check(&text).unwrap_err(), Problem::Syntax { .. }));
    }
}
