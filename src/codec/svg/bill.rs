//! What drawing an SVG will take, from its tree, before it is drawn: memory and work.
//!
//! The steps are those of `resvg`: which group has a layer of its own, which of them are held at the same time. Sizes are rounded up.

use resvg::tiny_skia::{PathSegment, Transform};
use resvg::usvg::filter::{Filter, Kind};
use resvg::usvg::{ClipPath, Group, LineCap, LineJoin, Mask, Node, Paint, Path, Pattern, Rect};

/// Bytes of a pixel.
const PIXEL: f64 = 4.0;

/// What a corner of an outline takes while it is filled.
const CORNER_BYTES: f64 = 120.0;

/// How many corners each corner of a line becomes once it has a width, and where its corners or ends are round.
const STROKED: f64 = 4.0;
const STROKED_ROUND: f64 = 12.0;

/// Rows that a row of pixels is drawn in.
const ROWS: f64 = 4.0;

/// What is looked at, and the limits of a layer.
#[derive(Clone, Copy)]
struct Canvas {
    width: f64,
    height: f64,
    /// Layers are no larger.
    most: (f64, f64),
}

impl Canvas {
    fn pixels(self) -> f64 {
        self.width * self.height
    }
}

/// What it comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bill {
    /// Bytes beside the picture itself.
    pub(super) bytes: f64,
    /// Nanoseconds on a slow machine, about.
    pub(super) work: f64,
}

/// The bill of drawing `root` on a picture of this size.
pub(super) fn of(root: &Group, transform: Transform, width: u32, height: u32) -> Bill {
    let (width, height) = (f64::from(width), f64::from(height));
    let mut biller = Biller { work: width * height };
    let bytes = biller.children(root, transform, Canvas { width, height, most: (5.0 * width, 5.0 * height) });
    Bill { bytes, work: biller.work }
}

struct Biller {
    work: f64,
}

/// Columns and rows that a rectangle comes to.
fn extent(transform: Transform, width: f32, height: f32) -> (f64, f64) {
    let [sx, kx, ky, sy] = [transform.sx, transform.kx, transform.ky, transform.sy].map(|part| f64::from(part).abs());
    let (width, height) = (f64::from(width), f64::from(height));
    (sx * width + kx * height, ky * width + sy * height)
}

impl Biller {
    /// The most bytes that are held at a time.
    fn children(&mut self, group: &Group, transform: Transform, canvas: Canvas) -> f64 {
        group.children().iter().map(|node| self.node(node, transform, canvas)).fold(0.0, f64::max)
    }

    fn node(&mut self, node: &Node, transform: Transform, canvas: Canvas) -> f64 {
        match node {
            Node::Group(group) => self.group(group, transform, canvas),
            Node::Path(path) => self.path(path, transform, canvas),
            // Refused before, or never made.
            Node::Image(_) | Node::Text(_) => 0.0,
        }
    }

    fn group(&mut self, group: &Group, transform: Transform, canvas: Canvas) -> f64 {
        self.work += 50.0;
        let transform = transform.pre_concat(group.transform());
        if !group.should_isolate() {
            return self.children(group, transform, canvas);
        }
        let bounds = group.layer_bounding_box();
        // With filters the layer is not turned; as if it were is never smaller.
        let (mut width, mut height) = extent(transform, bounds.width(), bounds.height());
        let mut most = canvas.most;
        if !group.filters().is_empty() {
            let (sx, sy) = (f64::from(transform.sx.hypot(transform.ky)), f64::from(transform.kx.hypot(transform.sy)));
            width = width.max(sx * f64::from(bounds.width()));
            height = height.max(sy * f64::from(bounds.height()));
            let longest = most.0.hypot(most.1);
            most = (longest, longest);
        }
        let layer = Canvas { width: (width + 5.0).min(most.0), height: (height + 5.0).min(most.1), most };
        // Made, filled with nothing, and laid over what is below.
        self.work += 20.0 * layer.pixels();
        let inside = self.children(group, transform, layer);
        let filters = group.filters().iter().map(|filter| self.filter(filter, transform, layer)).fold(0.0, f64::max);
        let clip = group.clip_path().map_or(0.0, |clip| self.clip(clip, transform, layer));
        let mask = group.mask().map_or(0.0, |mask| self.mask(mask, transform, layer));
        PIXEL * layer.pixels() + inside.max(filters).max(clip).max(mask)
    }

