"""Calculates what 1, 10 and 100 million people need. Prints the tables of docs/capacity.md; --write puts them there."""

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/capacity.md"
START, END = "<!-- printed by benches/capacity.py -->\n", "<!-- end of what it prints -->\n"
POPULATIONS = [1_000_000, 10_000_000, 100_000_000]
DAYS_A_YEAR, HOURS_A_MONTH, DAYS_A_MONTH = 365, 730, 365 / 12
GB, TB, KIB, GIB, TIB = 1e9, 1e12, 2**10, 2**30, 2**40


class Input(NamedTuple):
    value: float
    unit: str
    note: str  # what it means, or where it is from


# What people do. Nobody has measured this: put in what your people do, and run it again.
ASSUMED = {
    "active": Input(0.20, "of all people", "come on a given day"),
    "requests": Input(30, "requests", "by each of them on that day, in the shares of the section above"),
    "peak_hour": Input(0.10, "of a day's requests", "in its busiest hour"),
    "follows": Input(50, "people", "are followed by each person, on average, after a year"),
    "tail": Input(1.5, "", "exponent of the Pareto distribution of followers; who has many does not post more"),
    "pictures": Input(0.10, "of posts", "have a picture"),
    "picture_bytes": Input(40_000, "bytes", "a stored picture (the synthetic photo of the bench: 19,124)"),
    "uncached": Input(0.20, "of the pictures on a page", "are not in the browser's cache"),
    "mails": Input(0.002, "mails", "a person and day"),
    "devices": Input(1, "device", "is remembered for each person"),
    "planned": Input(0.60, "of a CPU", "is planned with in the busiest hour"),
    "server_cpus": Input(64, "vCPUs", "of the largest database server that you want to run"),
    "server_memory": Input(512, "GiB", "of memory in it"),
}
# Shares of requests, and the row of the document's first table that says what one costs.
REQUESTS = {
    "feed": (0.45, "feed, following 50"),
    "profile": (0.20, "profile (logged out)"),
    "list of people": (0.15, "users"),
    "page without data": (0.15, "home, log-in form, help (logged out)"),
    "post": (0.04, "post a text, to 38 followers at most"),
    "log-in": (0.01, "log-in"),
}
MEASURED = {
    "nginx": Input(30, "us", "CPU of nginx a request, section above"),
    "entry": Input(33, "us", "CPU of MariaDB for each feed that a post is written to (a)"),
    "fanout_on_read": Input(2.1, "times", "the CPU of a feed, if the reader follows authors with fan-out on read (a)"),
    "fanout_author": Input(0.41, "times", "the CPU of a feed, added by each of these who has 300 posts (a)"),
    "deletion": Input(560, "us", "of the worker a follower, to delete somebody: 28 s for 50,000, section below"),
    "users": Input(481, "bytes", "a row of `users` with its indexes (a)"),
    "remembered_devices": Input(358, "bytes", "a row of `remembered_devices` (a)"),
    "relationships": Input(187, "bytes", "a row of `relationships` (a)"),
    "microposts": Input(200, "bytes", "a row of `microposts` (a)"),
    "idempotency_keys": Input(195, "bytes", "a row of `idempotency_keys`, which stays for a day (a)"),
    "timeline_entries": Input(228, "bytes", "a row of `timeline_entries` (a)"),
    "session": Input(229, "bytes", "a session in Redis 7.0, of 200,000"),
    "log": Input(235, "bytes", "a request's line in the log"),
    "feed_bytes": Input(20_655, "bytes", "a feed of 30 posts, as it leaves nginx: not compressed"),
    "list_bytes": Input(18_200, "bytes", "a profile, or a list of 30 people"),
    "plain_bytes": Input(3_000, "bytes", "a page without data"),
}
# In dollars, us-east-1, on demand. From pages of others, not of AWS: check them before you rely on them.
PRICES = {
    "instance": Input(0.0816, "an hour", "m7g.large, 2 vCPUs: factualminds.com, 17 June 2026"),
    "balancer": Input(0.0225, "an hour", "Application Load Balancer: calculators of others, 2026"),
    "balancer_gb": Input(0.008, "a GB", "the same, the LCU: calculators of others, 2026"),
    "assumed_db_cpu": Input(0.12, "a vCPU and hour", "**assumed**: no source for classes that are not burstable"),
    "db_gb": Input(0.115, "a GB and month", "storage of RDS, gp3: usage.ai, June 2026"),
    "redis_gb": Input(0.084, "a GB and hour", "Valkey serverless, at least 0.1 GB: usage.ai, June 2026"),
    "redis_million": Input(0.0023, "a million commands", "the same"),
    "s3_gb": Input(0.023, "a GB and month", "S3 Standard: devnotes.tech, read in November 2026"),
    "s3_put": Input(0.005, "1,000 PUT", "the same"),
    "s3_get": Input(0.0004, "1,000 GET", "the same"),
    "out_10": Input(0.09, "a GB", "to the Internet, the first 10 TB of a month: the same"),
    "out_50": Input(0.085, "a GB", "the next 40 TB"),
    "out_150": Input(0.07, "a GB", "all beyond (that page ends at 150 TB)"),
    "mail": Input(0.10, "1,000 mails", "SES: acecloudinterviews.com, read in November 2026"),
}


