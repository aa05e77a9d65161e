"""The programs, each started on a port of its own, and ended whatever happens."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

# How long a program may take to answer.
PATIENCE_SECS = 60
KEY = "a key for compat"


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def dies_with_us():
    """Has the kernel end a program when this one ends, even by a kill."""
    PR_SET_PDEATHSIG = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        pass  # Not Linux: `__exit__` is all there is.


class Server:
    """A program that serves, for as long as a `with` lasts."""

    def __init__(self, name, arguments, folder, ready, status):
        self.name = name
        self.folder = folder
        self.ready = ready
        self.status = status
        self.log = os.path.join(folder, f"{name}.log")
        self.arguments = arguments

    def __enter__(self):
        # Nothing of this machine's configuration, and no way round over a proxy of it.
        hidden = ("GLIMT_", "PICTRS_", "RUST_LOG")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(hidden) and not name.lower().endswith("_proxy")
        }
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=self.folder,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_us,
            )
        try:
            self.wait()
        except BaseException:
            self.end()
            raise
        return self

    def wait(self):
        begun = time.monotonic()
        while status_of(self.ready) != self.status:
            if self.process.poll() is not None or time.monotonic() - begun > PATIENCE_SECS:
                raise RuntimeError(f"{self.name} does not answer ({self.process.poll()}): {self.said()[-2000:]}")
            time.sleep(0.05)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def end(self):
        """Asks it to end, then makes it. Returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_SECS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def __exit__(self, *_):
        self.end()


def status_of(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


class Glimt(Server):
    def __init__(self, program, compat, folder):
        self.url = f"http://127.0.0.1:{free_port()}"
        arguments = [program, "--path", os.path.join(folder, "data"), "--addr", self.url.removeprefix("http://")]
        arguments += ["--compat", compat, "--api-key", KEY]
        super().__init__("glimt", arguments, folder, f"{self.url}/readyz", 200)
        self.compat = compat

    def get(self, path, key=False):
        request = urllib.request.Request(self.url + path, headers={"X-Api-Token": KEY} if key else {})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def delete(self, token, name):
        """Deletes a picture without the client."""
        request = urllib.request.Request(f"{self.url}/image/delete/{token}/{name}", method="DELETE")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.status

    @contextlib.contextmanager
    def stopped(self):
        """Has it do nothing for as long as a `with` lasts."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def original(self, name):
        return self.get(f"/image/original/{name}")

    def statuses(self, name):
        """Of everything that may be left of a picture: its file, its details, a variant."""
        paths = [f"/image/original/{name}", f"/image/details/original/{name}", f"/image/process.webp?src={name}&thumbnail=80"]
        return [self.get(path)[0] for path in paths]

    def pictures(self):
        """How many there are."""
        status, body = self.get("/internal/hashes?limit=100", key=True)
        if status != 200:
            raise RuntimeError(f"/internal/hashes: {status}: {body}")
        return len(json.loads(body)["page"]["hashes"])


def proxy(bin_folder, glimt, folder):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [os.path.join(bin_folder, "pict-rs-proxy"), "--addr", f"127.0.0.1:{port}"]
    arguments += ["--upstream", glimt.url, "--domain", url]
    server = Server("pict-rs-proxy", arguments, folder, f"{url}/404", 404)
    server.url = url
    return server


def aggregator(bin_folder, glimt, folder):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [os.path.join(bin_folder, "pict-rs-aggregator"), "--addr", f"127.0.0.1:{port}"]
    arguments += ["--upstream", glimt.url, "--host", f"127.0.0.1:{port}", "--database-path", os.path.join(folder, "collections")]
    server = Server("pict-rs-aggregator", arguments, folder, f"{url}/healthz", 200)
    server.url = url
    return server
