"""Rows that are not one repeated request: start-up, memory, photos, a page during log-ins, and a deletion."""

import asyncio
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

from load import Figures, Target, Visitor, form, outcome
from machine import HERE, Failed, resident_mb
from report import line_of, plain_line

STARTS = 5


def start(row, servers, machine, chosen):
    """Time from the command to the first response."""
    times = []
    for _ in range(1 if chosen.smoke else STARTS):
        with machine.app(row.scale, row.env) as app:
            times.append(1000 * app.seconds_to_first_answer)
    line = plain_line(row.page, row.scale, p50_ms=round(median(times), 1))
    return line, "<= 100 ms", line["p50_ms"] <= 100


def idle_memory(row, servers, machine, chosen):
    """Memory after the first response."""
    with machine.app(row.scale, row.env) as app:
        return memory(row, app, 40)


def loaded_memory(row, servers, machine, chosen):
    """Memory after all rows above that this process has served."""
    return memory(row, servers["app"], 80)


def memory(row, app, most):
    mb = round(resident_mb(app.pid), 1)
    return plain_line(row.page, row.scale, rss_mb=mb), f"{mb} MB <= {most} MB", mb <= most


# libjpeg-turbo scales down to an eighth while it decodes (draft), and Pillow does the rest. The application does not
# use it, because it would run C code on files from strangers.
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
    """Posts with a picture, compared with the fastest library for decoding and scaling it."""
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
    """The p99 of a page with and without constant log-ins, alternately."""
    page, log_ins = (Target(load, servers["app"], machine, row.scale) for load in (row.ours, row.other))
    alone, crowded, sent, refused = page.figures, Figures(), 0, 0
    for _ in range(chosen.rounds):
        page.figures = alone
        page.run(chosen.seconds)
        page.figures = crowded
        with subprocess.Popen(log_ins.command(chosen.seconds + 4), stdout=subprocess.PIPE, text=True) as others:
            threading.Event().wait(1)
            page.run(chosen.seconds)
            printed, _ = others.communicate()
        result = outcome(subprocess.CompletedProcess([], others.returncode, printed, ""))
        if not result["requests"] or result["lost"]:
            raise Failed(f"the log-ins beside it: {result}")
        sent, refused = sent + result["requests"], refused + result["refused"]
    line, wanted, met = p99_line(row, alone, crowded)
    return line, wanted + (f", {refused / sent:.0%} refused" if refused else ""), met


def flood(row, servers, machine, chosen):
    """The p99 of a page with and without 1,000 simultaneous log-ins, alternately."""
    page, log_in = (Target(load, servers["app"], machine, row.scale) for load in (row.ours, row.other))
    alone, flooded, answers = page.figures, Figures(), []
    for _ in range(chosen.rounds):
        page.figures = alone
        page.run(chosen.seconds)
        page.figures = flooded
        with ThreadPoolExecutor(1) as others:
            flooding = others.submit(asyncio.run, all_at_once(log_in))
            page.run(chosen.seconds, may_be_refused=True)
            answers += flooding.result()
    if unexpected := {status for status, _ in answers} - {303, 503}:
        raise Failed(f"log-ins among many answer {unexpected}")
    refused = sum(status == 503 for status, _ in answers) / len(answers)
    slowest = max(seconds for _, seconds in answers)
    line, wanted, met = p99_line(row, alone, flooded)
    pages = flooded.refused / flooded.requests
    wanted += f", {refused:.0%} of log-ins and {pages:.0%} of pages refused, the last answered after {slowest:.1f} s <= 3 s"
    return line, wanted, met and not flooded.refused and slowest <= 3


async def all_at_once(target):
    """Opens all connections, then sends one request on each; returns status and seconds of every response."""
    content_type, body = target.load.body
    host = f"{HERE}:{target.server.port}"
    head = f"POST {target.path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n" \
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def ask(reader, writer):
        began = time.monotonic()
        writer.write(head.encode() + body)
        answer = (await reader.read()).decode()
        writer.close()
        status = int(answer.split(" ", 2)[1])
        if status == 503 and "\r\nretry-after: " not in answer.lower():
            raise Failed("a log-in is refused without Retry-After")
        return status, time.monotonic() - began

    connected = [await asyncio.open_connection(HERE, target.server.port) for _ in range(target.load.connections)]
    return await asyncio.gather(*(ask(*connection) for connection in connected))


def p99_line(row, alone, crowded):
    """The line of a page under load, compared with the same page alone."""
    line = plain_line(
        row.page, row.scale, rps=round(crowded.requests / crowded.seconds, 1), p50_ms=round(median(crowded.p50s), 3),
        p99_ms=round(median(crowded.p99s), 3), times=round(median(crowded.p99s) / median(alone.p99s), 2))
    return line, f"p99 <= {row.times:.1f} x", line["times"] <= row.times


def deletion(row, servers, machine, chosen):
    """Deletes person 2 with 50,000 followers, while one of the followers posts. Must be the last row."""
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
