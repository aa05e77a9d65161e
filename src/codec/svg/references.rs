//! How much an SVG comes to once its references are followed: elements that are used again, patterns, masks, clips, filters and
//! markers, by attributes and by style sheets.
//!
//! Whatever draws an SVG follows each reference each time, so a few lines can come to more than there are atoms. Here each element is
//! looked at once: what it comes to is the sum of what it holds and what it refers to, by numbers that stop at the largest.

use std::{cell::Cell, collections::HashMap, rc::Rc};

use resvg::usvg::roxmltree::{Document, Node, NodeId};
use simplecss::{AttributeOperator, DeclarationTokenizer, Element, PseudoClass, StyleSheet};

use super::super::error::CodecError;
use super::markup::{MAX_DEPTH, XLINK_NAMESPACE, kind};
use super::too_complex;

/// Elements with all that they refer to.
const MAX_UNFOLDED: u64 = 200_000;

/// What is counted: parts of an element.
const ELEMENT: u64 = 16;

/// Bytes of attributes that are one such part.
const BYTES: u64 = 16;

/// Bytes of style sheets.
const MAX_STYLE_BYTES: u64 = 128 * 1024;

/// Parts of one selector: each may be looked for in all elements around, so a few are enough to take for ever.
const MAX_SELECTOR: u64 = 6;

/// Looks at elements and attributes that matching all rules takes.
const MAX_STEPS: u64 = 20_000_000;

/// A property that names what an element is painted with. All of them pass to what is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Fill,
    Stroke,
    MarkerStart,
    MarkerMiddle,
    MarkerEnd,
}

/// What an element names; `None` for what is not there, or nothing.
type Painted = Vec<(Paint, Option<NodeId>)>;

/// What is known of one element.
#[derive(Debug, Default)]
struct Known {
    /// Its own and those from around.
    paints: Rc<Painted>,
    /// Masks, clips, filters, and what it is made after: each is followed once.
    others: Vec<NodeId>,
    /// What it is used for.
    used: Option<NodeId>,
    /// Parts of an element that it takes by itself.
    own: u64,
    /// Corners of its outline, at which markers may stand.
    corners: u64,
}

/// What an element comes to.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    parts: u64,
    /// Shapes inside.
    shapes: u64,
    corners: u64,
    /// Levels below and with it.
    height: u64,
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.parts = self.parts.saturating_add(other.parts);
        self.shapes = self.shapes.saturating_add(other.shapes);
        self.corners = self.corners.saturating_add(other.corners);
        self.refer(other, 0);
    }

    /// What is referred to so often. Its shapes are none of this one's.
    fn refer(&mut self, other: Self, times: u64) {
        self.parts = self.parts.saturating_add(other.parts.saturating_mul(times));
        self.height = self.height.max(other.height);
    }
}

/// What the document comes to: elements, all references followed.
///
/// # Errors
/// [`CodecError::TooComplex`] with the number, or [`CodecError::Unsupported`] when something refers to itself.
pub(super) fn check(document: &Document<'_>) -> Result<u64, CodecError> {
    let style = Style::read(document)?;
    let mut ids = HashMap::new();
    for node in document.descendants() {
        if let Some(id) = node.attribute("id") {
            ids.entry(id).or_insert(node.id());
        }
    }
    let mut known: Vec<Known> = Vec::new();
    known.resize_with(document.descendants().count(), Known::default);
    for node in document.descendants().filter(Node::is_element) {
        let around = node.parent().and_then(|parent| known.get(parent.id().get_usize()));
        let around = around.map(|around| Rc::clone(&around.paints)).unwrap_or_default();
        let found = Known::read(node, &around, &style, &ids)?;
        if let Some(slot) = known.get_mut(node.id().get_usize()) {
            *slot = found;
        }
    }
    let mut weights = Weights { document, weighed: vec![Seen::Not; known.len()], known: &known };
    let elements = weights.of(document.root_element().id(), 1)?.parts.div_ceil(ELEMENT);
    if elements > MAX_UNFOLDED {
        return Err(too_complex("elements with all that they refer to", elements, MAX_UNFOLDED));
    }
    Ok(elements)
}

