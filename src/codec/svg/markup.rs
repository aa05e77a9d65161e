//! What an SVG says, before anything follows it: the text, the document type, and the elements.
//!
//! The parser gets a text that has been looked through. It expands entities and compares each attribute of an element with all
//! others, so both are bounded first.

use resvg::usvg::roxmltree::{Document, Error, Node, ParsingOptions};

use super::super::error::CodecError;
use super::{NAME, too_complex};

/// Bytes of the text, its entities put in.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Attributes of one element.
const MAX_ATTRIBUTES: u64 = 200;

/// Bytes of one attribute. A path is drawn in one piece, in memory that grows with its length.
const MAX_ATTRIBUTE_BYTES: u64 = 1024 * 1024;

/// Elements, and texts between them.
const MAX_NODES: u32 = 400_000;

/// Elements.
const MAX_ELEMENTS: u64 = 100_000;

/// Elements inside of each other. Whatever draws them calls itself once a level.
pub(super) const MAX_DEPTH: u64 = 64;

const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";
pub(super) const XLINK_NAMESPACE: &str = "http://www.w3.org/1999/xlink";

/// What would be left out of the picture if it were drawn: these come from elsewhere, or need what is not here.
const REFUSED: [(&str, &str); 5] = [
    ("text", "SVG with text (there are no fonts here; text can be made paths)"),
    ("image", "SVG with a picture inside"),
    ("feImage", "SVG with a picture inside of a filter"),
    ("foreignObject", "SVG with a foreign object inside"),
    ("video", "SVG with a film inside"),
];

/// The text of the file.
///
/// # Errors
/// [`CodecError::TooComplex`], or [`CodecError::Unsupported`] when it is not in UTF-8 or has a document type that does more
/// than name short texts.
pub(super) fn text(bytes: &[u8]) -> Result<&str, CodecError> {
    let length = bytes.len() as u64;
    if length > MAX_BYTES {
        return Err(too_complex("bytes", length, MAX_BYTES));
    }
    let text = std::str::from_utf8(bytes).map_err(|_invalid| CodecError::unsupported("SVG that is not in UTF-8"))?;
    let longest = scan(text)?;
    let references = text.bytes().filter(|&byte| byte == b'&').count() as u64;
    let expanded = length.saturating_add(references.saturating_mul(longest));
    if expanded > MAX_BYTES {
        return Err(too_complex("bytes with its entities", expanded, MAX_BYTES));
    }
    Ok(text)
}

/// Goes from tag to tag. Returns the bytes of the longest entity.
fn scan(text: &str) -> Result<u64, CodecError> {
    let mut longest = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at..).unwrap_or_default();
        let end = if rest.starts_with("<!--") {
            behind(rest, "-->")
        } else if rest.starts_with("<![CDATA[") {
            behind(rest, "]]>")
        } else if rest.starts_with("<?") {
            behind(rest, "?>")
        } else if rest.starts_with("<!") {
            let (bytes, end) = document_type(rest)?;
            longest = longest.max(bytes);
            end
        } else {
            tag(rest)?
        };
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(longest)
}

fn behind(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

/// The length of a tag.
fn tag(text: &str) -> Result<usize, CodecError> {
    let mut quote = None;
    let mut attributes = 0;
    let mut opened = 0;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Ok(at + 1),
            (None, b'=') => attributes += 1,
            (None, b'"' | b'\'') => (quote, opened) = (Some(byte), at),
            (Some(open), byte) if byte == open => {
                quote = None;
                let length = (at - opened) as u64;
                if length > MAX_ATTRIBUTE_BYTES {
                    return Err(too_complex("bytes in one attribute", length, MAX_ATTRIBUTE_BYTES));
                }
            }
            (None | Some(_), _) => {}
        }
        if attributes > MAX_ATTRIBUTES {
            return Err(too_complex("attributes in one element", attributes, MAX_ATTRIBUTES));
        }
    }
    Ok(text.len())
}

/// A document type, which may name short texts as old editors do. Returns the bytes of the longest, and of all of it. Texts that name
/// others, or hold markup, are refused: with those a few bytes become as many as one likes.
fn document_type(text: &str) -> Result<(u64, usize), CodecError> {
    let odd = || CodecError::unsupported("SVG with a document type of its own");
    let mut quote = None;
    let end = text.bytes().position(|byte| {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            (None, b'[' | b'>') => return true,
            (None | Some(_), _) => {}
        }
        false
    });
    let (head, rest) = text.split_at(end.ok_or_else(odd)?);
    let Some(subset) = rest.strip_prefix('[') else { return Ok((0, head.len() + 1)) };
    let mut rest = subset.trim_start();
    let mut longest = 0;
    while let Some(declaration) = rest.strip_prefix("<!ENTITY") {
        let (name, value) = declaration.split_once(['"', '\'']).ok_or_else(odd)?;
        let quote = declaration.as_bytes().get(name.len()).copied().map(char::from).ok_or_else(odd)?;
        let (value, tail) = value.split_once(quote).ok_or_else(odd)?;
        if name.contains(['<', '>', '%', '&']) || value.contains(['<', '>', '%', '&']) {
            return Err(odd());
        }
        longest = longest.max(value.len() as u64);
        rest = tail.trim_start().strip_prefix('>').ok_or_else(odd)?.trim_start();
    }
    let tail = rest.strip_prefix(']').ok_or_else(odd)?.trim_start().strip_prefix('>').ok_or_else(odd)?;
    Ok((longest, text.len() - tail.len()))
}

