"""Clients that log in through the public pages and check the responses, and wrk, which repeats the requests."""

import http.client
import json
import re
import subprocess
import urllib.parse
from dataclasses import dataclass, field

from machine import HERE, ROOT, Failed, cpu_seconds


@dataclass
class Load:
    """A request to one server, and how to recognise the right response."""

    path: str
    on: str = "app"
    method: str = "GET"
    visitors: list = field(default_factory=list)  # (email, password) of users who take turns; empty: not logged in
    shows: tuple = ()  # (text, number of occurrences) on the page
    leads_to: str = "/"  # regular expression for the Location of a POST
    key: str = ""  # SQL for the key of a page deep in a list: {key} in the path
    counted: str = ""  # SQL for the number of rows created by POSTs
    body: tuple = ("", b"")  # content type and bytes
    connections: int = 32
    least_seconds: int = 1  # minimum duration of a round


def form(fields):
    return "application/x-www-form-urlencoded", urllib.parse.urlencode(fields).encode()


def multipart(fields, picture=None):
    parts = [f'name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    if picture:
        head = b'name="micropost[picture]"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head + picture + b"\r\n")
    body = b"".join(b"--bench\r\nContent-Disposition: form-data; " + part for part in parts)
    return "multipart/form-data; boundary=bench", body + b"--bench--\r\n"


class Visitor:
    """A minimal browser: keeps cookies, and sends Origin and Sec-Fetch-Site with forms."""

    def __init__(self, port):
        self.port, self.cookies = port, {}

    def ask(self, method, path, body=("", b"")):
        """Returns status, Location and body of the response."""
        headers = {"Cookie": self.cookie(), "Accept-Encoding": "gzip, br"}
        if method != "GET":
            origin = f"http://{HERE}:{self.port}"
            headers |= {"Content-Type": body[0], "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        connection = http.client.HTTPConnection(HERE, self.port, timeout=60)
        connection.request(method, path, body[1] or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return answer.status, answer.headers.get("Location", ""), content

    def cookie(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def log_in(self, email, password):
        body = form({"session[email]": email, "session[password]": password})
        status, location, _ = self.ask("POST", "/login", body)
        if status != 303 or not re.match(r"/(users/\d+)?$", location):
            raise Failed(f"{email} could not log in: {status} {location}")


@dataclass
class Figures:
    """The cost of a load, summed over its rounds."""

    requests: int = 0
    refused: int = 0  # of the requests
    seconds: float = 0
    p50s: list = field(default_factory=list)
    p99s: list = field(default_factory=list)
    cpu: dict = field(default_factory=lambda: {"app": 0.0, "db": 0.0, "redis": 0.0})  # seconds

    def us(self, who):
        return 1e6 * self.cpu[who] / max(self.requests, 1)

    def us_in_all(self):
        return sum(map(self.us, self.cpu))


class Target:
    """A load on its server, ready to be measured in several rounds."""

    def __init__(self, load, server, machine, scale, size=0):
        self.load, self.server, self.machine, self.scale = load, server, machine, scale
        key = "-".join(map(str, machine.sql(scale, load.key))) if load.key else ""
        self.path = load.path.format(bytes=size, key=key)
        self.figures = Figures()
        self.visitors = []
        for account in load.visitors or [None]:
            visitor = Visitor(server.port)
            if account:
                visitor.log_in(*account)
            self.visitors.append(visitor)
        self.size = self.check()

    def check(self):
        """Sends the request once, checks the response, and returns the size of its body."""
        load = self.load
        status, location, content = self.visitors[0].ask(load.method, self.path, load.body)
        where = f"{load.method} {self.path} on {load.on}"
        if load.method == "POST":
            if status != 303 or not re.fullmatch(load.leads_to, location):
                raise Failed(f"{where} answers {status} {location} instead of 303 {load.leads_to}")
            return 0
        if status != 200:
            raise Failed(f"{where} answers {status} {location} instead of 200")
        for text, times in load.shows:
            if (found := content.count(text.encode())) != times:
                raise Failed(f"{where} shows {text!r} {found} times instead of {times}")
        return len(content)

    def rows(self):
        return self.machine.sql(self.scale, self.load.counted)[0] if self.load.counted else 0

    def cpu(self):
        pids = {"app": self.server.pid, "db": self.machine.pids[self.machine.database],
                "redis": self.machine.pids["redis"]}
        return {who: cpu_seconds(pid) for who, pid in pids.items()}

    def command(self, seconds):
        load, file = self.load, self.machine.work / "body"
        file.write_bytes(load.body[1])
        threads = min(load.connections, 2)
        size = [f"-t{threads}", f"-c{load.connections}", f"-d{seconds}s", "--timeout=60s"]
        url = f"http://{HERE}:{self.server.port}{self.path}"
        cookies = [visitor.cookie() for visitor in self.visitors]
        script = ["-s", ROOT / "benches/wrk.lua", url, "--", load.method, load.body[0], file, *cookies]
        return ["wrk", *size, *script]

    def run(self, seconds, keep=True, may_be_refused=False):
        """One round. Checks the response before and after it; those in between must have the same size and status, but
        for refusals where they are allowed: the first check could meet one, too."""
        if not may_be_refused:
            self.check()
        rows, before = self.rows(), self.cpu()
        ran = subprocess.run(self.command(max(seconds, self.load.least_seconds)), capture_output=True, text=True)
        after, rows = self.cpu(), self.rows() - rows
        result = outcome(ran)
        refused = result["refused"]
        if not (refused and may_be_refused):
            self.check()
        where = f"{self.load.method} {self.path} on {self.load.on}"
        if result["lost"] or result["requests"] == refused or refused and not may_be_refused:
            raise Failed(f"{where}: {result}")
        if not refused and result["bytes"] / result["requests"] < 0.97 * self.size:
            raise Failed(f"{where} sent other pages than the one of {self.size} bytes: {result}")
        if self.load.counted and rows < result["requests"]:
            raise Failed(f"{where} wrote {rows} rows: {result}")
        if keep:
            self.figures.requests += result["requests"]
            self.figures.refused += refused
            self.figures.seconds += result["seconds"]
            self.figures.p50s.append(result["p50_ms"])
            self.figures.p99s.append(result["p99_ms"])
            for who in after:
                self.figures.cpu[who] += after[who] - before[who]


def outcome(ran):
    """Parses the output of wrk.lua."""
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    if ran.returncode or not lines:
        raise Failed(f"wrk: {ran.stdout}{ran.stderr}")
    return json.loads(lines[-1])