/// The style sheets, and what matching them has taken.
struct Style<'a> {
    sheet: StyleSheet<'a>,
    steps: Cell<u64>,
}

impl<'a> Style<'a> {
    fn read(document: &'a Document<'_>) -> Result<Self, CodecError> {
        let mut sheet = StyleSheet::new();
        let mut bytes = 0_u64;
        for text in document.descendants().filter(|node| node.has_tag_name("style")).filter_map(|node| node.text()) {
            bytes = bytes.saturating_add(text.len() as u64);
            if bytes > MAX_STYLE_BYTES {
                return Err(too_complex("bytes of style sheets", bytes, MAX_STYLE_BYTES));
            }
            // Parts that join are written with a mark or a space between them.
            let marks = |selector: &str| selector.split(['>', '+', ' ', '\n', '\t', '\r', '\x0c']).count() as u64;
            let longest = text.split(['{', '}', ',']).map(marks).max().unwrap_or(0);
            // What is not a selector counts too: values have few words.
            if longest > 64 * MAX_SELECTOR {
                return Err(too_complex("parts in one selector", longest, MAX_SELECTOR));
            }
            sheet.parse_more(text);
        }
        for rule in &sheet.rules {
            let parts = rule.selector.to_string().split_whitespace().filter(|part| !matches!(*part, ">" | "+")).count();
            if parts as u64 > MAX_SELECTOR {
                return Err(too_complex("parts in one selector", parts as u64, MAX_SELECTOR));
            }
        }
        Ok(Self { sheet, steps: Cell::new(0) })
    }

    /// Calls for each declaration that is meant for the element, and returns the steps that finding them took.
    fn declarations(&self, node: Node<'_, '_>, mut each: impl FnMut(&str, &str)) -> Result<u64, CodecError> {
        let before = self.steps.get();
        for rule in &self.sheet.rules {
            self.steps.set(self.steps.get() + 1);
            if rule.selector.matches(&Matched { node, steps: &self.steps }) {
                rule.declarations.iter().for_each(|declaration| each(declaration.name, declaration.value));
            }
            let steps = self.steps.get();
            if steps > MAX_STEPS {
                return Err(too_complex("steps to match its style sheets, or more", steps, MAX_STEPS));
            }
        }
        if let Some(style) = node.attribute("style") {
            DeclarationTokenizer::from(style).for_each(|declaration| each(declaration.name, declaration.value));
        }
        Ok(self.steps.get() - before)
    }
}

/// An element as selectors see it, the same way as for whoever draws it.
struct Matched<'a, 'input> {
    node: Node<'a, 'input>,
    steps: &'a Cell<u64>,
}

impl<'a, 'input> Matched<'a, 'input> {
    fn step(&self, node: Node<'a, 'input>) -> Self {
        self.steps.set(self.steps.get() + 1);
        Self { node, steps: self.steps }
    }
}

impl Element for Matched<'_, '_> {
    fn parent_element(&self) -> Option<Self> {
        self.node.parent_element().map(|node| self.step(node))
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.node.prev_sibling_element().map(|node| self.step(node))
    }

    fn has_local_name(&self, name: &str) -> bool {
        self.node.tag_name().name() == name
    }

    fn attribute_matches(&self, name: &str, operator: AttributeOperator<'_>) -> bool {
        self.steps.set(self.steps.get() + 1);
        self.node.attribute(name).is_some_and(|value| operator.matches(value))
    }

    fn pseudo_class_matches(&self, class: PseudoClass<'_>) -> bool {
        class == PseudoClass::FirstChild && self.node.prev_sibling_element().is_none()
    }
}

