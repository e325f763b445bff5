"""MiniStack and the server of the aws command, for the tests of up, status, release and down."""
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import boto3

LIBC = ctypes.CDLL(None)
HERE = pathlib.Path(__file__).parent
AWS = HERE.parent
REGION, ACCOUNT = "ap-northeast-1", "123456789012"
# Generous: the machine may be busy.
PATIENCE = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


class StackTest(unittest.TestCase):
    """Each class has an empty account of its own."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        port = free_port()
        cls.endpoint = f"http://127.0.0.1:{port}"
        account = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret"}
        base = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        cls.environment = {
            **base, **account, "PATH": f"{HERE / 'fake'}:{base['PATH']}", "AWS_ENDPOINT_URL": cls.endpoint, "AWS_SERVER": f"{cls.folder}/aws.sock",
            "SAMPLE_APP_POLL": "0.1", "SAMPLE_APP_LOOKS": "1", "HOME": str(cls.folder), "TMPDIR": str(cls.folder),
        }
        cls.start([sys.executable, HERE / "ministack_server.py"], {
            **base, "MINISTACK_REGION": REGION, "MINISTACK_ACCOUNT_ID": ACCOUNT, "PLACEHOLDERS": f"{cls.folder}/placeholders", "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port), "STATE_DIR": f"{cls.folder}/state", "S3_DATA_DIR": f"{cls.folder}/s3", "IOT_MTLS_ENABLED": "0"})
        cls.start([sys.executable, HERE / "aws_server.py", cls.folder], {**base, **account, "AWS_ENDPOINT_URL": cls.endpoint, "AWS_REGION": REGION})
        wait_for("the aws command", (cls.folder / "aws.sock").exists)
        wait_for("MiniStack", cls.answers)
        cls.clients = {}
        cls.program = cls.folder / "program"
        cls.program.write_text("#!/bin/sh\n# first\n")

    @classmethod
    def start(cls, command, environment):
        log = open(cls.folder / "servers.log", "ab")
        cls.addClassCleanup(log.close)
        # Ends with the tests, however they end (PR_SET_PDEATHSIG).
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL))
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.kill)

    @classmethod
    def answers(cls):
        try:
            urllib.request.urlopen(cls.endpoint + "/_ministack/health", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    @classmethod
    def client(cls, service):
        if service not in cls.clients:
            cls.clients[service] = boto3.client(service, endpoint_url=cls.endpoint, region_name=REGION, aws_access_key_id=ACCOUNT, aws_secret_access_key="secret")
        return cls.clients[service]

    def script(self, name, *arguments, code=0, **environment):
        """What a script says; it has to end with `code`."""
        (self.folder / "calls").write_text("")
        done = subprocess.run([AWS / name, *arguments], env={**self.environment, **environment}, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=5 * PATIENCE)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def up(self, *arguments, **options):
        return self.script("up", "--yes", "--region", REGION, *arguments, **options)

    def down(self, *arguments, **options):
        return self.script("down", "--yes", "--region", REGION, *arguments, **options)

    def calls(self, *words):
        """Calls of the aws command by the last script, as lines, in which all words occur."""
        lines = [" ".join(json.loads(line)) for line in (self.folder / "calls").read_text().splitlines()]
        return [line for line in lines if all(word in line for word in words)]

    def plan_faults(self, *faults):
        (self.folder / "faults").write_text("".join(json.dumps({"times": 1, **fault}) + "\n" for fault in faults))
        self.addCleanup((self.folder / "faults").unlink, missing_ok=True)

    def placeholders(self, kind):
        """Properties of the placeholders of a type that are there now."""
        there = {}
        for line in (self.folder / "placeholders").read_text().splitlines():
            change = json.loads(line)
            if change["type"] == kind:
                there[change["id"]] = change["properties"]
                if change["change"] == "deleted":
                    del there[change["id"]]
        return list(there.values())

    def stacks(self, name="sample-app"):
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"].removeprefix(name + "-"): stack for stack in found if stack["StackName"].startswith(name + "-")}

    def outputs(self, layer):
        return {output["OutputKey"]: output["OutputValue"] for output in self.stacks()[layer]["Outputs"]}

    def interrupt(self, name, *arguments, when, **environment):
        """Presses Ctrl-C as soon as `when` holds. Returns the exit code and what was said."""
        (self.folder / "calls").write_text("")
        with open(self.folder / "said", "w+") as said:
            process = subprocess.Popen([AWS / name, *arguments], env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
                                       stdout=said, stderr=said, start_new_session=True,
                                       # Shells have background jobs ignore it, and so would this.
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            wait_for("the moment to interrupt", lambda: when() or process.poll() is not None)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(PATIENCE)
            said.seek(0)
            return process.returncode, said.read()
