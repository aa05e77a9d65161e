"""Pictures to upload, and what is expected of those that come back."""

import io
import os
import random
import time

from PIL import Image, ImageOps

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}
# How long an AVIF may take.
PATIENCE_SECS = 60
NAMED = {"jpg": "JPEG", "webp": "WEBP", "avif": "AVIF"}


class Picture:
    def __init__(self, file, content):
        self.file = file
        self.content = content
        shown = seen(content)
        self.format = shown.format
        # As it is seen: a phone's photo stands upright.
        self.size = ImageOps.exif_transpose(shown).size

    @property
    def type(self):
        return TYPES[self.format]

    def part(self, field):
        """What a form is given of it."""
        return (field, self.file, self.type, self.content)


def seen(content):
    """A picture, decoded to its last pixel."""
    shown = Image.open(io.BytesIO(content))
    shown.load()
    return shown


def drawn(file, kind, size, seed):
    """A picture with gradients and noise."""
    noise = Image.frombytes("L", (64, 64), random.Random(seed).randbytes(64 * 64)).resize(size)
    ramp = Image.linear_gradient("L")
    bands = (ramp.resize(size), ramp.rotate(90).resize(size), noise)
    content = io.BytesIO()
    Image.merge("RGB", bands).save(content, kind)
    return Picture(file, content.getvalue())


def photo(folder):
    """A real photo of a folder, larger than all that the clients ask for; or a drawing where there is none."""
    for name in sorted(os.listdir(folder)) if folder and os.path.isdir(folder) else []:
        if name.lower().endswith((".jpg", ".jpeg")):
            with open(os.path.join(folder, name), "rb") as file:
                picture = Picture(name, file.read())
            if min(picture.size) >= 1500:
                return picture
    return drawn("a photo.jpg", "JPEG", (2400, 1600), 1)


def fits(size, box, of):
    """Whether a size is that of a picture brought down to a longest side, and no larger than the picture."""
    scale = min(1, box / max(of))
    return max(size) == round(max(of) * scale) and all(abs(side - whole * scale) <= 1 for side, whole in zip(size, of))


def is_variant(checks, what, ask, extension, box, picture):
    """Checks that what `ask` gets is the picture in this format and size."""
    answer = ask()
    # An AVIF that takes longer than its budget comes as a WebP first, which says so.
    if answer.status == 200 and answer.header("X-Glimt-Fallback"):
        is_picture(checks, f"{what}, meanwhile", answer, "WEBP", box, picture)
        begun = time.monotonic()
        while answer.header("X-Glimt-Fallback") and time.monotonic() - begun < PATIENCE_SECS:
            time.sleep(0.2)
            answer = ask()
    is_picture(checks, what, answer, NAMED[extension], box, picture)


def is_picture(checks, what, answer, kind, box, picture):
    if answer.status != 200:
        checks.that(what, False, answer)
        return
    try:
        shown = seen(answer.body)
    except Exception as error:  # noqa: BLE001: whatever a decoder says
        checks.that(what, False, f"{answer}: {error!r}")
        return
    holds = shown.format == kind and answer.header("Content-Type") == TYPES[kind] and fits(shown.size, box, picture.size)
    told = f"{answer.header('Content-Type')} with a {shown.format} of {shown.size}, not {kind} within {box} of {picture.size}"
    checks.that(f"{what}: {shown.size[0]}x{shown.size[1]} {shown.format}", holds, told)