impl Known {
    fn read(
        node: Node<'_, '_>,
        around: &Rc<Painted>,
        style: &Style<'_>,
        ids: &HashMap<&str, NodeId>,
    ) -> Result<Self, CodecError> {
        let mut own = Painted::new();
        let mut found = Self::default();
        let mut bytes = 0_u64;
        let mut take = |name: &str, value: &str| {
            bytes = bytes.saturating_add((name.len() + value.len()) as u64);
            let mut targets = named(value).filter_map(|id| ids.get(id).copied());
            if paints(name).is_empty() {
                found.others.extend(targets);
            } else {
                let target = targets.next();
                own.extend(paints(name).iter().map(|&paint| (paint, target)));
            }
        };
        let mut href = None;
        for attribute in node.attributes() {
            take(attribute.name(), attribute.value());
            if attribute.name() == "href" && matches!(attribute.namespace(), None | Some(XLINK_NAMESPACE)) {
                // The one without a prefix goes before the other.
                href = if attribute.namespace().is_none() {
                    Some(attribute.value())
                } else {
                    href.or(Some(attribute.value()))
                };
            }
        }
        let steps = style.declarations(node, &mut take)?;
        let href = href.map(str::trim);
        let target = href.and_then(|href| href.strip_prefix('#')).and_then(|id| ids.get(id.trim_end()).copied());
        match kind(node) {
            Some("use") if href.is_some_and(|href| !href.is_empty() && !href.starts_with('#')) => {
                return Err(CodecError::unsupported("SVG that needs other files"));
            }
            Some("use") => found.used = target,
            Some("a") => {}
            _ => found.others.extend(target),
        }
        found.own = match kind(node) {
            Some("stop") => 1,
            // They become a group that is clipped.
            Some("svg" | "symbol" | "marker") => 2 * ELEMENT,
            _ => ELEMENT,
        };
        found.own = found.own.saturating_add(bytes / BYTES).saturating_add(steps / BYTES);
        found.corners = match kind(node) {
            Some("path" | "polyline" | "polygon") => {
                let length = |name| node.attribute(name).map_or(0, str::len) as u64;
                // Two bytes are the shortest that make a corner.
                length("d").max(length("points")) / 2 + 2
            }
            Some("rect" | "circle" | "ellipse" | "line") => 16,
            _ => 0,
        };
        // A marker is not put on what is inside of it.
        let own_markers = |(paint, target): &(Paint, Option<NodeId>)| {
            let marker = !matches!(paint, Paint::Fill | Paint::Stroke);
            !marker || !target.is_some_and(|target| node.ancestors().any(|above| above.id() == target))
        };
        found.paints = if own.is_empty() {
            Rc::clone(around)
        } else {
            let from_around = around.iter().filter(|(paint, _)| !own.iter().any(|(own, _)| own == paint)).copied();
            Rc::new(own.iter().copied().chain(from_around).collect())
        };
        if !found.paints.iter().all(own_markers) {
            found.paints = Rc::new(found.paints.iter().copied().filter(own_markers).collect());
        }
        Ok(found)
    }
}

/// What a property says about painting; one may stand for several.
fn paints(property: &str) -> &'static [Paint] {
    match property {
        "fill" => &[Paint::Fill],
        "stroke" => &[Paint::Stroke],
        "marker-start" => &[Paint::MarkerStart],
        "marker-mid" => &[Paint::MarkerMiddle],
        "marker-end" => &[Paint::MarkerEnd],
        "marker" => &[Paint::MarkerStart, Paint::MarkerMiddle, Paint::MarkerEnd],
        _ => &[],
    }
}

/// The id of each `url(#id)` in a value.
fn named(value: &str) -> impl Iterator<Item = &str> {
    value.split("url(").skip(1).filter_map(|url| {
        let url = url.trim_start().trim_start_matches(['"', '\'']).trim_start().strip_prefix('#')?;
        url.split([')', '"', '\'']).next().map(str::trim_end)
    })
}

#[derive(Clone, Copy)]
enum Seen {
    Not,
    /// On the way down to where we are.
    Above,
    Weighed(Weight),
}

