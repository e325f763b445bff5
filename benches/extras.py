"""Rows that are not a page asked again and again: start, memory, and a page while others log in."""

import os
import subprocess
import threading
import time
from dataclasses import replace
from statistics import median, quantiles

from load import Figures, Target, Visitor, form, outcome
from machine import Failed, resident_mb
from report import line_of, plain_line

STARTS = 5


def start(row, servers, machine, chosen):
    """From the command to the first answer."""
    times = []
    for _ in range(1 if chosen.smoke else STARTS):
        with machine.app(row.scale, row.env) as app:
            times.append(1000 * app.seconds_to_first_answer)
    line = plain_line(row.page, row.scale, p50_ms=round(median(times), 1))
    return line, "<= 100 ms", line["p50_ms"] <= 100


def idle_memory(row, servers, machine, chosen):
    """Once it has answered, and nothing else."""
    with machine.app(row.scale, row.env) as app:
        return memory(row, app, 40)


def loaded_memory(row, servers, machine, chosen):
    """After all rows above it that this process answered."""
    return memory(row, servers["app"], 80)


def memory(row, app, most):
    mb = round(resident_mb(app.pid), 1)
    return plain_line(row.page, row.scale, rss_mb=mb), f"{mb} MB <= {most} MB", mb <= most


# libjpeg-turbo shrinks to an eighth while it decodes (draft), and Pillow does the rest. In C, for files of strangers: what the
# application does without.
DECODE = """
import io, sys, time
from PIL import Image
picture, count = sys.stdin.buffer.read(), int(sys.argv[1])
for _ in range(count):
    image = Image.open(io.BytesIO(picture))
    image.draft("RGB", (400, 400))
    image.thumbnail((400, 400))
print(time.process_time())
"""


def photo(row, servers, machine, chosen, picture):
    """Posts of a picture, compared with decoding and shrinking it by the fastest library."""
    ours = Target(row.ours, servers["app"], machine, row.scale)
    for _ in range(chosen.rounds):
        ours.run(chosen.seconds)
    count = 2 if chosen.smoke else 40
    python = [os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")) + "/sample-app/python/bin/python", "-c", DECODE]
    seconds = [float(subprocess.run([*python, str(n)], input=picture, capture_output=True, check=True).stdout)
               for n in (0, count)]
    library = Figures(requests=count, cpu={"library": seconds[1] - seconds[0]})
    return line_of(row, ours.figures, None, library)


def crowd(row, servers, machine, chosen):
    """The p99 of a page while visitors log in all the time, and without them, in turn."""
    (line, wanted, met), refused = beside_log_ins(row, servers, machine, chosen)
    return line, wanted + (f", {refused:.0%} refused" if refused else ""), met


def flood(row, servers, machine, chosen):
    """The same with so many visitors that most are refused; and how long somebody else's log-in takes to be answered."""
    if chosen.smoke:
        row = replace(row, other=replace(row.other, connections=100))
    visitor, slowest = Visitor(servers["app"].port), []

    def log_in():
        began = time.monotonic()
        status, location, _ = visitor.ask("POST", "/login", row.other.body)
        if status not in (303, 503):
            raise Failed(f"a log-in among many answers {status} {location}")
        slowest.append(time.monotonic() - began)

    (line, wanted, met), refused = beside_log_ins(row, servers, machine, chosen, log_in)
    wanted += f", {refused:.0%} refused, a log-in answered within {max(slowest):.1f} s <= 3 s"
    return line, wanted, met and max(slowest) <= 3


def beside_log_ins(row, servers, machine, chosen, meanwhile=None):
    """The line of the page, and the share of log-ins that were refused, as those are that would wait for more than 2 s."""
    page, log_ins = (Target(load, servers["app"], machine, row.scale) for load in (row.ours, row.other))
    alone = page.figures
    crowded, sent, refused = Figures(), 0, 0
    for _ in range(chosen.rounds):
        page.figures = alone
        page.run(chosen.seconds)
        page.figures = crowded
        with subprocess.Popen(log_ins.command(chosen.seconds + 4), stdout=subprocess.PIPE, text=True) as others:
            threading.Event().wait(1)
            page.run(chosen.seconds)
            if meanwhile:
                meanwhile()
            printed, _ = others.communicate()
        result = outcome(subprocess.CompletedProcess([], others.returncode, printed, ""))
        if not result["requests"] or (result["lost"] and not meanwhile):
            raise Failed(f"the log-ins beside it: {result}")
        sent, refused = sent + result["requests"], refused + result["refused"]
    line = plain_line(
        row.page, row.scale, rps=round(crowded.requests / crowded.seconds, 1), p50_ms=round(median(crowded.p50s), 3),
        p99_ms=round(median(crowded.p99s), 3), times=round(median(crowded.p99s) / median(alone.p99s), 2))
    return (line, f"p99 <= {row.times:.1f} x", line["times"] <= row.times), refused / sent


def deletion(row, servers, machine, chosen):
    """Deletes person 2 with their 50,000 followers; somebody who follows them posts before and meanwhile. Comes last."""
    def left():
        return machine.sql(row.scale, "SELECT COUNT(*) FROM users WHERE id = 2")[0]

    machine.sql(row.scale, "UPDATE users SET admin = TRUE WHERE id = 10")
    admin, writer = (Visitor(servers["app"].port) for _ in range(2))
    admin.log_in("person-10@bench.example", "password")
    writer.log_in("person-60000@bench.example", "password")
    text = form({"micropost[content]": "Deployed on a Friday."})

    def timed(visitor, path, body):
        began = time.monotonic()
        status, location, _ = visitor.ask("POST", path, body)
        if status != 303:
            raise Failed(f"POST {path} answers {status} {location}")
        return 1000 * (time.monotonic() - began)

    def p99(times):
        return quantiles(times, n=100)[-1]

    before = [timed(writer, "/microposts", text) for _ in range(200)]
    began, posts = time.monotonic(), []
    request = timed(admin, "/users/2", form({"_method": "delete"}))
    while left():
        if (seconds := time.monotonic() - began) > 600:
            raise Failed(f"not gone after {seconds:.0f} s")
        posts.append(timed(writer, "/microposts", text))
        time.sleep(0.05)
    seconds = time.monotonic() - began
    wanted = f"{request:.0f} ms <= 50 ms, gone after {seconds:.0f} s <= 60 s, others' p99 <= {row.times:.1f} x"
    line = plain_line(row.page, row.scale, p50_ms=round(median(posts), 2), p99_ms=round(p99(posts), 2),
                      times=round(p99(posts) / p99(before), 2))
    return line, wanted, request <= 50 and seconds <= 60 and line["times"] <= row.times