def cost(row: str) -> tuple[float, float, float]:
    """CPU seconds of application, database and Redis, from the document's first table; the upper end of a range."""
    line = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| {row} |"))
    app, db, redis = (float(cell.split()[-1].replace(",", "")) / 1e6 for cell in line.split("|")[2:5])
    return app, db, redis


COSTS = {name: cost(row) for name, (_, row) in REQUESTS.items()}
SHARES = {name: share for name, (share, _) in REQUESTS.items()}
TABLES = [name for name, given in MEASURED.items() if "a row of" in given.note]
VALUES = {name: given.value for name, given in (ASSUMED | MEASURED | PRICES).items()}

# A share (SMALLEST / n) ** tail of all people has more than n followers; a share (SMALLEST / n) ** (tail - 1) of all
# follows leads to them. Whoever has more than 1,000 uses fan-out on read: models/timeline.rs.
TAIL = VALUES["tail"]
SMALLEST = VALUES["follows"] * (TAIL - 1) / TAIL
ON_READ = (SMALLEST / 1_000) ** (TAIL - 1)
ENTRIES_A_POST = 1 + VALUES["follows"] * (1 - ON_READ)
FEED_FACTOR = VALUES["fanout_on_read"] + VALUES["fanout_author"] * VALUES["follows"] * ON_READ
POSTS_A_YEAR = VALUES["active"] * VALUES["requests"] * SHARES["post"] * DAYS_A_YEAR  # of a person, on average


