"""Calls AWS APIs that speak JSON, with the credentials of the function's role, signed with Signature Version 4."""
import datetime
import hashlib
import hmac
import json
import os
import urllib.request

# Prefix of X-Amz-Target, and version of the JSON protocol.
PROTOCOLS = {
    "monitoring": ("GraniteServiceVersion20100801", "1.0"),
    "secretsmanager": ("secretsmanager", "1.1"),
}
SIGNED_HEADERS = ("content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target")


def call(service, region, operation, parameters):
    prefix, version = PROTOCOLS[service]
    # The variable that the SDKs know too.
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or f"https://{service}.{region}.amazonaws.com"
    body = json.dumps(parameters).encode()
    headers = {
        "content-type": f"application/x-amz-json-{version}",
        "host": endpoint.partition("://")[2].strip("/"),
        "x-amz-target": f"{prefix}.{operation}",
    }
    headers = sign(service, region, headers, body, os.environ, datetime.datetime.now(datetime.timezone.utc))
    with urllib.request.urlopen(urllib.request.Request(endpoint.rstrip("/") + "/", body, headers), timeout=5) as answer:
        return json.load(answer)


def sign(service, region, headers, body, credentials, now):
    """The headers of a POST to `/`, with date, session token and signature added."""
    time = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {**headers, "x-amz-date": time}
    if credentials.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = credentials["AWS_SESSION_TOKEN"]

    names = [name for name in SIGNED_HEADERS if name in headers]
    signed_names = ";".join(names)
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    request = f"POST\n/\n\n{lines}\n{signed_names}\n{hashlib.sha256(body).hexdigest()}"

    scope = [time[:8], region, service, "aws4_request"]
    text = f"AWS4-HMAC-SHA256\n{time}\n{'/'.join(scope)}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in [*scope, text]:
        key = hmac.digest(key, part.encode(), "sha256")

    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials['AWS_ACCESS_KEY_ID']}/{'/'.join(scope)}, "
        f"SignedHeaders={signed_names}, Signature={key.hex()}"
    )
    return headers
