"""Targets are healthy when they answer, as with AWS; MiniStack calls every registered one healthy."""
import re
import urllib.error
import urllib.parse
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def private_address(instance, call):
    query = urllib.parse.urlencode({"Action": "DescribeInstances", "Version": "2016-11-15", "InstanceId.1": instance}).encode()
    scope = f"AWS4-HMAC-SHA256 Credential=123456789012/20260101/{call.region}/ec2/aws4_request, SignedHeaders=host, Signature=x"
    with OPENER.open(urllib.request.Request(call.environment["AWS_ENDPOINT_URL"], query, {"Authorization": scope}), timeout=20) as answer:
        found = re.search(r"<privateIpAddress>([0-9.]+)<", answer.read().decode())
    return found and found[1]


def is_ready(instance, call):
    try:
        address = private_address(instance, call)
        with OPENER.open(f"http://{address}:3000/readyz", timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False


def look(params, response, call):
    there = response.get("TargetHealthDescriptions", [])
    for each in there:
        if each["TargetHealth"]["State"] == "healthy" and not is_ready(each["Target"]["Id"], call):
            each["TargetHealth"] = {"State": "unhealthy", "Reason": "Target.ResponseCodeMismatch", "Description": "Health checks failed with these codes: [503]"}
    known = {each["Target"]["Id"] for each in there}
    for target in params.get("Targets", []):
        if target["Id"] not in known:
            there.append({"Target": target, "TargetHealth": {"State": "unused", "Reason": "Target.NotRegistered"}})
    response["TargetHealthDescriptions"] = there


AFTER = {"elastic-load-balancing-v2.DescribeTargetHealth": look}