struct Weights<'a, 'input> {
    document: &'a Document<'input>,
    known: &'a [Known],
    weighed: Vec<Seen>,
}

impl Weights<'_, '_> {
    /// Calls itself, as deep as the limit on levels lets it.
    fn of(&mut self, id: NodeId, level: u64) -> Result<Weight, CodecError> {
        let at = id.get_usize();
        let weight = match self.weighed.get(at).copied().unwrap_or(Seen::Not) {
            Seen::Weighed(weight) => weight,
            Seen::Above => return Err(CodecError::unsupported("SVG that refers to itself")),
            Seen::Not => {
                if level > MAX_DEPTH {
                    return Err(too_complex("levels of elements and references, or more", level, MAX_DEPTH));
                }
                self.mark(at, Seen::Above);
                let weight = self.weigh(id, level)?;
                self.mark(at, Seen::Weighed(weight));
                weight
            }
        };
        let levels = level.saturating_add(weight.height).saturating_sub(1);
        if levels > MAX_DEPTH {
            return Err(too_complex("levels of elements and references, or more", levels, MAX_DEPTH));
        }
        Ok(weight)
    }

    fn mark(&mut self, at: usize, seen: Seen) {
        if let Some(slot) = self.weighed.get_mut(at) {
            *slot = seen;
        }
    }