    fn clip(&mut self, clip: &ClipPath, transform: Transform, layer: Canvas) -> f64 {
        self.work += 15.0 * layer.pixels();
        let inside = self.clipped(clip.root(), transform.pre_concat(clip.transform()), layer);
        let further = clip.clip_path().map_or(0.0, |clip| self.clip(clip, transform, layer));
        (PIXEL + 1.0) * layer.pixels() + inside.max(further)
    }

    /// Of the children of a clip only those that are clipped themselves have a layer: one of the whole size.
    fn clipped(&mut self, group: &Group, transform: Transform, layer: Canvas) -> f64 {
        let mut most = 0.0_f64;
        for node in group.children() {
            let bytes = match node {
                Node::Group(group) => {
                    let transform = transform.pre_concat(group.transform());
                    let inside = self.clipped(group, transform, layer);
                    match group.clip_path() {
                        Some(clip) => {
                            self.work += 15.0 * layer.pixels();
                            PIXEL * layer.pixels() + inside.max(self.clip(clip, transform, layer))
                        }
                        None => inside,
                    }
                }
                Node::Path(_) | Node::Image(_) | Node::Text(_) => self.node(node, transform, layer),
            };
            most = most.max(bytes);
        }
        most
    }

    fn mask(&mut self, mask: &Mask, transform: Transform, layer: Canvas) -> f64 {
        self.work += 20.0 * layer.pixels();
        let inside = self.children(mask.root(), transform, layer);
        let further = mask.mask().map_or(0.0, |mask| self.mask(mask, transform, layer));
        (PIXEL + 2.0) * layer.pixels() + inside.max(further)
    }

    /// Every step has a picture of its own, and all are kept to the end.
    fn filter(&mut self, filter: &Filter, transform: Transform, layer: Canvas) -> f64 {
        let (across, down) = transform.get_scale();
        let mut pictures = 6.0;
        for step in filter.primitives() {
            pictures += 2.0;
            let side =
                |radius: f32, scale: f32, most: f64| (2.0 * f64::from(radius * scale) + 1.0).clamp(1.0, 2.0 * most);
            let work = match step.kind() {
                Kind::GaussianBlur(_) | Kind::DropShadow(_) => 400.0,
                Kind::Morphology(step) => {
                    let columns = side(step.radius_x().get(), across, layer.width);
                    4.0 * columns * side(step.radius_y().get(), down, layer.height)
                }
                Kind::ConvolveMatrix(step) => {
                    10.0 * f64::from(step.matrix().columns()) * f64::from(step.matrix().rows())
                }
                Kind::Turbulence(step) => 100.0 * (1.0 + f64::from(step.num_octaves())),
                Kind::DiffuseLighting(_) | Kind::SpecularLighting(_) => 200.0,
                Kind::Merge(step) => 40.0 * step.inputs().len() as f64,
                Kind::Blend(_)
                | Kind::ColorMatrix(_)
                | Kind::ComponentTransfer(_)
                | Kind::Composite(_)
                | Kind::DisplacementMap(_)
                | Kind::Flood(_)
                | Kind::Image(_)
                | Kind::Offset(_)
                | Kind::Tile(_) => 30.0,
            };
            // Colours go from one space to another and back.
            self.work += (work + 20.0) * layer.pixels();
        }
        PIXEL * pictures * layer.pixels()
    }

    fn path(&mut self, path: &Path, transform: Transform, canvas: Canvas) -> f64 {
        if !path.is_visible() {
            return 0.0;
        }
        self.work += 6000.0;
        let corners = path.data().len() as f64;
        let outline = Outline::of(path, transform, canvas);
        let mut bytes = 0.0_f64;
        if let Some(fill) = path.fill() {
            let paint = self.paint(fill.paint(), path.bounding_box(), transform, canvas);
            bytes = bytes.max(paint + CORNER_BYTES * corners);
            self.edges(corners, outline.rise, canvas);
        }
        if let Some(stroke) = path.stroke() {
            let dashes = stroke.dasharray().map_or(0.0, |dashes| {
                let turn = dashes.iter().map(|&dash| f64::from(dash)).sum::<f64>().max(1e-9);
                // More than a million are not drawn.
                (outline.length / turn * dashes.len() as f64).min(1_000_000.0)
            });
            let round = stroke.linejoin() == LineJoin::Round || stroke.linecap() == LineCap::Round;
            let corners = if round { STROKED_ROUND } else { STROKED } * (corners + 2.0 * dashes);
            let paint = self.paint(stroke.paint(), path.stroke_bounding_box(), transform, canvas);
            bytes = bytes.max(paint + CORNER_BYTES * corners);
            let (_, wide) = extent(transform, stroke.width().get(), stroke.width().get());
            let rise = 2.0 * outline.rise + corners * wide.min(canvas.height);
            self.edges(corners, rise, canvas);
        }
        bytes
    }

