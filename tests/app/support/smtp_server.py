"""A mail server for tests, by aiosmtpd: stands for SES. TLS and AUTH as there, and a fault switch.

Every mail it takes becomes a file in --folder, in the order of arrival; the file `events` beside them has a line for all
that happened, with the time in milliseconds. A file `fault` there makes it misbehave: `mail REPLY`, `rcpt REPLY`,
`data REPLY` and `auth REPLY` answer that command so (`rcpt=TEXT REPLY`: for recipients with this text), `lost` takes the mail and hangs up without a word, `hold` takes it
and says so only when the file is gone, `inject` adds an answer in plain text behind the one to STARTTLS.
"""

import argparse
import asyncio
import logging
import pathlib
import ssl
import time
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

# It takes TLS from the start for none at all, and says so for every connection; and that a client hung up on its
# certificate is what some tests are about.
warnings.simplefilter("ignore")
logging.disable(logging.ERROR)

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--folder", type=pathlib.Path)
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--tls", choices=["implicit", "starttls", "none"])
parser.add_argument("--auth", choices=["PLAIN", "LOGIN"])
args = parser.parse_args()

args.folder.mkdir(parents=True, exist_ok=True)
taken = len(list(args.folder.glob("*.eml")))


def note(event):
    with open(args.folder / "events", "a") as events:
        events.write(f"{time.time_ns() // 1_000_000} {event}\n")


def fault(stage, recipient=""):
    try:
        wanted, _, reply = (args.folder / "fault").read_text().strip().partition(" ")
    except FileNotFoundError:
        return None
    wanted, _, text = wanted.partition("=")
    return (reply or wanted) if wanted == stage and text in recipient else None


PASSWORDS = {
    b"AKIASMTP": b"canary/smtp+pass:word@1",
    # Derived from the secret access key `some+secret+key` for eu-central-1, see src/config/tests/ses_password.rs.
    b"AKIADERIVED": b"BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2",
}


def authenticate(server, session, envelope, mechanism, data):
    reply = fault("auth")
    if reply is None and data.password != PASSWORDS.get(data.login):
        reply = "535 Authentication Credentials Invalid"
    note(f"AUTH {mechanism} {'ok' if reply is None else 'refused'}")
    return AuthResult(success=reply is None, handled=False, message=reply)


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        note("MAIL")
        if fault("mail"):
            return fault("mail")
        envelope.mail_from = address
        return "250 Ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if reply := fault("rcpt", address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 Ok"

    async def handle_DATA(self, server, session, envelope):
        global taken
        if reply := fault("data", envelope.rcpt_tos[0]):
            note("DATA refused")
            return reply
        taken += 1
        unfinished = args.folder / f"{taken:05}.part"
        unfinished.write_bytes(envelope.original_content)
        unfinished.rename(args.folder / f"{taken:05}.eml")
        note(f"DATA {','.join(envelope.rcpt_tos)}")
        if fault("lost"):
            server.transport.abort()
        while fault("hold"):
            await asyncio.sleep(0.02)
        return f"250 Ok {taken}"


class Server(SMTP):
    def connection_made(self, transport):
        note("CONNECT")
        super().connection_made(transport)

    async def push(self, status):
        # What somebody in between could add to the last word in plain text.
        if fault("inject") and status == "220 Ready to start TLS":
            status += "\r\n250-mail.test\r\n250 AUTH PLAIN"
        await super().push(status)

    def connection_lost(self, error):
        note("GONE")
        super().connection_lost(error)


async def serve():
    tls = None
    if args.tls != "none":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(args.cert, args.key)
    starttls = args.tls == "starttls"

    def protocol():
        return Server(
            Handler(),
            hostname="mail.test",
            authenticator=authenticate,
            auth_required=args.tls != "none",
            auth_require_tls=starttls,
            auth_exclude_mechanism={"PLAIN", "LOGIN"} - {args.auth},
            tls_context=tls if starttls else None,
            require_starttls=starttls,
            loop=asyncio.get_running_loop(),
        )

    # The second address is none that the certificate knows.
    server = await asyncio.get_running_loop().create_server(
        protocol, ["127.0.0.1", "127.0.0.2"], args.port, ssl=tls if args.tls == "implicit" else None
    )
    await server.serve_forever()


asyncio.run(serve())
