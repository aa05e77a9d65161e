"""What holds and what does not, said line by line and counted."""

import sys


class Broken(Exception):
    """Something without which a story cannot go on."""


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.story = ""

    def begin(self, story):
        self.story = story
        print(f"\n{story}", flush=True)

    def that(self, what, holds, shown=""):
        """Notes whether something holds, and says what was there instead when it does not. Returns whether it does."""
        if holds:
            self.passed += 1
            print(f"  ok      {what}", flush=True)
        else:
            self.failed.append(f"{self.story}: {what}")
            print(f"  FAILED  {what}: {shown}", flush=True)
        return bool(holds)

    def equal(self, what, got, wanted):
        return self.that(what, got == wanted, f"{got!r}, not {wanted!r}")

    def need(self, what, holds, shown=""):
        """Like `that`, for what the rest of the story stands on."""
        if not self.that(what, holds, shown):
            raise Broken(what)

    def theirs(self, what, holds, shown=""):
        """A bug of the client that docs/pictrs.md notes: a release that does not have it any more makes the note untrue."""
        self.that(f"their bug: {what}", holds, f"it is not there any more: {shown}")

    def tell(self):
        """The summary. Returns the code to exit with."""
        print()
        for failed in self.failed:
            print(f"FAILED  {failed}")
        print(f"{self.passed} passed, {len(self.failed)} failed")
        sys.stdout.flush()
        # Nothing was looked at: that is no success.
        return 0 if self.passed and not self.failed else 1