class Load:
    """What so many people need: in a second of the busiest hour, and after a year in which all of them were there."""

    def __init__(self, people: int) -> None:
        v, peak = VALUES, VALUES["peak_hour"] / 3600
        self.people, self.requests_a_day = people, people * v["active"] * v["requests"]
        self.requests = self.requests_a_day * peak
        self.posts = self.requests * SHARES["post"]
        self.follows = people * v["follows"] / DAYS_A_YEAR * peak
        # A follow copies the newest 1,000 posts of the person followed; a year has fewer.
        self.entries = self.posts * ENTRIES_A_POST + self.follows * (1 - ON_READ) * min(POSTS_A_YEAR, 1_000)

        posts = people * POSTS_A_YEAR
        self.rows = {
            "users": people, "remembered_devices": people * v["devices"], "relationships": people * v["follows"],
            "microposts": posts, "idempotency_keys": posts / DAYS_A_YEAR, "timeline_entries": posts * ENTRIES_A_POST,
        }
        self.bytes = {name: rows * v[name] for name, rows in self.rows.items()}
        self.db_bytes = sum(self.bytes.values())
        # The newest entries of each feed: a page of 16 KiB in the table, and one in its index by author.
        self.newest_pages = people * 2 * 16 * KIB
        self.pictures = posts * v["pictures"]
        self.session_bytes = people * v["active"] * v["session"]  # at most: as if all of a day were there at once
        self.count_cpu()
        self.count_bytes_out()

    def count_cpu(self) -> None:
        """In seconds a second, so in CPUs."""
        v, follow = VALUES, COSTS["post"]  # a follow is taken to cost what a post does
        app, db, redis = (sum(SHARES[name] * costs[part] for name, costs in COSTS.items()) for part in range(3))
        self.app_cpu = self.requests * (app + v["nginx"] / 1e6) + self.follows * follow[0]
        self.app_cpu += self.posts * v["pictures"] * cost("post a photo of 12 megapixels")[0]
        self.write_cpu = (self.posts + self.follows) * follow[1] + self.entries * v["entry"] / 1e6
        feeds = SHARES["feed"] * COSTS["feed"][1] * (FEED_FACTOR - 1)  # more than with fan-out on write alone
        self.db_cpu = self.requests * (db + feeds) - self.posts * follow[1] + self.write_cpu
        self.redis_cpu = self.requests * redis + self.follows * follow[2]
        self.instances = max(2, math.ceil(self.app_cpu / v["planned"] / 2))
        # Servers of the largest class that are needed: for the CPU, and for the memory.
        self.for_cpu = self.db_cpu / v["planned"] / v["server_cpus"]
        self.for_memory = self.newest_pages / (v["server_memory"] * GIB)

    def count_bytes_out(self) -> None:
        v, lists = VALUES, SHARES["profile"] + SHARES["list of people"]
        page = SHARES["feed"] * v["feed_bytes"] + lists * v["list_bytes"]
        page += (1 - SHARES["feed"] - lists) * v["plain_bytes"]
        fetched = (SHARES["feed"] + SHARES["profile"]) * 30 * v["pictures"] * v["uncached"]
        self.gets_a_day = self.requests_a_day * fetched
        self.bytes_a_day = self.requests_a_day * (page + fetched * v["picture_bytes"])

    def dollars(self) -> dict[str, float]:
        """Of the last month of that year."""
        v, out, requests = VALUES, self.bytes_a_day * DAYS_A_MONTH / GB, self.requests_a_day * DAYS_A_MONTH
        steps = [(10e3, v["out_10"]), (50e3 - 10e3, v["out_50"]), (math.inf, v["out_150"])]
        to_internet, left = 0.0, out
        for most, price in steps:
            to_internet, left = to_internet + min(left, most) * price, max(left - most, 0)
        cpus = 2 * math.ceil(max(self.for_cpu, self.for_memory) * v["server_cpus"] / 2)
        return {
            "instances": self.instances * v["instance"] * HOURS_A_MONTH,
            "load balancer": v["balancer"] * HOURS_A_MONTH + out * v["balancer_gb"],
            "database and standby, **at an assumed price**": 2 * cpus * v["assumed_db_cpu"] * HOURS_A_MONTH,
            "their storage": 2 * self.db_bytes / GB * v["db_gb"],
            "Redis, memory": max(self.session_bytes / GB, 0.1) * v["redis_gb"] * HOURS_A_MONTH,
            "Redis, 2 commands a request": 2 * requests / 1e6 * v["redis_million"],
            "pictures in S3": self.pictures * v["picture_bytes"] / GB * v["s3_gb"],
            "requests to S3":
                (self.pictures / 12 * v["s3_put"] + self.gets_a_day * DAYS_A_MONTH * v["s3_get"]) / 1000,
            "bytes to the Internet": to_internet,
            "mails": self.people * v["mails"] * DAYS_A_MONTH / 1000 * v["mail"],
        }


def number(value: float, unit: str = "") -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:,.{digits}f}" if value >= 0.1 else f"{value:.2g}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}".strip()


def millions(value: float) -> str:
    return number(value / 1e6, "million")


def size(value: float) -> str:
    return number(value / TB, "TB") if value >= TB else number(value / GB, "GB")


def percent(value: float) -> str:
    return f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in [head, *rows]]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n\n"


def inputs(title: str, given: dict[str, Input]) -> str:
    return table([title, "what"], [[f"{row.value:,} {row.unit}".strip(), row.note] for row in given.values()])


def columns(title: str, loads: list[Load], rows: dict[str, Callable[[Load], str]]) -> str:
    head = [title, *(f"{load.people:,}" for load in loads)]
    return table(head, [[name, *(text(load) for load in loads)] for name, text in rows.items()])


def most_followers(load: Load) -> float:
    return SMALLEST * math.pow(load.people, 1 / TAIL)


def rows_and_bytes(name: str, load: Load) -> str:
    return f"{millions(load.rows[name])}, {size(load.bytes[name])}"


