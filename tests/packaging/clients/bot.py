"""pythorhead, which is told what to call by a line on its input, and says by a line of JSON what that returned or raised."""

import json
import sys
from importlib.metadata import version

from PIL import Image
from pythorhead import Lemmy


def main(address):
    # Longer than its own three seconds: the machine may be slow, and a client that gives up tells nothing about the host.
    lemmy = Lemmy(address, request_timeout=30)
    strict = Lemmy(address, raise_exceptions=True, request_timeout=30)
    calls = {
        "version": lambda: version("pythorhead"),
        "instance_version": lambda: str(lemmy.instance_version),
        "log_in": lambda name, password: lemmy.log_in(name, password) and strict.log_in(name, password),
        "upload": lemmy.image.upload,
        "upload_strictly": strict.image.upload,
        "upload_pillow": lambda path: lemmy.image.upload(Image.open(path)),
        "delete": lemmy.image.delete,
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            told = {"returned": calls[name](*arguments)}
        except Exception as error:
            told = {"raised": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), flush=True)


main(sys.argv[1])
