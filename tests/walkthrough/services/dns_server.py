"""Names of AWS's services lead to the stand-ins; names of hosted zones are as Route 53 has them. Nothing else has an address.

    python dns_server.py ADDRESS FOLDER       FOLDER/names: lines SUFFIX ADDRESS
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

address, folder = sys.argv[1:]
lock = threading.Lock()
kept = {"changes": 0, "until": 0, "records": {}}
CHANGES = ("change-resource-record-sets", "create-hosted-zone", "delete-hosted-zone", "-stack", "cloudformation\", \"deploy")


def changes():
    """How many calls have been made that may have changed records."""
    try:
        with open(f"{folder}/calls") as file:
            return sum(any(word in line for word in CHANGES) for line in file)
    except OSError:
        return 0


def aws(*words):
    return json.loads(subprocess.run(["aws", "--output", "json", *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True).stdout)


def route53(again=False):
    """{name: (type, value)} of all zones. Asking takes longer than resolvers wait on a busy machine, so it is done only after changes."""
    with lock:
        now = changes()
        if now != kept["changes"]:
            kept["until"] = time.monotonic() + 3  # a call is noted before it is made
        if now != kept["changes"] or again and time.monotonic() < kept["until"]:
            records = {}
            try:
                for zone in aws("route53", "list-hosted-zones")["HostedZones"]:
                    for record in aws("route53", "list-resource-record-sets", "--hosted-zone-id", zone["Id"].rpartition("/")[2])["ResourceRecordSets"]:
                        name = record["Name"].rstrip(".").lower()
                        if record["Type"] in ("A", "CNAME") and record.get("ResourceRecords"):
                            records[name] = (record["Type"], record["ResourceRecords"][0]["Value"])
                        elif record.get("AliasTarget") and record["Type"] == "A":
                            records[name] = ("CNAME", record["AliasTarget"]["DNSName"])
                kept.update(changes=now, records=records)
            except (OSError, ValueError, subprocess.CalledProcessError):
                pass
        return kept["records"]


def watch():
    """Looks up changes as soon as they are made, before somebody asks."""
    while True:
        route53(again=True)
        time.sleep(0.3)


def find(name, depth=0):
    name = name.rstrip(".").lower()
    with open(f"{folder}/names") as file:
        known = [line.split() for line in file if line.strip()]
    for suffix, target in sorted(known, key=lambda each: -len(each[0])):
        if name == suffix or name.endswith("." + suffix):
            return target
    kind, value = route53().get(name, (None, None))
    if kind == "A":
        return value
    if kind == "CNAME" and depth < 5:
        return find(value, depth + 1)
    return None


def answer(message):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    kind = struct.unpack("!H", message[at + 1:at + 3])[0]
    question = message[12:at + 5]
    found = find(".".join(labels))
    if found is None:
        return message[:2] + b"\x81\x83" + struct.pack("!4H", 1, 0, 0, 0) + question
    if kind != 1:
        return message[:2] + b"\x81\x80" + struct.pack("!4H", 1, 0, 0, 0) + question
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(found)
    return message[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1, 0, 0) + question + record


def reply(server, message, client):
    server.sendto(answer(message), client)


threading.Thread(target=watch, daemon=True).start()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind((address, 53))
    while True:
        message, client = server.recvfrom(4096)
        threading.Thread(target=reply, args=(server, message, client), daemon=True).start()