BUSIEST_SECOND: dict[str, Callable[[Load], str]] = {
    "requests": lambda load: number(load.requests),
    "posts": lambda load: number(load.posts),
    "rows written to feeds": lambda load: number(load.entries),
    "CPUs of the application and nginx": lambda load: number(load.app_cpu),
    "instances of 2 vCPUs": lambda load: number(load.instances),
    "connections to the database, 12 an instance": lambda load: number(load.instances * 12),
    "CPUs of the database": lambda load: number(load.db_cpu),
    "of these, for what writes": lambda load: number(load.write_cpu),
    "CPUs of Redis": lambda load: number(load.redis_cpu),
}
AFTER_A_YEAR: dict[str, Callable[[Load], str]] = {
    **{f"`{name}`": partial(rows_and_bytes, name) for name in TABLES},
    "the newest pages of all feeds": lambda load: size(load.newest_pages),
    "sessions in Redis, at most": lambda load: size(load.session_bytes),
    "pictures in S3": lambda load: f"{millions(load.pictures)}, {size(load.pictures * VALUES['picture_bytes'])}",
    "GET of pictures a day": lambda load: millions(load.gets_a_day),
    "bytes to the Internet a day": lambda load: size(load.bytes_a_day),
    "log a day": lambda load: size(load.requests_a_day * VALUES["log"]),
    "mails a day": lambda load: number(load.people * VALUES["mails"]),
    "followers of the most followed person": lambda load: number(most_followers(load)),
    "minutes of the worker to delete that person": lambda load: number(most_followers(load) * VALUES["deletion"] / 6e7),
}
ENGINES: dict[str, Callable[[Load], str]] = {
    "one writer: its CPU": lambda load: percent(load.for_cpu),
    "one writer: its memory, for the newest pages": lambda load: percent(load.for_memory),
    "RDS: 16 TB, the limit of a table": lambda load: percent(load.bytes["timeline_entries"] / (16 * TB)),
    "Aurora: 128 TiB, the limit of a cluster": lambda load: percent(load.db_bytes / (128 * TIB)),
    "Galera, Group Replication: three whole copies": lambda load: size(3 * load.db_bytes),
    "TiDB: three replicas of each part": lambda load: size(3 * load.db_bytes),
    "Vitess: shards, so that the newest pages fit": lambda load: number(math.ceil(max(load.for_cpu, load.for_memory))),
}


def prices(loads: list[Load]) -> str:
    months = [load.dollars() for load in loads]
    rows = [[name, *(f"{month[name]:,.0f}" for month in months)] for name in months[0]]
    rows.append(["together", *(f"{sum(month.values()):,.0f}" for month in months)])
    return table(["dollars a month", *(f"{load.people:,}" for load in loads)], rows)


def walls() -> str:
    """All needs but the fixed ones are in proportion to the people, so each limit is a number of people."""
    one = Load(1_000_000)
    filled = {  # by a million people
        f"the newest pages of the feeds fill {VALUES['server_memory']} GiB of memory": one.for_memory,
        "`timeline_entries` is 16 TB after a year, RDS's limit of a table": one.bytes["timeline_entries"] / (16 * TB),
        "the database is 128 TiB after a year, Aurora's limit of a cluster": one.db_bytes / (128 * TIB),
        f"the database needs {VALUES['server_cpus']} vCPUs": one.for_cpu,
        "Redis needs more than one core; then `REDIS_CLUSTER=true`": one.redis_cpu / VALUES["planned"],
    }
    return table(["people", "what they reach first, and next"], [[f"{1 / part:.1f} million", what] for what, part in
                                       sorted(filled.items(), key=lambda wall: -wall[1])])


def report() -> str:
    loads = [Load(people) for people in POPULATIONS]
    return "\n" + "".join([
        inputs("assumed", ASSUMED), inputs("measured here", MEASURED), inputs("dollars", PRICES),
        columns("in a second of the busiest hour", loads, BUSIEST_SECOND), columns("after a year", loads, AFTER_A_YEAR),
        prices(loads), columns("after a year, of the largest server", loads, ENGINES), walls(),
    ])


def main() -> None:
    if sys.argv[1:] != ["--write"]:
        sys.stdout.write(report())
        return
    before, rest = DOCUMENT.read_text().split(START)
    DOCUMENT.write_text(before + START + report() + END + rest.split(END)[1])


main()
