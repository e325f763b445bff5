"""More load than can be answered, in an open loop (benches/open_loop.rs): what is answered, how fast, and what is
refused.

The application with one worker, the database and Redis share core 0; the generator has core 1.
"""

import contextlib
import json
import os
import subprocess
from statistics import median

from load import Load, Target, Visitor, form
from machine import HERE, RELEASE, free_port
from relay import relayed
from report import plain_line

TIMES = [0.8, 1, 2, 5, 10]
SECONDS, AFTER = 8, 4  # with the load, and then with half the capacity; 3 and 3 in a smoke test
WARM = 2  # seconds until the limit has settled
# Beside the feeds: shares of the capacity, and the least number a second. A log-in takes 20 ms of the core.
STEADY = {"profile": (0.05, 2), "log-in": (0.001, 2), "post": (0.005, 1), "health": (0.005, 5)}
SLOW_MS = 20  # added to each response of the slow database
TARGET_GOODPUT, TARGET_ANSWERED, TARGET_TIMES, TARGET_REFUSAL_MS = 0.95, 0.99, 2, 20


def measure(row, servers, machine, chosen, slow=False):
    with contextlib.ExitStack() as stack:
        settings = {}
        if slow:
            url = machine.settings(row.scale)["DATABASE_URL"]
            settings["DATABASE_URL"], thread = stack.enter_context(relayed(url, back=SLOW_MS / 1000))
            os.sched_setaffinity(thread.native_id, {1})
        app = stack.enter_context(pinned(machine, row, settings))
        for pid in machine.pids.values():
            subprocess.run(["taskset", "-a", "-c", "-p", "0", pid], check=True, stdout=subprocess.DEVNULL)
        account = row.ours.visitors[0]
        visitor = Visitor(app.port)
        visitor.log_in(*account)
        requests = requests_of(app.port, visitor, account)
        capacity = capacity_of(row, app, machine, chosen)
        print(f"  capacity {capacity:,.0f} feeds/s")
        rounds = {}
        for times in TIMES[-1:] if chosen.smoke else TIMES:
            rounds[times] = run(app.port, requests, times * capacity, capacity, chosen.smoke)
            print(f"  {times:3} x {describe(rounds[times])}", flush=True)
    most, peak = rounds[TIMES[-1]], max(figures["goodput"] for figures in rounds.values())
    times = most["p99_ms"] / rounds[min(rounds)]["p99_ms"]
    share = most["goodput"] / peak
    wanted = f"{share:.0%} of the peak, {most['answered']:.1%} of log-ins and posts, refused in {most['refusal_ms']:.0f} ms"
    met = (share >= TARGET_GOODPUT and min(most["answered"], most["after"]) >= TARGET_ANSWERED
           and times <= TARGET_TIMES and most["refusal_ms"] <= TARGET_REFUSAL_MS)
    return plain_line(row.page, row.scale, rps=round(most["goodput"], 1), p50_ms=most["p50_ms"], p99_ms=most["p99_ms"],
                      times=round(times, 2)), wanted, met


def pinned(machine, row, settings):
    port = free_port()
    environment = machine.app_settings(row.scale, port, "development") | settings
    return machine.running(["taskset", "-c", "0", RELEASE / "sample-app"], port, environment, "app")


def capacity_of(row, app, machine, chosen):
    """What a closed loop gets from it, without refusals."""
    target = Target(Load("/", visitors=row.ours.visitors, shows=row.ours.shows, connections=16), app, machine, row.scale)
    target.run(1, keep=False)
    for _ in range(chosen.rounds):
        target.run(chosen.seconds)
    return target.figures.requests / target.figures.seconds


def requests_of(port, visitor, account):
    """Complete requests, by load."""
    def request(method, path, body=b"", content_type="", cookies=True):
        host = f"{HERE}:{port}"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if cookies:
            lines.append(f"Cookie: {visitor.cookie()}")
        if method != "GET":
            lines += [f"Origin: http://{host}", "Sec-Fetch-Site: same-origin", f"Content-Type: {content_type}",
                      f"Content-Length: {len(body)}"]
        return "\r\n".join(lines) + "\r\n\r\n" + body.decode()

    content_type, log_in = form({"session[email]": account[0], "session[password]": account[1]})
    _, post = form({"micropost[content]": "Deployed on a Friday. The weekend was quiet."})
    return {
        "feed": [request("GET", "/")],
        "profile": [request("GET", "/users/1", cookies=False)],
        "log-in": [request("POST", "/login", log_in, content_type, cookies=False)],
        "post": [request("POST", "/microposts", post, content_type)],
        "health": [request("GET", "/livez", cookies=False)],
    }


def run(port, requests, rate, capacity, smoke, connect=False):
    """One round in the open loop; returns its figures."""
    seconds, after = (3, 3) if smoke else (SECONDS, AFTER)
    loads = [{"rate": rate, "requests": requests["feed"], "until": seconds}]
    loads += [{"rate": max(share * capacity, least), "requests": requests[name]} for name, (share, least) in STEADY.items()]
    loads += [{"rate": 0.5 * capacity, "requests": requests["feed"], "from": seconds}]
    plan = {"address": f"{HERE}:{port}", "seconds": seconds + after, "connect": connect, "loads": loads}
    ran = subprocess.run(["taskset", "-c", "1", RELEASE / "open-loop"], input=json.dumps(plan), text=True,
                         capture_output=True, check=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return figures_of(dict(zip(["feed", *STEADY, "after"], lines)), seconds, seconds + after)


def figures_of(by_load, until, end):
    settled = [str(second) for second in range(WARM, until)]
    after = [str(second) for second in range(until + 2, end)]

    def entries(names, seconds, statuses):
        return [figures for name in names if name in by_load for second in seconds
                for status, figures in by_load[name].get(second, {}).items() if statuses(int(status))]

    def count(*arguments):
        return sum(figures["count"] for figures in entries(*arguments))

    def good(status):
        return 200 <= status < 400

    feeds, writes = ["feed", "after"], ["log-in", "post"]
    answered = entries(feeds, settled, good)
    refused = entries(feeds, settled, lambda status: status == 503)
    return {
        "goodput": count(feeds, settled, good) / len(settled),
        "refused": count(feeds, settled, lambda status: status == 503) / len(settled),
        "lost": count([*feeds, *STEADY], settled, lambda status: status == 0 or status in (500, 502)),
        "p50_ms": median(figures["p50"] for figures in answered) / 1000 if answered else 0,
        "p99_ms": median(figures["p99"] for figures in answered) / 1000 if answered else 0,
        "refusal_ms": median(figures["p99"] for figures in refused) / 1000 if refused else 0,
        "answered": count(writes, settled, good) / max(count(writes, settled, lambda _: True), 1),
        "profiles": count(["profile"], settled, good) / max(count(["profile"], settled, lambda _: True), 1),
        "health": count(["health"], settled, good) / max(count(["health"], settled, lambda _: True), 1),
        "after": count(feeds, after, good) / max(count(feeds, after, lambda _: True), 1),
    }


def describe(figures):
    return (f"{figures['goodput']:7,.0f} feeds/s answered, p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms; "
            f"{figures['refused']:7,.0f} refused/s, p99 {figures['refusal_ms']:.1f} ms; answered: log-ins and posts "
            f"{figures['answered']:.1%}, profiles {figures['profiles']:.1%}, health {figures['health']:.1%}; "
            f"2 s later {figures['after']:.1%} of feeds; {figures['lost']} lost")
