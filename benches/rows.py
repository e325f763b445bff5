"""The rows of the table: each has a load, a load to compare with, and a target."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import distance
import extras
import overload
from load import Load, form, multipart

ADMIN = ("example@railstutorial.org", "foobar")


def small(n):
    """Log-in of a user from `sample-app seed`."""
    return (f"example-{n}@railstutorial.org", "password")


def large(n):
    """Log-in of a user from large.sql."""
    return (f"person-{n}@bench.example", "password")


@dataclass
class Row:
    """One line of the table."""

    page: str
    scale: str  # small or large
    env: str  # production; development where rate limits would interfere
    ours: Load | None = None
    bare: Load | None = None
    other: Load | None = None  # what to compare with instead of the bare server
    share: float | None = None  # minimum of: CPU time of `bare` / CPU time of `ours`
    times: float | None = None  # maximum of: CPU time of `ours` / CPU time of `other`, or of `bare`
    note: str = ""
    measured_by: Callable | None = None  # function of extras.py; by default `ours` is repeated


POSTS = (('<li id="micropost-', 30),)
PEOPLE = (('<li class="card">', 30),)
STATIC = Load("/static/{bytes}", on="bare")
A_TEXT = multipart({"micropost[content]": "Deployed on a Friday. The weekend was quiet."})
COUNT = "SELECT CAST(SUM(microposts_count) AS SIGNED) FROM users"
# Keys of pages deep in large lists, in the format of models/values/page.rs.
USER_90_000 = "SELECT id FROM users ORDER BY id LIMIT 1 OFFSET 89970"
OF_POST = "FROM microposts WHERE user_id = 3 ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET 29970;"
POST_30_000 = f"SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) {OF_POST} SELECT id {OF_POST}"
OF_ENTRY = "FROM timeline_entries WHERE user_id = 1 ORDER BY created_at DESC, micropost_id DESC LIMIT 1 OFFSET 29970;"
ENTRY_30_000 = f"SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) {OF_ENTRY} SELECT micropost_id {OF_ENTRY}"
FOLLOW_30_000 = "SELECT id FROM relationships WHERE followed_id = 2 ORDER BY id DESC LIMIT 1 OFFSET 29970"
HASH = Load("/hash", on="bare", method="POST", body=("text/plain", b"password"))


def rows_of(user):
    return Load(f"/rows/{user}/{{bytes}}", on="bare")


def page(path, *shows, visitor=None, connections=32):
    visitors = [visitor] if visitor else []
    return Load(path, shows=shows or (("</html>", 1),), visitors=visitors, connections=connections)


def post(*visitors, picture=None, connections=16):
    body = multipart({"micropost[content]": "Look!"}, picture) if picture else A_TEXT
    return Load("/microposts", method="POST", visitors=list(visitors), counted=COUNT, body=body,
                connections=connections, least_seconds=6 if picture else 1)


def insert(connections=16):
    return Load("/insert/1", on="bare", method="POST", body=A_TEXT, connections=connections,
                counted="SELECT COUNT(*) FROM bare_microposts")


def log_in(email, password):
    body = form({"session[email]": email, "session[password]": password})
    return Load("/login", method="POST", body=body, leads_to=r"/users/\d+", connections=4)


def table(photo):
    """All rows, grouped by the process that serves them. `photo` is a JPEG of 4,000 x 3,000 pixels."""
    def reads(name, scale, ours=None, **more):
        return Row(name, scale, "production", ours, **more)

    def writes(name, scale, ours=None, **more):
        return Row(name, scale, "development", ours, **more)

    def deep(path, shows, reader=4, key=""):
        # Few connections: if a page read 100,000 rows, further requests would be refused as overload.
        return replace(page(path, *shows, visitor=large(reader), connections=4), key=key, least_seconds=3)

    bare = replace(rows_of(3), connections=4)
    few = deep("/", POSTS)
    return [
        reads("start to first answer", "small", measured_by=extras.start),
        reads("memory, idle", "small", measured_by=extras.idle_memory),
        reads("home", "small", page("/", ("Sign up now!", 1)), bare=STATIC, share=0.85),
        reads("log-in form", "small", page("/login", ("session[password]", 1)), bare=STATIC, share=0.85),
        reads("help", "small", page("/help"), bare=STATIC, share=0.85),
        reads("feed", "small", page("/", *POSTS, visitor=ADMIN), bare=rows_of(1), share=0.6, note="aim 0.7"),
        reads("profile", "small", page("/users/1", *POSTS), bare=rows_of(1), share=0.75),
        reads("users", "small", page("/users", *PEOPLE, visitor=ADMIN), bare=rows_of(1), share=0.6),
        reads("static file", "small", Load("/static/app.css"), other=Load("/static/app.css", on="nginx"), times=2),
        reads("memory after pages", "small", measured_by=extras.loaded_memory),
        writes("post a text", "small", post(*map(small, range(1, 17))), bare=insert(), times=3),
        writes("post a photo", "small", post(small(1), picture=photo, connections=2), times=1.5,
               measured_by=partial(extras.photo, picture=photo)),
        writes("log-in", "small", log_in(*small(1)), bare=HASH, times=1.1),
        writes("page during 32 log-ins", "small", page("/users/1", *POSTS), measured_by=extras.crowd, times=2,
               other=replace(log_in(*small(1)), connections=32)),
        writes("page as 1,000 log in", "small", page("/users/1", *POSTS), measured_by=extras.flood, times=2,
               other=replace(log_in(*small(1)), connections=1000)),
        writes("services 1 ms away", "small", measured_by=distance.measure),
        writes("ten times the load", "small", page("/", *POSTS, visitor=ADMIN), measured_by=overload.measure),
        writes("the same, slow database", "small", page("/", *POSTS, visitor=ADMIN),
               measured_by=partial(overload.measure, slow=True)),
        writes("memory after posts", "small", measured_by=extras.loaded_memory),
        reads("feed of 50", "large", few, bare=bare),
        reads("feed of 5,000", "large", deep("/", POSTS, reader=1), bare=bare, other=few, times=1.5, note="aim 1.3"),
        reads("feed, page 1,000", "large", deep("/?from={key}", POSTS, reader=1, key=ENTRY_30_000), bare=bare,
              other=deep("/", POSTS, reader=1), times=1.2),
        reads("users, page 3,000", "large", deep("/users?from={key}", PEOPLE, key=USER_90_000), bare=bare,
              other=deep("/users", PEOPLE), times=1.2),
        reads("profile, page 1,000", "large", deep("/users/3?from={key}", POSTS, key=POST_30_000), bare=bare,
              other=deep("/users/3", POSTS), times=1.2),
        reads("followers, page 1,000", "large",
              deep("/users/2/followers?from={key}", PEOPLE, key=FOLLOW_30_000), bare=bare,
              other=deep("/users/2/followers", PEOPLE), times=1.2),
        # One connection: concurrent posts of the same user wait for each other.
        writes("post to 50,000", "large", post(large(2), connections=1), bare=insert(1),
               other=post(large(20), connections=1), times=1.5),
        writes("delete one of 50,000", "large", measured_by=extras.deletion, times=2),
    ]
