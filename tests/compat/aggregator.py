"""pict-rs-aggregator as somebody who keeps a collection uses it, and somebody who looks at it."""

import functools
import urllib.parse

import pictures
from browser import Page

SIZES = [80, 160, 320, 640, 1080, 2160]


def path(url):
    return urllib.parse.urlsplit(url).path


def query(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def entries(page):
    """What the page for editing has of each entry that is uploaded: its form, in order."""
    return [form for form in page.forms if "filename" in form.fields]


def is_pending(page):
    return "Pending" in page.text


def add(browser, page, picture):
    """Uploads a picture by the form of the page, and loads it again until it is there."""
    form = page.form("/entry")
    answer = browser.sent(page, form, files=[picture.part(form.files[0])])
    return answer, browser.until(Page(browser.follow(answer)), lambda page: not is_pending(page))


def story(checks, browser, server, glimt, photo, small):
    checks.begin(f"pict-rs-aggregator, glimt --compat {glimt.compat}")
    before = glimt.pictures()
    home = browser.open(server.url)
    first = {"title": "Things & <others>", "description": "Of a day."}
    edit = browser.submit(home, home.form("/"), first)
    collection = path(edit.url)
    checks.need("a collection is made", len(collection) == 37 and "token" in query(edit.url) and "Edit Collection" in edit.text, edit.url)
    checks.equal("its form has what was typed", edit.form(collection).fields, first)

    answer, edit = add(browser, edit, photo)
    checks.equal("an upload is taken, and leads on", (answer.status, path(answer.header("Location"))), (303, collection))
    checks.need("the entry is there in the end", len(entries(edit)) == 1, edit.text)
    names = [entries(edit)[0].fields["filename"]]
    checks.equal("glimt has one more", glimt.pictures(), before + 1)
    _, edit = add(browser, edit, small)
    checks.need("a second one as well", len(entries(edit)) == 2, edit.text)
    names = [form.fields["filename"] for form in entries(edit)]
    # New entries are put where the aggregator likes.
    if names[0].endswith(".png"):
        photo, small = small, photo
    held = {name: picture for name, picture in zip(names, (photo, small))}
    checks.equal("the names say the formats", sorted(name.rsplit(".", 1)[1] for name in names), ["jpg", "png"])

    edits(checks, browser, edit, first)
    views(checks, browser, server, glimt, collection, held)
    edit = moves(checks, browser, browser.open(edit.url), names)
    is_refused(checks, browser, edit, names)
    deletes(checks, browser, server, glimt, edit, before)
    waits(checks, browser, server, glimt, before)
    checks.that("glimt's log has no panic", "panicked" not in glimt.said(), glimt.said()[-2000:])


def edits(checks, browser, edit, first):
    form = entries(edit)[0]
    name = form.fields["filename"]
    words = {"title": 'A "title"', "description": "Blå himmel", "link": "https://example.org/a?b=c"}
    page = browser.submit(edit, form, words)
    now = next(form.fields for form in entries(page) if form.fields["filename"] == name)
    checks.equal("an entry is edited", {key: now[key] for key in words}, words)
    second = {"title": "Other things", "description": "Of another day."}
    page = browser.submit(page, page.form(path(edit.url)), second)
    checks.equal("the collection is edited", page.form(path(edit.url)).fields, second)
    checks.equal("the entries stay", len(entries(page)), 2)


def views(checks, browser, server, glimt, collection, held):
    page = browser.open(server.url + collection)
    checks.that("the public page has title and description", "Other things" in page.text and "Of another day." in page.text, page.text)
    checks.that("and those of the entry, and its link", 'A "title"' in page.text and page.link("https://example.org/a?b=c"), page.text)
    checks.equal("nobody edits there", (page.forms, "token" in page.answer.body.decode()), ([], False))
    checks.equal("it shows both pictures", [path(shown["src"]).rsplit("/", 1)[1] for shown in page.pictures], list(held))
    for shown, (name, picture) in zip(page.pictures, held.items()):
        # An edit forgets the size, and the page asks glimt again.
        checks.equal(f"{name} has its size", (int(shown["width"]), int(shown["height"])), picture.size)
        full = browser.picture(page, shown["src"])
        checks.equal("the whole picture comes", (full.status, full.header("Content-Type")), (200, picture.type))
        checks.that("it is what glimt has, to the byte", full.body == glimt.original(name)[1], len(full.body))
        whole = pictures.Picture(name, full.body)
        checks.equal("it decodes, at its own size", (whole.format, whole.size), (picture.format, picture.size))
        again = browser.picture(page, shown["src"], {"If-None-Match": full.header("ETag")})
        checks.equal("who has it already gets no second one", (again.status, again.body), (304, b""))
        resizes(checks, browser, page, name, picture)
    odd = next(srcset for _, srcset in page.sources).split()[0].replace("size=80", "size=81")
    checks.equal("a size that is not offered is an error of the aggregator", browser.picture(page, odd).status, 500)


def resizes(checks, browser, page, name, picture):
    offered = {}
    for kind, srcset in page.sources:
        for candidate in srcset.split(", "):
            address, width = candidate.split()
            if query(address)["src"] == name:
                offered[f"{width[:-1]}.{path(address).rsplit('.', 1)[1]}"] = address
    asked = {f"{size}.{extension}" for size in SIZES for extension in ("jpg", "webp", "avif")}
    checks.equal("each size is offered in each format", set(offered), asked)
    for size in SIZES:
        for extension in ("jpg", "webp", "avif") if size in (80, 640) else ("webp",):
            ask = functools.partial(browser.picture, page, offered[f"{size}.{extension}"])
            pictures.is_variant(checks, f"{name} as {size}.{extension}", ask, extension, size, picture)


def moves(checks, browser, edit, names):
    checks.equal("entries stand in the order of the page", [form.fields["filename"] for form in entries(edit)], names)
    edit = browser.open(edit.link("Move Down"))
    checks.equal("one is moved down", [form.fields["filename"] for form in entries(edit)], names[::-1])
    edit = browser.open(edit.link("Move Up"))
    checks.equal("and up again", [form.fields["filename"] for form in entries(edit)], names)
    return edit


def is_refused(checks, browser, edit, names):
    """What is no picture: the entry is there until glimt has said so, and then it is not."""
    form = edit.form("/entry")
    page = browser.submit(edit, form, files=[(form.files[0], "text.jpg", "image/jpeg", b"this is no picture")])
    page = browser.until(page, lambda page: not is_pending(page))
    checks.equal("what is no picture makes no entry", [form.fields["filename"] for form in entries(page)], names)
    wrong = edit.url.replace(query(edit.url)["token"], "00000000-0000-4000-8000-000000000000")
    checks.equal("with a wrong token nobody edits", browser.open(wrong).forms, [])


def deletes(checks, browser, server, glimt, edit, before):
    """One entry, one whose picture is gone already, and the collection with what is left in it."""
    first, second = entries(edit)
    name = first.fields["filename"]
    confirm = browser.open(edit.link("Delete Image"))
    checks.that("it asks before it deletes", "Are you sure" in confirm.text and glimt.original(name)[0] == 200, confirm.text)
    edit = browser.open(confirm.link("Delete Image"))
    checks.equal("the entry is gone", [form.fields["filename"] for form in entries(edit)], [second.fields["filename"]])
    checks.equal("glimt has neither file, details nor variants", glimt.statuses(name), [404, 404, 404])
    gone = browser.fetch("GET", f"{server.url}/image/full/{name}")
    checks.equal("nor has the aggregator", gone.status, 404)

    token, name = second.fields["delete_token"], second.fields["filename"]
    checks.equal("the other picture is deleted without the aggregator", glimt.delete(token, name), 204)
    answer = browser.fetch("GET", browser.open(edit.link("Delete Image")).link("Delete Image"))
    if glimt.compat == "0.5":
        checks.equal("its entry can be deleted", answer.status, 303)
    else:
        # An unknown name is 404 in 0.2, which the aggregator does not know.
        checks.equal("its entry cannot be deleted: for that there is --compat 0.5", answer.status, 500)
    edit = browser.open(edit.url)
    checks.equal("it is gone where it can be", len(entries(edit)), 0 if glimt.compat == "0.5" else 1)

    _, edit = add(browser, edit, pictures.drawn("last.png", "PNG", (90, 60), 3))
    name = entries(edit)[-1].fields["filename"] if glimt.compat == "0.5" else next(
        form.fields["filename"] for form in entries(edit) if form.fields["filename"] != name
    )
    checks.equal("one more is there to go with the collection", (glimt.original(name)[0], glimt.pictures()), (200, before + 1))
    confirm = browser.open(edit.link("Delete Collection"))
    checks.that("it asks before it deletes that", "Are you sure" in confirm.text, confirm.text)
    home = browser.open(confirm.link("Delete Collection"))
    checks.equal("the collection is deleted, and leads home", path(home.url), "/")
    checks.equal("with its pictures", (glimt.statuses(name), glimt.pictures()), ([404, 404, 404], before))
    public = browser.fetch("GET", server.url + path(edit.url))
    checks.theirs("what is not there is moved to / for good (301)", (public.status, public.header("Location")) == (301, "/"), public)


def waits(checks, browser, server, glimt, before):
    """A collection whose only picture is not done yet, because glimt has been stopped on the way."""
    home = browser.open(server.url)
    edit = browser.submit(home, home.form("/"), {"title": "Slow", "description": ""})
    form, large = edit.form("/entry"), pictures.drawn("large.png", "PNG", (4800, 3600), 4)
    answer = browser.sent(edit, form, files=[large.part(form.files[0])])
    with glimt.stopped():
        edit = Page(browser.follow(answer))
        checks.that("an entry that is not done says so", is_pending(edit) and not entries(edit), edit.text)
        delete = browser.open(edit.link("Delete Collection")).link("Delete Collection")
        canceled = browser.fetch("GET", delete)
        told = canceled.status == 500 and "Operation canceled" in canceled.body.decode()
        checks.theirs("a collection with such an entry cannot be deleted", told, canceled)
    edit = browser.until(edit, lambda page: not is_pending(page))
    checks.equal("once glimt goes on, the entry is done", (len(entries(edit)), glimt.pictures()), (1, before + 1))
    checks.equal("and the collection can be deleted, with its picture", (browser.fetch("GET", delete).status, glimt.pictures()), (303, before))
