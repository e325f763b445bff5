"""The web servers of AWS by name, on ports 80 and 443: S3 and all other services (MiniStack), CloudFront in front of a bucket, load balancers,
the authorities of RDS, and the visitor's address. A certificate for each name is made when it is asked for.

    python front.py FOLDER MINISTACK REGION       FOLDER/tls has ca.pem and ca.key
"""
import http.client
import http.server
import itertools
import json
import os
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time

folder, ministack, region = sys.argv[1:]
TLS = f"{folder}/tls"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}
contexts, contexts_lock = {}, threading.Lock()
turn = itertools.count()
looked = {}


def certificate(name):
    """The context with a certificate for this name."""
    with contexts_lock:
        if name not in contexts:
            path = f"{TLS}/{name}.pem"
            if not os.path.exists(path):
                subprocess.run(["bash", f"{os.path.dirname(__file__)}/certificate", TLS, name, f"DNS:{name}"], check=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            contexts[name] = context
        return contexts[name]


def by_name(connection, name, _context):
    connection.context = certificate(name or "none.amazonaws.com")


def changes():
    """How many calls have been made that may have changed something, and when the last one was seen."""
    with open(f"{folder}/calls") as file:
        count = sum(not re.search(r'"(describe|list|get|wait|filter|head)\b', line) for line in file)
    if count != seen["count"]:
        seen.update(count=count, at=time.monotonic())
    return count


seen, asking = {"count": 0, "at": -9}, threading.Lock()


def aws(*words):
    """What AWS says: asked again after changes, and for two seconds after them, since a call is noted before it is made."""
    with asking:
        now = changes()
        at, count, said = looked.get(words, (-9, -1, None))
        age = time.monotonic() - at
        if count != now or age > 0.3 and at < seen["at"] + 2 or age > 1 and "describe-target-health" in words:
            at = time.monotonic()
            said = json.loads(subprocess.run(["aws", "--region", region, "--output", "json", *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True).stdout or "{}")
            looked[words] = at, now, said
        return said


def is_open(address, port):
    try:
        socket.create_connection((address, port), 2).close()
        return True
    except OSError:
        return False


def targets(group):
    """Addresses of the targets of a group whose port is open."""
    port = aws("elbv2", "describe-target-groups", "--target-group-arns", group)["TargetGroups"][0]["Port"]
    known = aws("elbv2", "describe-target-health", "--target-group-arn", group)["TargetHealthDescriptions"]
    ids = {each["Target"]["Id"]: each["Target"].get("Port", port) for each in known if each["TargetHealth"]["State"] != "unhealthy"}
    found = []
    for reservation in aws("ec2", "describe-instances")["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["InstanceId"] in ids and instance["State"]["Name"] == "running":
                found.append((instance["PrivateIpAddress"], ids[instance["InstanceId"]]))
    return sorted(each for each in found if is_open(*each))


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scheme = "http"

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self, address, port, host, more=(), path=None):
        body = self.body()
        connection = http.client.HTTPConnection(address, port, timeout=60)
        connection.putrequest(self.command, path or self.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP | {"host", "content-length", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "expect"}:
                connection.putheader(name, value)
        for name, value in more:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        if self.command == "HEAD":
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                    self.send_header(name, value)
            self.end_headers()
        else:
            self.answer(response.status, content, response.getheaders())
        connection.close()

    def balance(self, host):
        balancers = aws("elbv2", "describe-load-balancers")["LoadBalancers"]
        balancer = next((each for each in balancers if each["DNSName"].lower() == host), balancers[0] if balancers else None)
        if balancer is None:
            return self.answer(502)
        listeners = aws("elbv2", "describe-listeners", "--load-balancer-arn", balancer["LoadBalancerArn"])["Listeners"]
        port = 443 if self.scheme == "https" else 80
        listener = next((each for each in listeners if each["Port"] == port), None)
        if listener is None:
            self.close_connection = True
            return None
        action = listener["DefaultActions"][0]
        if action["Type"] == "redirect":
            wanted = action["RedirectConfig"]
            scheme = wanted.get("Protocol", "HTTPS").lower()
            return self.answer(int(wanted["StatusCode"].removeprefix("HTTP_")), headers=[("Location", f"{scheme}://{host}:443{self.path}")])
        if action["Type"] == "fixed-response":
            return self.answer(int(action["FixedResponseConfig"]["StatusCode"]), action["FixedResponseConfig"].get("MessageBody", "").encode())
        group = action.get("TargetGroupArn") or action["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
        there = targets(group)
        if not there:
            return self.answer(503, b"<h1>503 Service Temporarily Unavailable</h1>")
        address, port_of_target = there[next(turn) % len(there)]
        return self.forward(address, port_of_target, self.headers["Host"], [
            ("X-Forwarded-For", self.client_address[0]), ("X-Forwarded-Proto", self.scheme), ("X-Forwarded-Port", str(port))])

    def do(self):
        host = self.headers.get("Host", "").partition(":")[0].lower()
        if host == "checkip.amazonaws.com":
            return self.answer(200, b"198.51.100.7\n")
        if host == "truststore.pki.rds.amazonaws.com":
            with open(f"{TLS}/ca.pem", "rb") as file:
                return self.answer(200, file.read())
        if host.endswith(".cloudfront.net"):
            found = aws("cloudfront", "list-distributions").get("DistributionList", {}).get("Items", [])
            origin = next((each["Origins"]["Items"][0] for each in found if each["DomainName"].lower() == host), None)
            if origin is None:
                return self.answer(404)
            return self.forward(*ministack.split(":"), origin["DomainName"], path=origin.get("OriginPath", "") + self.path)
        if host.endswith(".amazonaws.com") and ".elb." not in host:
            return self.forward(*ministack.split(":"), self.headers["Host"])
        return self.balance(host)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do

    def log_message(self, *arguments):
        pass


class TlsFront(Front):
    scheme = "https"


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512


class TlsServer(Server):
    def get_request(self):
        connection, address = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = by_name
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def finish_request(self, request, client_address):
        try:
            request.do_handshake()
            super().finish_request(request, client_address)
        except (ssl.SSLError, OSError):
            pass

    def shutdown_request(self, request):
        try:
            request.settimeout(2)
            request.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass
        super().shutdown_request(request)


for address in (f"10.255.0.{number}" for number in (5, 6, 7)):
    for server in (Server((address, 80), Front), TlsServer((address, 443), TlsFront)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
open(f"{folder}/front.ready", "w").close()
threading.Event().wait()