    /// What filling an outline with these corners takes, whose edges rise by so many pixels in all.
    fn edges(&mut self, corners: f64, rise: f64, canvas: Canvas) {
        // In each row its edges are held in order, and each pair of them changes places once.
        let rows = ROWS * canvas.height.max(1.0);
        let beside = ROWS * rise / rows;
        let swaps = (corners * corners).min(beside * beside * rows) / 2.0;
        self.work += 60.0 * corners + 8.0 * ROWS * rise + swaps;
    }

    /// What covering a box takes, and the bytes that the paint holds meanwhile.
    fn paint(&mut self, paint: &Paint, bounds: Rect, transform: Transform, canvas: Canvas) -> f64 {
        let (width, height) = extent(transform, bounds.width(), bounds.height());
        let pixels = (width + 2.0).min(canvas.width) * (height + 2.0).min(canvas.height);
        let (a_pixel, bytes) = match paint {
            Paint::Color(_) => (8.0, 0.0),
            Paint::LinearGradient(gradient) => (20.0, 64.0 * gradient.stops().len() as f64),
            Paint::RadialGradient(gradient) => (20.0, 64.0 * gradient.stops().len() as f64),
            Paint::Pattern(pattern) => (100.0, self.pattern(pattern, transform, canvas)),
        };
        self.work += a_pixel * pixels + bytes / 16.0;
        bytes
    }

    /// Drawn once for each that is painted with it, at whatever size it has there.
    fn pattern(&mut self, pattern: &Pattern, transform: Transform, canvas: Canvas) -> f64 {
        let (across, down) = transform.pre_concat(pattern.transform()).get_scale();
        let size = pattern.rect();
        let tile = Canvas {
            width: (f64::from(size.width()) * f64::from(across)).ceil(),
            height: (f64::from(size.height()) * f64::from(down)).ceil(),
            most: canvas.most,
        };
        self.work += tile.pixels();
        PIXEL * tile.pixels() + self.children(pattern.root(), Transform::from_scale(across, down), tile)
    }
}

/// How far the edges of a path go.
#[derive(Default)]
struct Outline {
    /// Before it is transformed.
    length: f64,
    /// Up and down, in pixels, where there are rows.
    rise: f64,
}

impl Outline {
    fn of(path: &Path, transform: Transform, canvas: Canvas) -> Self {
        let [across, down, from] = [transform.ky, transform.sy, transform.ty].map(f64::from);
        let row = |(x, y): (f32, f32)| (across * f64::from(x) + down * f64::from(y) + from).clamp(0.0, canvas.height);
        let mut outline = Self::default();
        let mut before = (0.0_f32, 0.0_f32);
        let mut first = before;
        for segment in path.data().segments() {
            let points = match segment {
                PathSegment::MoveTo(to) => {
                    before = (to.x, to.y);
                    first = before;
                    continue;
                }
                PathSegment::LineTo(to) => [Some(to), None, None],
                PathSegment::QuadTo(by, to) => [Some(by), Some(to), None],
                PathSegment::CubicTo(by, and, to) => [Some(by), Some(and), Some(to)],
                PathSegment::Close => [None; 3],
            };
            let closing = (points == [None; 3]).then_some(first);
            for to in points.into_iter().flatten().map(|to| (to.x, to.y)).chain(closing) {
                let (x, y) = (to.0 - before.0, to.1 - before.1);
                outline.length += f64::from(x.hypot(y));
                outline.rise += (row(to) - row(before)).abs();
                before = to;
            }
        }
        outline
    }
}