/// The text as a tree.
///
/// # Errors
/// [`CodecError::Damaged`] when it is no such document, [`CodecError::TooComplex`], or [`CodecError::Unsupported`] with the name of
/// what cannot be drawn.
pub(super) fn parse(text: &str) -> Result<Document<'_>, CodecError> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        if error == Error::NodesLimitReached {
            return too_complex("elements and texts, or more", u64::from(MAX_NODES) + 1, u64::from(MAX_NODES));
        }
        CodecError::damaged(NAME, error)
    })?;
    if kind(document.root_element()) != Some("svg") {
        return Err(CodecError::damaged(NAME, "its first element is not one of an SVG"));
    }
    let mut elements = 0;
    let mut depths = vec![0; document.descendants().count()];
    for node in document.descendants().filter(Node::is_element) {
        elements += 1;
        let above = node.parent().and_then(|parent| depths.get(parent.id().get_usize())).copied().unwrap_or(0);
        if above >= MAX_DEPTH {
            return Err(too_complex("levels of elements", above + 1, MAX_DEPTH));
        }
        if let Some(depth) = depths.get_mut(node.id().get_usize()) {
            *depth = above + 1;
        }
        if let Some((_, what)) = REFUSED.iter().find(|(name, _)| kind(node) == Some(name)) {
            return Err(CodecError::unsupported(*what));
        }
    }
    if elements > MAX_ELEMENTS {
        return Err(too_complex("elements", elements, MAX_ELEMENTS));
    }
    Ok(document)
}

/// The name of an element that is one of SVG's.
pub(super) fn kind<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let name = node.tag_name();
    matches!(name.namespace(), None | Some(SVG_NAMESPACE)).then(|| name.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(bytes: &[u8]) -> String {
        match text(bytes).and_then(parse) {
            Ok(document) => document.descendants().filter(Node::is_element).count().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_editors_write_is_read() {
        let head = "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a > b = c -->\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \
            \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\" [\n <!ENTITY ns \"http://www.w3.org/2000/svg\">\n <!ENTITY x 'y'>\n] >\n";
        assert_eq!(got(format!("{head}<svg xmlns='&ns;'><path d='M0 0'/></svg>").as_bytes()), "2");
        assert_eq!(got(b"<svg><title>a &amp; b</title><style><![CDATA[ a > b {} ]]></style></svg>"), "3");
    }

    #[test]
    fn entities_and_attributes_are_bounded_before_the_parser() {
        for (doctype, word) in [
            ("<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>", "document type"),
            ("<!ENTITY a '<g/>'>", "document type"),
            ("<!ENTITY % a 'b'>", "document type"),
            ("<!ENTITY a SYSTEM 'file:///etc/passwd'> %a;", "document type"),
            ("<!ATTLIST svg a CDATA 'b'>", "document type"),
        ] {
            let found = got(format!("<!DOCTYPE svg [{doctype}]><svg>&b;</svg>").as_bytes());
            assert!(found.contains(word), "{doctype}: {found}");
        }
        let long = format!("<!DOCTYPE svg [<!ENTITY a '{}'>]><svg>{}</svg>", "a".repeat(100_000), "&a;".repeat(100));
        assert!(got(long.as_bytes()).contains("bytes with its entities: at most 8388608"), "{}", got(long.as_bytes()));
        let attributes: String = (0..201).map(|at| format!(" a{at}=''")).collect();
        assert!(got(format!("<svg{attributes}/>").as_bytes()).contains("201 attributes in one element: at most 200"));
        let wide = format!("<svg d='{}'/>", "0".repeat(1_048_577));
        assert!(got(wide.as_bytes()).contains("bytes in one attribute"));
    }

    #[test]
    fn depth_and_number_of_elements_are_bounded() {
        let nested =
            |depth: usize| got(format!("<svg>{}{}</svg>", "<g>".repeat(depth), "</g>".repeat(depth)).as_bytes());
        assert_eq!(nested(63), "64");
        assert!(nested(64).contains("65 levels of elements: at most 64"), "{}", nested(64));
        assert!(nested(50_000).contains("levels of elements"));
        let flat = format!("<svg>{}</svg>", "<g/>".repeat(100_000));
        assert!(got(flat.as_bytes()).contains("100001 elements: at most 100000"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_by_name() {
        for (inside, word) in [
            ("<text>a</text>", "SVG with text"),
            ("<g><image href='data:image/png;base64,AAAA'/></g>", "SVG with a picture inside"),
            ("<filter><feImage href='#a'/></filter>", "inside of a filter"),
            ("<foreignObject/>", "foreign object"),
        ] {
            let found = got(format!("<svg xmlns='http://www.w3.org/2000/svg'>{inside}</svg>").as_bytes());
            assert!(found.contains(word) && found.ends_with("is not supported"), "{found}");
        }
        assert_eq!(got(b"<svg><x:text xmlns:x='urn:other'/></svg>"), "2");
        assert!(got(b"<html><svg/></html>").contains("damaged"));
        assert!(got(b"<svg>").contains("damaged"));
        assert!(got(b"<svg>\xFF</svg>").contains("UTF-8"));
    }
}
