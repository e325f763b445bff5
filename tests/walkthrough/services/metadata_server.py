"""The metadata of instances, IMDSv2, at 169.254.169.254. The instance is told by its address."""
import http.server
import json
import socketserver
import subprocess
import sys

CREDENTIALS = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "123456789012", "SecretAccessKey": "secret", "Token": "token",
               "LastUpdated": "2026-11-01T00:00:00Z", "Expiration": "2036-11-01T00:00:00Z"}


def instance_of(address):
    done = subprocess.run(["aws", "ec2", "describe-instances", "--region", sys.argv[1], "--output", "json"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    for reservation in json.loads(done.stdout)["Reservations"]:
        for instance in reservation["Instances"]:
            if instance.get("PrivateIpAddress") == address and instance["State"]["Name"] == "running":
                return instance
    return {}


class Metadata(http.server.BaseHTTPRequestHandler):
    def answer(self, text, code=200, headers=()):
        body = text.encode()
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self.answer("token", headers=[("X-aws-ec2-metadata-token-ttl-seconds", self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "21600"))])

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") is None:
            return self.answer("", 401)
        path = self.path.removeprefix("/latest/").rstrip("/")
        if path == "meta-data/iam/security-credentials":
            return self.answer("role")
        if path.startswith("meta-data/iam/security-credentials/"):
            return self.answer(json.dumps(CREDENTIALS))
        if path.startswith("meta-data/iam/"):  # SDKs ask for what is newer first, and do not wait long
            return self.answer("", 404)
        if path == "meta-data/placement/region":
            return self.answer(sys.argv[1])
        instance = instance_of(self.client_address[0])
        values = {"meta-data/instance-id": instance.get("InstanceId"), "meta-data/instance-type": instance.get("InstanceType"),
                  "meta-data/local-ipv4": instance.get("PrivateIpAddress"), "meta-data/public-ipv4": instance.get("PublicIpAddress"),
                  "meta-data/placement/availability-zone": instance.get("Placement", {}).get("AvailabilityZone")}
        value = values.get(path)
        self.answer(value or "", 200 if value else 404)

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


Server(("169.254.169.254", 80), Metadata).serve_forever()
