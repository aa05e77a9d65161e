//! Pictures that nobody has asked for before: thumbnails and blur.

use std::collections::{HashMap, hash_map::Entry};

use anyhow::{Context as _, Result, ensure};
use turbojpeg::{Compressor, Subsamp};

use crate::{
    likeness::{self, Grids},
    load::{Answered, Request, closed},
    peers::{Extra, Format, Peer, Place, Server, Wish},
    photos::{Photo, Photos, Set},
    picture::{Flip, Picture},
    results::{Row, Workload},
    statistics::{mean, median, quantile},
    watch::Peak,
};

/// Twice the cores of the smallest machine that this is run on: enough to keep it busy.
const CONNECTIONS: usize = 4;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Kind {
    pub id: &'static str,
    pub title: &'static str,
    pub set: Set,
    pub side: Option<u32>,
    pub blur: Option<f64>,
    pub format: Format,
}

pub const KINDS: [Kind; 5] = [
    Kind {
        id: "cold-12mp-jpeg",
        title: "12 MP to 256, JPEG",
        set: Set::Twelve,
        side: Some(256),
        blur: None,
        format: Format::Jpeg,
    },
    Kind {
        id: "cold-12mp-webp",
        title: "12 MP to 256, WebP",
        set: Set::Twelve,
        side: Some(256),
        blur: None,
        format: Format::WebP,
    },
    Kind {
        id: "cold-2mp-jpeg",
        title: "2 MP to 512, JPEG",
        set: Set::Two,
        side: Some(512),
        blur: None,
        format: Format::Jpeg,
    },
    Kind {
        id: "cold-harness-jpeg",
        title: "2040 px to 512, JPEG",
        set: Set::Harness,
        side: Some(512),
        blur: None,
        format: Format::Jpeg,
    },
    Kind {
        id: "blur-1mp",
        title: "blur 3.0 at 1 MP, JPEG",
        set: Set::One,
        side: None,
        blur: Some(3.0),
        format: Format::Jpeg,
    },
];

impl Kind {
    /// The wishes of a round, one for each pass over the photos. No two rounds have one in common, so no server can have kept any;
    /// they are alike enough to cost the same, and their mean is what the workload is named for.
    fn wishes(&self, round: usize, passes: usize) -> Vec<Wish> {
        let at = |pass: usize| {
            // 1 and -1, 2 and -2; 0 is asked for before the rounds.
            let number = (round * passes + pass) as i32 + 1;
            if number % 2 == 0 { -(number / 2) } else { number / 2 + 1 }
        };
        let wish = |offset: i32| Wish {
            side: self.side.and_then(|side| side.checked_add_signed(offset)),
            blur: self.blur.map(|sigma| ((sigma + f64::from(offset) * 0.002) * 1000.0).round() / 1000.0),
            quality: 80,
            format: self.format,
        };
        (0..passes).map(|pass| wish(at(pass))).collect()
    }

    fn wanted(&self) -> Wish {
        Wish { side: self.side, blur: self.blur, quality: 80, format: self.format }
    }

    /// Of a photo as large as `answer` is: servers round differently.
    fn reference(&self, whole: &Picture, width: usize, height: usize) -> Picture {
        match self.blur {
            Some(sigma) => whole.blurred(sigma),
            None => whole.reduced(width, height),
        }
    }
}

/// The references of a set of photos, made once.
struct References {
    /// By photo and size.
    pictures: HashMap<(usize, usize, usize), Picture>,
    grids: Vec<Grids>,
    /// What libjpeg-turbo makes of the references themselves at the same quality: where a perfect thumbnail would stand.
    perfect: [Perfect; 2],
}

struct Perfect {
    name: &'static str,
    subsamp: Subsamp,
    bytes: Vec<f64>,
    likeness: Vec<f64>,
}

impl Perfect {
    fn of(name: &'static str, subsamp: Subsamp) -> Self {
        Self { name, subsamp, bytes: Vec::new(), likeness: Vec::new() }
    }

