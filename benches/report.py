"""The table, the verdicts, and target/bench.json."""

import json
from statistics import median

from machine import KEPT

# Key, heading, width and decimals of each printed column.
COLUMNS = [("rps", "req/s", 8, 0), ("p50_ms", "p50 ms", 9, 2), ("p99_ms", "p99 ms", 9, 2),
           ("cpu_us_app", "app us", 8, 0), ("cpu_us_db", "db us", 8, 0), ("cpu_us_redis", "redis", 7, 1),
           ("cpu_us_bare", "bare us", 9, 0), ("ratio_to_bare", "share", 7, 2), ("times", "times", 7, 2)]
HEAD = f"{'page':26}" + "".join(f"{heading:>{width}}" for _, heading, width, _ in COLUMNS)


class Report:
    """Prints each line at once and collects them for bench.json."""

    def __init__(self, header):
        self.lines, self.failed, self.scale = [], [], None
        print(header, flush=True)

    def add(self, line, wanted="", met=None):
        """Adds a line of bench.json. `wanted` is the target as text; `met` is None without a target."""
        if line["scale"] != self.scale:
            self.scale = line["scale"]
            print(f"\n{self.scale} data\n{HEAD}")
        self.lines.append(line | {"wanted": wanted, "met": met})
        verdict = {True: "met", False: "MISSED", None: ""}[met]
        figures = "".join(cell(line.get(key), width, digits) for key, _, width, digits in COLUMNS)
        print(f"{line['page']:26}{figures}  {wanted:>12} {verdict}".rstrip(), flush=True)

    def fail(self, row, error):
        """Reports a row that could not be measured, for example because its page is wrong."""
        self.failed.append(f"{row.page} ({row.scale})")
        print(f"{row.page:26} FAILED: {error}", flush=True)

    def finish(self):
        """Prints the summary and writes bench.json; returns whether every row could be measured."""
        KEPT.parent.mkdir(exist_ok=True)
        (KEPT.parent / "bench.json").write_text(json.dumps(self.lines, indent=1) + "\n")
        missed = [f"{line['page']} ({line['scale']})" for line in self.lines if line["met"] is False]
        met = sum(line["met"] is True for line in self.lines)
        print(f"\n{met} targets met" + (f", {len(missed)} missed: {', '.join(missed)}" if missed else ", none missed"))
        print("CPU time decides; rates depend on what else runs here. Written to target/bench.json.")
        if self.failed:
            print(f"FAILED: {', '.join(self.failed)}")
        return not self.failed


def cell(value, width, digits):
    return " " * width if value is None else f"{value:{width},.{digits}f}"


def line_of(row, ours, bare, other):
    """The line of a row, its target as text, and whether the target is met."""
    line = {
        "page": row.page, "scale": row.scale,
        "rps": round(ours.requests / ours.seconds, 1),
        "p50_ms": round(median(ours.p50s), 3), "p99_ms": round(median(ours.p99s), 3),
        "cpu_us_app": round(ours.us("app"), 1), "cpu_us_db": round(ours.us("db"), 1),
        "cpu_us_redis": round(ours.us("redis"), 1),
        "cpu_us_bare": round(bare.us_in_all(), 1) if bare else None,
        "bare_in_parts": {who: round(bare.us(who), 1) for who in bare.cpu} if bare else None,
        "ratio_to_bare": round(bare.us_in_all() / max(ours.us_in_all(), 0.1), 3) if bare else None,
        "times": None,
    }
    if row.share:
        return line, f">= {row.share:.2f} {row.note}".strip(), line["ratio_to_bare"] >= row.share
    if row.times:
        against = (other or bare).us_in_all()
        line["times"] = round(ours.us_in_all() / max(against, 0.1), 2)
        return line, f"<= {row.times:.1f} x {row.note}".strip(), line["times"] <= row.times
    return line, row.note, None


def plain_line(page, scale="small", **figures):
    """A line for a row that is not one repeated request."""
    keys = ["rps", "p50_ms", "p99_ms", "cpu_us_app", "cpu_us_db", "cpu_us_redis", "ratio_to_bare", "times"]
    return {"page": page, "scale": scale} | dict.fromkeys(keys) | figures
