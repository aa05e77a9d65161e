//! The frames of a file, one after the other.

use std::borrow::Cow;

use super::Plays;
use crate::codec::budget::Budget;
use crate::codec::error::CodecError;
use crate::codec::icc::{self, Conversion};
use crate::codec::orientation::{self, Orientation};
use crate::codec::raster::Raster;
use crate::codec::{self, Opened, Served, gif, png, webp};
use crate::pixels::Pixmap;

/// A file whose frames are read one by one: each on its canvas, upright, in sRGB.
pub(in crate::codec) struct Frames<'a> {
    player: Player<'a>,
    name: &'static str,
    conversion: Conversion,
    orientation: Orientation,
    count: u32,
}

enum Player<'a> {
    Gif(Box<gif::Player<'a>>),
    Png(Box<png::Player<'a>>),
    Webp(Box<webp::Player<'a>>),
    /// One that has a single picture, until it was shown.
    Still(Option<Pixmap>),
}

impl<'a> Frames<'a> {
    /// Opens a file whose header is within the budget.
    ///
    /// # Errors
    /// [`CodecError`]: not an image, damaged, past the budget.
    pub(in crate::codec) fn open(bytes: &'a [u8], budget: &Budget) -> Result<Self, CodecError> {
        budget.check_deadline()?;
        let name = codec::name_of(bytes);
        let still = |pixmap: Pixmap| Self {
            player: Player::Still(Some(pixmap)),
            name,
            conversion: Conversion::Keep,
            orientation: Orientation::NoTransforms,
            count: 1,
        };
        let Opened::Served(_, served) = codec::open(bytes, true)? else {
            return Ok(still(codec::decode_unguarded(bytes, None, budget)?));
        };
        codec::check(&served, budget)?;
        let walked = served.walked();
        if walked.frames < 2 {
            return Ok(still(codec::decode_unguarded(bytes, None, budget)?));
        }
        let mut profile = walked.profile(bytes, budget.max_profile_bytes);
        let regular = walked.regular(bytes);
        let player = match &served {
            Served::Gif(_) => Player::Gif(Box::new(gif::Player::open(regular, budget)?)),
            Served::Webp(_) => Player::Webp(Box::new(webp::Player::open(regular, budget)?)),
            Served::Png(_) => {
                let (player, unpacked) = png::Player::open(regular, budget)?;
                profile = unpacked;
                Player::Png(Box::new(player))
            }
            Served::Jpeg(_) | Served::Avif(_) => return Ok(still(codec::decode_unguarded(bytes, None, budget)?)),
        };
        let conversion = icc::conversion(profile.as_deref(), 4);
        Ok(Self { player, name, conversion, orientation: walked.orientation, count: walked.frames })
    }

    /// The next frame and how long it is shown, in milliseconds.
    ///
    /// # Errors
    /// [`CodecError`]: damaged, or no time left.
    pub(in crate::codec) fn next(&mut self, budget: &Budget) -> Result<Option<(Pixmap, u32)>, CodecError> {
        budget.check_deadline()?;
        let next: Option<(Raster, u32)> = match &mut self.player {
            Player::Gif(player) => player.next(budget)?,
            Player::Png(player) => player.next(budget)?,
            Player::Webp(player) => player.next()?,
            Player::Still(pixmap) => return Ok(pixmap.take().map(|pixmap| (pixmap, 0))),
        };
        let Some((raster, delay_millis)) = next else { return Ok(None) };
        let raster = self.conversion.apply(raster, self.name)?;
        let pixmap = orientation::upright(raster, self.orientation)?.into_pixmap(self.name)?;
        Ok(Some((pixmap, delay_millis)))
    }

    /// How often it is shown.
    pub(in crate::codec) fn plays(&self) -> Plays {
        match &self.player {
            Player::Gif(player) => player.plays(),
            Player::Png(player) => player.plays(),
            Player::Webp(player) => player.plays(),
            Player::Still(_) => std::num::NonZeroU32::new(1),
        }
    }

    /// How many there are, by the file's own structure.
    pub(in crate::codec) const fn count(&self) -> u32 {
        self.count
    }
}

/// The bytes that a player reads: a file's own, or what is left of it.
pub(in crate::codec) type Bytes<'a> = std::io::Cursor<Cow<'a, [u8]>>;