    fn take(&mut self, reference: &Picture) -> Result<()> {
        let mut encoder = Compressor::new()?;
        encoder.set_quality(80)?;
        encoder.set_subsamp(self.subsamp)?;
        encoder.set_optimize(true)?;
        let bytes = encoder.compress_to_vec(reference.as_image())?;
        self.likeness.push(likeness::ssimulacra2(reference, &Picture::decode(&bytes)?)?);
        self.bytes.push(bytes.len() as f64);
        Ok(())
    }

    fn say(&self) -> String {
        format!("{} {:.0} bytes and {:.1}", self.name, mean(&self.bytes), mean(&self.likeness))
    }
}

impl References {
    fn of(kind: &Kind, photos: &Photos) -> Result<Self> {
        let (mut pictures, mut grids) = (HashMap::new(), Vec::new());
        let mut perfect = [Perfect::of("4:2:0", Subsamp::Sub2x2), Perfect::of("4:4:4", Subsamp::None)];
        for photo in photos.photos.iter().filter(|photo| photo.flip == Flip::None) {
            let whole = Picture::decode(&photo.bytes)?;
            let longest = photo.width.max(photo.height) as f64;
            let scale = kind.side.map_or(1.0, |side| f64::from(side) / longest);
            let [width, height] = [photo.width, photo.height].map(|side| (side as f64 * scale).floor() as usize);
            pictures.insert((photo.of, width, height), kind.reference(&whole, width, height));
            let reference = &pictures[&(photo.of, width, height)];
            grids.push(Grids::of(reference));
            if kind.format == Format::Jpeg {
                perfect.iter_mut().try_for_each(|perfect| perfect.take(reference))?;
            }
        }
        Grids::control(&grids)?;
        Ok(Self { pictures, grids, perfect })
    }

    /// The reference of a photo at the size of an answer: servers round differently.
    fn at(&mut self, kind: &Kind, photo: &Photo, width: usize, height: usize) -> Result<&Picture> {
        Ok(match self.pictures.entry((photo.of, width, height)) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(room) => room.insert(kind.reference(&Picture::decode(&photo.bytes)?, width, height)),
        })
    }
}

/// What a server did in its rounds.
#[derive(Default)]
struct Measured {
    cpu_ms: Vec<f64>,
    rps: Vec<f64>,
    took_ms: Vec<f64>,
    memory_mib: f64,
    bytes: Vec<f64>,
    likeness: Vec<f64>,
}

pub async fn run(place: &Place, kind: &Kind, photos: &Photos, rounds: usize, passes: usize) -> Result<Workload> {
    let mut references = References::of(kind, photos)?;
    let mut peers = place.all();
    if kind.blur.is_some() {
        peers.retain(|peer| *peer != Peer::Oximg);
    }
    let mut servers = Vec::new();
    for peer in peers {
        servers.push((Server::start(place, peer, photos, Extra::default()).await?, Measured::default()));
    }
    for (server, measured) in &mut servers {
        warm_up(server, kind, photos, &mut references, measured).await.with_context(|| server.name.clone())?;
    }
    for round in 0..rounds {
        for (server, measured) in &mut servers {
            eprintln!("{}, round {}: {}", kind.id, round + 1, server.name);
            measure(server, kind, photos, &references, measured, &kind.wishes(round, passes))
                .await
                .with_context(|| server.name.clone())?;
        }
    }
    let rows = servers.iter().map(|(server, measured)| {
        let mut row = Row::new(&server.name, server.peer.is_glimt());
        row.set("cpu_ms", median(&measured.cpu_ms));
        row.set("rps", median(&measured.rps));
        row.set("p50_ms", quantile(&measured.took_ms, 0.5));
        row.set("p99_ms", quantile(&measured.took_ms, 0.99));
        row.set("memory_mib", measured.memory_mib);
        row.set("bytes", mean(&measured.bytes));
        row.set("likeness", mean(&measured.likeness));
        row.set("worst", measured.likeness.iter().copied().fold(f64::INFINITY, f64::min));
        row
    });
    let rows = rows.collect();
    let requests = passes * photos.photos.len();
    let mut note = format!(
        "{} files of {:.1} MP on average, {CONNECTIONS} connections, {requests} requests a round, {rounds} rounds in turns, medians of the rounds; quality 80.",
        photos.photos.len(),
        photos.megapixels()
    );
    if kind.format == Format::Jpeg {
        let [one, other] = &references.perfect;
        note.push_str(&format!(
            " The references themselves, written by libjpeg-turbo: {}, {}.",
            one.say(),
            other.say()
        ));
    }
    if kind.blur.is_some() {
        note.push_str(" oximg does not blur. sharp and ipx cut the Gaussian off at 1.8 standard deviations, which is why they are less like the reference.");
    }
    Ok(Workload::new(kind.id, kind.title, note, rows))
}

