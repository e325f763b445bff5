"""The mail server of SES: TLS from the start on 465, any user and password. Mails become FOLDER/mails/N.eml; MAIL FROM refused as in the sandbox is not played."""
import itertools
import pathlib
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

folder, address = pathlib.Path(sys.argv[1]), sys.argv[2]
(folder / "mails").mkdir(exist_ok=True)
number = itertools.count(1)


class Keep:
    async def handle_DATA(self, server, session, envelope):
        name = f"{next(number):03}"
        (folder / "mails" / f"{name}.eml").write_bytes(f"X-To: {', '.join(envelope.rcpt_tos)}\r\n".encode() + envelope.content)
        return f"250 Ok 0100{name}-000000"


def certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls/mail.pem")
    return context


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=True)


common = dict(hostname=address, authenticator=authenticate, auth_required=True)
Controller(Keep(), port=465, ssl_context=certificate(), auth_require_tls=False, **common).start()
Controller(Keep(), port=587, tls_context=certificate(), require_starttls=True, **common).start()
threading.Event().wait()
