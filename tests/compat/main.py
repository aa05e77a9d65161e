"""Drives pict-rs-proxy and pict-rs-aggregator against glimt as a browser would; `scripts/compat` installs what this needs and calls it."""

import argparse
import os
import signal
import sys
import tempfile
import traceback

import aggregator
import pictures
import proxy
import servers
from browser import Browser
from checks import Checks


def tell(checks, story, *arguments):
    """One story, whose end before its time is a failure and not the end of the others."""
    try:
        story(checks, *arguments)
    except Exception as error:  # noqa: BLE001: whatever goes wrong is told
        traceback.print_exc()
        checks.that("the story is told to its end", False, repr(error))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glimt", required=True, help="the program to try")
    parser.add_argument("--bin", required=True, help="the folder with the clients")
    parser.add_argument("--photos", default="", help="a folder with real photos")
    parser.add_argument("--compat", nargs="+", default=["0.5", "0.2"], help="what glimt is told to answer like")
    asked = parser.parse_args()
    # Ended from outside, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    checks, browser = Checks(), Browser()
    photo, small = pictures.photo(asked.photos), pictures.drawn("a drawing.png", "PNG", (300, 200), 2)
    print(f"{photo.file}, {photo.format} of {photo.size[0]}x{photo.size[1]}; {small.file}, {small.format} of 300x200")
    for compat in asked.compat:
        for story, client in ((proxy.story, servers.proxy), (aggregator.story, servers.aggregator)):
            with tempfile.TemporaryDirectory(prefix="compat-") as folder:
                with servers.Glimt(os.path.abspath(asked.glimt), compat, folder) as glimt:
                    with client(os.path.abspath(asked.bin), glimt, folder) as server:
                        failed = len(checks.failed)
                        tell(checks, story, browser, server, glimt, photo, small)
                        if len(checks.failed) > failed:
                            print(f"{server.name} said:\n{server.said()[-4000:]}\nglimt said:\n{glimt.said()[-2000:]}")
                    checks.equal("glimt ends well", glimt.end(), 0)
    return checks.tell()


if __name__ == "__main__":
    sys.exit(main())
