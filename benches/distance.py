"""Pages with the database and Redis 1 ms away, each way, as in another zone: how long a visitor waits, and for how many
exchanges one after the other."""

import contextlib
import time
from statistics import median, mode

from load import Visitor, form
from machine import Failed
from relay import Exchanges, relayed
from report import plain_line

DELAY = 0.001  # seconds, each way
# The first requests on each connection of each worker also prepare their statements.
WARM, TIMES = 40, 20
ACCOUNT = ("example@railstutorial.org", "foobar")
# Exchanges to aim at.
AIMS = {"feed": 2, "profile": 3, "users": 3, "post a text": 5, "follow": 6, "log-in": 2}
FOLLOWER = ("example-60@railstutorial.org", "password")  # follows nobody
OTHERS = f"SELECT id FROM users WHERE email <> '{FOLLOWER[0]}'"


def measure(row, servers, machine, chosen):
    settings, exchanges = machine.settings(row.scale), Exchanges()
    with contextlib.ExitStack() as stack:
        far = {name: stack.enter_context(relayed(settings[name], DELAY, DELAY, exchanges))[0]
               for name in ("DATABASE_URL", "REDIS_URL")}
        app = stack.enter_context(machine.app(row.scale, row.env, far))
        visitor = Visitor(app.port)
        visitor.log_in(*ACCOUNT)
        follower = Visitor(app.port)
        follower.log_in(*FOLLOWER)
        strangers = iter(machine.sql(row.scale, OTHERS))
        log_in = form({"session[email]": ACCOUNT[0], "session[password]": ACCOUNT[1]})
        pages = {
            "feed": lambda: visitor.ask("GET", "/"),
            "profile": lambda: visitor.ask("GET", "/users/2"),
            "users": lambda: visitor.ask("GET", "/users"),
            "post a text": lambda: visitor.ask("POST", "/microposts", form({"micropost[content]": "Deployed on a Friday."})),
            "follow": lambda: follower.ask("POST", "/relationships", form({"followed_id": next(strangers)})),
            "log-in": lambda: Visitor(app.port).ask("POST", "/login", log_in),
        }
        found = {page: cost(page, ask, exchanges, 3 if chosen.smoke else TIMES) for page, ask in pages.items()}
    for page, (count, p50) in found.items():
        print(f"  {page:12} {count} exchanges (aim {AIMS[page]}), p50 {p50:5.1f} ms", flush=True)
    total, aims = sum(count for count, _ in found.values()), sum(AIMS.values())
    return plain_line(row.page, row.scale, p50_ms=found["feed"][1]), f"{total} exchanges <= {aims}", total <= aims


def cost(page, ask, exchanges, times):
    """The usual number of exchanges, as the workers have theirs now and then, and the median time in ms."""
    counts, seconds = [], []
    for _ in range(WARM + times):
        before, began = exchanges.count, time.monotonic()
        status, location, _ = ask()
        seconds.append(time.monotonic() - began)
        counts.append(exchanges.count - before)
        if status not in (200, 303) or location.endswith("/login"):
            raise Failed(f"{page} answers {status} {location}")
    return mode(counts[WARM:]), round(1000 * median(seconds[WARM:]), 2)
