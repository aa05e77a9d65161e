"""pict-rs-proxy as the reader of its pages uses it."""

import functools
import urllib.parse

import pictures
from browser import Page

SIZES = [40, 50, 80, 100, 200, 400, 800, 1200]


def last(url):
    return urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1]


def query(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def is_waiting(page):
    return "being uploaded" in page.text


def uploaded(browser, home, files):
    """Uploads files by the form of the front page, and waits as its script does, by loading the page again."""
    form = home.form("/upload")
    answer = browser.sent(home, form, files=[(form.files[0], *file) for file in files])
    return answer, browser.until(Page(browser.follow(answer)), lambda page: not is_waiting(page))


def story(checks, browser, server, glimt, photo, small):
    checks.begin(f"pict-rs-proxy, glimt --compat {glimt.compat}")
    before = glimt.pictures()
    home = browser.open(server.url)
    form = home.form("/upload")
    checks.equal("the front page has a form for files", (form.method, form.enctype, form.files), ("post", "multipart/form-data", ["images[]"]))

    answer, done = uploaded(browser, home, [(picture.file, picture.type, picture.content) for picture in (photo, small)])
    checks.equal("an upload of two pictures is taken, and leads on", (answer.status, last(answer.header("Location"))), (303, "upload"))
    names = [last(url) for url in done.addresses("/view/")]
    checks.need("both are there in the end", len(names) == 2 and "Your images have been uploaded" in done.text, done.text)
    checks.equal("glimt has two more", glimt.pictures(), before + 2)
    links = list(zip(names, done.addresses("/view/"), done.addresses("/thumbnails"), done.addresses("/delete")))
    # The one that was done first stands first.
    links.sort(key=lambda link: link[0].rsplit(".", 1)[1])
    named = [name.rsplit(".", 1)[1] for name, *_ in links]
    checks.need("the names say the formats, and each has its links", named == ["jpg", "png"], done.links)

    # Those of both are in the address where one took long.
    if "files" not in done.url:
        again = browser.open(done.url)
        checks.theirs("the page with the links, loaded again, has none", not again.addresses("/delete"), again.text)

    for picture, (name, view, thumbnails, _) in zip((photo, small), links):
        shows(checks, browser, server, glimt, picture, name, view)
        resizes(checks, browser, picture, name, thumbnails)
    refuses(checks, browser, server, home)
    for name, _, _, delete in links:
        deletes_it(checks, browser, server, glimt, name, delete)
    checks.equal("glimt has as many as before", glimt.pictures(), before)
    checks.that("glimt's log has no panic", "panicked" not in glimt.said(), glimt.said()[-2000:])


def shows(checks, browser, server, glimt, picture, name, view):
    page = browser.open(view)
    checks.equal(f"the page of {name} is found", page.answer.status, 200)
    sizes = [int(page.metas[f"og:image:{side}"][0]) for side in ("width", "height")]
    checks.equal("it says how large the picture is, and what", (tuple(sizes), page.metas["og:image:type"]), (picture.size, [picture.type]))
    full = browser.picture(page, page.pictures[0]["src"])
    checks.equal("the whole picture comes", (full.status, full.header("Content-Type")), (200, picture.type))
    checks.that("it is what glimt has, to the byte", full.body == glimt.original(name)[1], len(full.body))
    shown = pictures.Picture(name, full.body)
    checks.equal("it decodes, at its own size", (shown.format, shown.size), (picture.format, picture.size))
    again = browser.picture(page, page.pictures[0]["src"], {"If-None-Match": full.header("ETag")})
    checks.equal("who has it already gets no second one", (again.status, again.body), (304, b""))
    part = browser.picture(page, page.pictures[0]["src"], {"Range": "bytes=10-19"})
    checks.equal("a part of it comes alone", (part.status, part.body), (206, full.body[10:20]))
    checks.equal("the direct link is the picture", browser.fetch("GET", page.link("Direct Link")).body, full.body)


def resizes(checks, browser, picture, name, thumbs):
    page = browser.open(thumbs)
    asked = {f"{size}.{extension}" for size in SIZES for extension in ("jpg", "webp", "avif")}
    offered = {}
    for address in [srcset for _, srcset in page.sources] + [shown["src"] for shown in page.pictures]:
        _, _, size, extension, _ = urllib.parse.urlsplit(address).path.split("/")
        offered[f"{size}.{extension}"] = address
    checks.equal("the page of thumbnails offers each size in each format", set(offered), asked)
    for size in SIZES:
        # All sizes of what every browser shows; the ends and the middle of the others.
        for extension in ("jpg", "webp", "avif") if size in (40, 200, 800) else ("jpg",):
            ask = functools.partial(browser.picture, page, offered[f"{size}.{extension}"])
            pictures.is_variant(checks, f"{name} as {size}.{extension}", ask, extension, size, picture)
    view = browser.open(page.addresses("/view/200/")[0])
    ask = functools.partial(browser.picture, view, view.pictures[0]["src"])
    pictures.is_variant(checks, "the page of one size shows it", ask, "jpg", 200, picture)
    checks.theirs("it calls a JPEG image/jpg", view.metas["og:image:type"] == ["image/jpg"], view.metas)
    odd = browser.open(offered["200.jpg"].replace("/200/", "/123/"))
    checks.equal("a size that is not offered is not found", (odd.answer.status, last(odd.url)), (404, "404"))


def refuses(checks, browser, server, home):
    """What is no picture, alone and beside one: glimt's words are on the page."""
    _, page = uploaded(browser, home, [("text.jpg", "image/jpeg", b"this is no picture")])
    said = page.text
    checks.that("what is no picture is told", "Error:" in said and "Upload failed" not in said and not page.addresses("/view/"), said)
    checks.that("in glimt's words", "image" in said.split("Error:")[-1], said)
    checks.theirs("it says that it has been uploaded all the same", "Your images have been uploaded" in said, said)
    checks.equal("a name that is not there is not found", browser.open(f"{server.url}/view/gone.jpg").answer.status, 404)
    checks.equal("nor its picture", Page(browser.follow(browser.fetch("GET", f"{server.url}/image/gone.jpg"))).answer.status, 404)


def deletes_it(checks, browser, server, glimt, name, delete):
    # A wrong token first: nothing may go by it.
    wrong = delete.replace(query(delete)["token"], "a" * len(query(delete)["token"]))
    page = browser.open(browser.open(wrong).link("Delete"))
    checks.equal("a wrong token deletes nothing", glimt.original(name)[0], 200)
    checks.theirs("it says Deleted all the same", "Deleted" in page.text and page.answer.status == 200, page.answer)

    confirm = browser.open(delete)
    checks.that("it asks before it deletes", "Are you sure" in confirm.text, confirm.text)
    checks.equal("and has not done so yet", glimt.original(name)[0], 200)
    gone = browser.open(confirm.link("Delete"))
    checks.that("it says that it is deleted", f"Deleted {name}" in gone.text, gone.text)
    checks.equal("glimt has neither file, details nor variants", glimt.statuses(name), [404, 404, 404])
    for path in (f"/view/{name}", f"/image/{name}", f"/thumb/200/jpg/{name}", f"/thumbnails?image={name}"):
        checks.equal(f"{path} is not found", browser.open(server.url + path).answer.status, 404)
    checks.equal("nor is there anything to delete", browser.open(delete).answer.status, 404)
