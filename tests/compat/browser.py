"""As much of a browser as pages without scripts need: links, pictures, forms, redirects."""

import html.parser
import http.client
import time
import urllib.parse
import uuid

HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
}
FOR_PICTURES = {"Accept": "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"}
# Of one request; a variant of a large photo takes a while on a small machine.
TIMEOUT_SECS = 120


class Answer:
    def __init__(self, url, response):
        self.url = url
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def header(self, name):
        return self.headers.get(name, "")

    def __str__(self):
        return f"{self.status} of {self.url}: {self.body[:300]!r}"


class Form:
    def __init__(self, attributes):
        self.action = attributes.get("action", "")
        self.method = attributes.get("method", "get").lower()
        self.enctype = attributes.get("enctype", "application/x-www-form-urlencoded")
        self.fields = {}
        self.files = []


class Page(html.parser.HTMLParser):
    """What is on a page."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.url = answer.url
        self.links = []  # (address, text)
        self.pictures = []  # attributes of each `img`
        self.sources = []  # (media type, srcset)
        self.metas = {}
        self.forms = []
        self.ids = []  # of each `li`
        self.scripts = []
        self.text = ""
        self._link = None
        self._area = None
        self._form = None
        self.feed(answer.body.decode())
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in attributes}
        if tag == "a":
            self._link = [attributes.get("href", ""), ""]
            self.links.append(self._link)
        elif tag == "img":
            self.pictures.append(attributes)
        elif tag == "source":
            self.sources.append((attributes.get("type", ""), attributes.get("srcset", "")))
        elif tag == "meta" and "property" in attributes:
            self.metas.setdefault(attributes["property"], []).append(attributes.get("content", ""))
        elif tag == "script" and "src" in attributes:
            self.scripts.append(attributes["src"])
        elif tag == "li" and "id" in attributes:
            self.ids.append(attributes["id"])
        elif tag == "form":
            self._form = Form(attributes)
            self.forms.append(self._form)
        elif tag == "input" and self._form and "name" in attributes and "disabled" not in attributes:
            if attributes.get("type") == "file":
                self._form.files.append(attributes["name"])
            else:
                self._form.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "textarea" and self._form and "name" in attributes and "disabled" not in attributes:
            self._area = attributes["name"]
            self._form.fields[self._area] = ""

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        if tag == "a":
            self._link = None
        elif tag == "textarea":
            self._area = None
        elif tag == "form":
            self._form = None

    def handle_data(self, data):
        if self._area:
            self._form.fields[self._area] += data
            return
        self.text += data
        if self._link:
            self._link[1] += data

    def link(self, text):
        """The address behind the first link whose text has this in it."""
        for address, said in self.links:
            if text in said:
                return urllib.parse.urljoin(self.url, address)
        raise LookupError(f"no link {text!r} at {self.url}, but {self.links}")

    def addresses(self, beginning):
        """All links to what begins like this."""
        full = [urllib.parse.urljoin(self.url, address) for address, _ in self.links]
        return [address for address in full if urllib.parse.urlsplit(address).path.startswith(beginning)]

    def form(self, action):
        """The first form whose address ends in this, its query apart."""
        for form in self.forms:
            if urllib.parse.urlsplit(form.action).path.endswith(action):
                return form
        raise LookupError(f"no form for {action!r} at {self.url}, but {[form.action for form in self.forms]}")


class Browser:
    def fetch(self, method, url, headers=None, body=None):
        """One request and its answer, wherever that leads."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECS)
        try:
            path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request(method, path, body=body, headers={**HEADERS, **(headers or {})})
            return Answer(url, connection.getresponse())
        finally:
            connection.close()

    def follow(self, answer):
        """Where an answer leads in the end."""
        for _ in range(10):
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            answer = self.fetch("GET", urllib.parse.urljoin(answer.url, answer.header("Location")))
        raise LookupError(f"too many redirects: {answer}")

    def open(self, url):
        """The page at an address."""
        return Page(self.follow(self.fetch("GET", url)))

    def picture(self, page, address, headers=None):
        """What an address of a page gives a browser that wants a picture."""
        return self.fetch("GET", urllib.parse.urljoin(page.url, address), {**FOR_PICTURES, **(headers or {})})

    def sent(self, page, form, values=None, files=()):
        """The answer to a form, filled in over what stands in it. `files` are (name, file name, media type, bytes)."""
        fields = {**form.fields, **(values or {})}
        if form.enctype == "multipart/form-data":
            boundary = f"----compat{uuid.uuid4().hex}"
            pieces = []
            for name, value in fields.items():
                pieces.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
            for name, file, kind, content in files:
                disposition = f'form-data; name="{name}"; filename="{file}"'
                head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n"
                pieces.append(head.encode() + content + b"\r\n")
            body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
            kind = f"multipart/form-data; boundary={boundary}"
        else:
            body = urllib.parse.urlencode(fields).encode()
            kind = form.enctype
        url = urllib.parse.urljoin(page.url, form.action)
        return self.fetch(form.method.upper(), url, {"Content-Type": kind}, body)

    def submit(self, page, form, values=None, files=()):
        """The page that a form leads to."""
        return Page(self.follow(self.sent(page, form, values, files)))

    def until(self, page, done, seconds=90):
        """A page, loaded again and again as its reader would, until something is true of it. One that is done is not loaded again."""
        begun = time.monotonic()
        while not done(page):
            if time.monotonic() - begun > seconds:
                raise LookupError(f"{page.url} does not change: {page.text!r}")
            time.sleep(0.2)
            page = self.open(page.url)
        return page