/// Asks for each photo once, at the very size (or blur) that the workload is named for, and looks at what comes closely.
async fn warm_up(
    server: &Server,
    kind: &Kind,
    photos: &Photos,
    references: &mut References,
    measured: &mut Measured,
) -> Result<()> {
    let upright: Vec<_> = (0..photos.photos.len()).filter(|at| photos.photos[*at].flip == Flip::None).collect();
    let wish = kind.wanted();
    let requests: Vec<_> = upright.iter().map(|at| Request::get(&server.path(*at, &wish))).collect();
    let (answers, _) = closed(server.addr, &requests, CONNECTIONS).await?;
    for answered in &answers {
        let photo = &photos.photos[upright[answered.request]];
        let picture = check(answered, photos, upright[answered.request], &wish, references)?;
        let reference = references.at(kind, photo, picture.width, picture.height)?;
        measured.likeness.push(likeness::ssimulacra2(reference, &picture)?);
        measured.bytes.push(answered.answer.body.len() as f64);
    }
    server.group.settle().await;
    Ok(())
}

async fn measure(
    server: &Server,
    kind: &Kind,
    photos: &Photos,
    references: &References,
    measured: &mut Measured,
    wishes: &[Wish],
) -> Result<()> {
    let count = photos.photos.len();
    let asked: Vec<_> = wishes.iter().flat_map(|wish| (0..count).map(move |at| (at, *wish))).collect();
    let requests: Vec<_> = asked.iter().map(|(at, wish)| Request::get(&server.path(*at, wish))).collect();
    let before = server.group.cpu_ms();
    let peak = Peak::watch(server.group)?;
    let (answers, took) = closed(server.addr, &requests, CONNECTIONS).await?;
    measured.memory_mib = measured.memory_mib.max(peak.mib());
    server.group.settle().await;
    measured.cpu_ms.push((server.group.cpu_ms() - before) / requests.len() as f64);
    measured.rps.push(requests.len() as f64 / took.as_secs_f64());
    ensure!(answers.len() == requests.len(), "{} answers to {} requests", answers.len(), requests.len());
    for answered in &answers {
        measured.took_ms.push(answered.took.as_secs_f64() * 1e3);
        let (at, wish) = &asked[answered.request];
        check(answered, photos, *at, wish, references)
            .with_context(|| format!("{} of {}", kind.id, server.path(*at, wish)))?;
    }
    Ok(())
}

/// Every answer is decoded and held against what was asked for.
fn check(answered: &Answered, photos: &Photos, at: usize, wish: &Wish, references: &References) -> Result<Picture> {
    let photo = &photos.photos[at];
    let answer = &answered.answer;
    ensure!(
        answer.status == 200,
        "answered {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)])
    );
    let is_jpeg = answer.body.starts_with(&[0xff, 0xd8]);
    ensure!(is_jpeg == (wish.format == Format::Jpeg), "another format than was asked for");
    let picture = Picture::decode(&answer.body)?;
    likeness::check_size(&picture, (photo.width, photo.height), wish.side)?;
    references.grids[photo.of].check(photo.flip, &picture)?;
    Ok(picture)
}