    fn weigh(&mut self, id: NodeId, level: u64) -> Result<Weight, CodecError> {
        let known = self.known;
        let (Some(own), Some(node)) = (known.get(id.get_usize()), self.document.get_node(id)) else {
            return Ok(Weight::default());
        };
        let is_shape = own.corners > 0;
        let mut weight = Weight { parts: own.own, shapes: u64::from(is_shape), corners: own.corners, height: 0 };
        for child in node.children().filter(Node::is_element) {
            weight.add(self.of(child.id(), level + 1)?);
        }
        if let Some(used) = own.used {
            weight.add(self.of(used, level + 1)?);
        }
        for &other in &own.others {
            let other = self.of(other, level + 1)?;
            weight.refer(other, 1);
        }
        if is_shape || own.used.is_some() {
            for &(paint, target) in own.paints.iter() {
                let Some(target) = target else { continue };
                let times = match paint {
                    Paint::Fill | Paint::Stroke => weight.shapes,
                    Paint::MarkerStart | Paint::MarkerEnd if is_shape => 1,
                    Paint::MarkerStart | Paint::MarkerMiddle | Paint::MarkerEnd => weight.corners,
                };
                let target = self.of(target, level + 1)?;
                weight.refer(target, times);
            }
        }
        weight.height = weight.height.saturating_add(1);
        Ok(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::super::markup;
    use super::*;

    fn unfolded(inside: &str) -> String {
        let text = format!("<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='{XLINK_NAMESPACE}'>{inside}</svg>");
        match markup::parse(&text).and_then(|document| check(&document)) {
            Ok(elements) => elements.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_used_counts_as_often_as_it_is() {
        let ten = "<g id='a'>".to_owned() + &"<path d='M0 0'/>".repeat(10) + "</g>";
        let once: u64 = unfolded(&ten).parse().unwrap();
        let five: u64 = unfolded(&(ten + &"<use href='#a'/>".repeat(5))).parse().unwrap();
        assert!((12..15).contains(&once) && (once + 55..once + 65).contains(&five), "{once} {five}");
    }

    /// Each of these comes to billions from a few lines.
    #[test]
    fn references_that_multiply_are_refused_with_their_number() {
        let chain = |what: &str, body: &str| {
            let link = |at: usize| {
                let children = body.replace('N', &at.to_string()).repeat(2);
                format!("<{what} id='a{}'>{children}</{what}>", at + 1)
            };
            (0..20).map(link).collect::<String>()
        };
        for (what, body, last) in [
            ("g", "<use href='#aN'/>", "<use href='#a20'/>"),
            ("symbol", "<use xlink:href=' #aN'/>", "<use href='#a20'/>"),
            ("pattern", "<rect fill='url(#aN)'/>", "<rect fill='url(#a20)'/>"),
            ("pattern", "<rect style='stroke: url(#aN) none'/>", "<g stroke='url(#a20)'><rect/></g>"),
            ("mask", "<rect mask='url(#aN)'/>", "<rect mask='url(#a20)'/>"),
            ("clipPath", "<rect clip-path='url(\"#aN\")'/>", "<rect clip-path='url(#a20)'/>"),
            ("filter", "<g filter='blur(1px) url(#no) url(#aN)'/>", "<rect filter='url(#a20)'/>"),
            ("marker", "<path d='M0 0 1 1 2 2' marker-mid='url(#aN)'/>", "<path d='M0 0h1' marker-mid='url(#a20)'/>"),
        ] {
            let found = unfolded(&(chain(what, body) + last));
            assert!(found.contains("elements with all that they refer to: at most 200000"), "{what}: {found}");
        }
        let long: String = (0..40).map(|at| format!("<g id='a{}'><use href='#a{at}'/></g>", at + 1)).collect();
        assert!(
            unfolded(&long).contains("levels of elements and references, or more: at most 64"),
            "{}",
            unfolded(&long)
        );
        // Flat, and all the same too much.
        let many = "<pattern id='p'>".to_owned()
            + &"<rect/>".repeat(1000)
            + "</pattern>"
            + "<g fill='url(#p)'>"
            + &"<rect/>".repeat(1000)
            + "</g>";
        assert!(
            unfolded(&many).contains("elements with all that they refer to: at most 200000"),
            "{}",
            unfolded(&many)
        );
        let markers =
            format!("<marker id='m'><g/><g/></marker><path marker-mid='url(#m)' d='M0 0{}'/>", "h1".repeat(100_000));
        assert!(unfolded(&markers).contains("elements with all that they refer to"));
    }

    #[test]
    fn circles_are_refused_however_they_go() {
        for inside in [
            "<g id='a'><use href='#a'/></g>",
            "<use id='a' href='#b'/><use id='b' href='#c'/><use id='c' href='#a'/>",
            "<pattern id='p'><rect fill='url(#p)'/></pattern>",
            // By inheritance alone.
            "<g fill='url(#p)'><pattern id='p'><rect/></pattern></g>",
            "<style>rect { fill: url(#p) }</style><pattern id='p'><rect/></pattern>",
            "<mask id='m' mask='url(#n)'/><mask id='n'><g mask='url(#m)'/></mask>",
            "<clipPath id='c' clip-path='url(\"#c\")'/>",
            "<filter id='f'><g filter='blur(2px) url( #f )'/></filter>",
        ] {
            assert!(unfolded(inside).contains("refers to itself"), "{inside}: {}", unfolded(inside));
        }
        // An arrow is drawn on lines, and is one of lines itself.
        assert!(
            unfolded("<style>path{marker-end:url(#m)}</style><marker id='m'><path d='M0 0'/></marker><path d='M0 0'/>")
                .parse::<u64>()
                .is_ok()
        );
        assert!(unfolded("<use href='other.svg#a'/>").contains("needs other files"));
    }

    #[test]
    fn style_sheets_are_bounded() {
        let wide = format!("<style>{}</style>", "g{fill:red}".repeat(12_000));
        assert!(unfolded(&wide).contains("bytes of style sheets: at most 131072"));
        let deep = "<style>* * * * * * * * {fill:red}</style>";
        assert!(unfolded(deep).contains("8 parts in one selector: at most 6"), "{}", unfolded(deep));
        let beside = format!("<style>{}g{{fill:red}}</style>", "*+".repeat(30_000));
        assert!(unfolded(&beside).contains("parts in one selector"), "{}", unfolded(&beside));
        let slow =
            format!("<style>{}</style>{}", "q * g * g{fill:red}".repeat(3000), "<g>".repeat(60) + &"</g>".repeat(60));
        assert!(unfolded(&slow).contains("steps to match its style sheets"), "{}", unfolded(&slow));
    }
}
