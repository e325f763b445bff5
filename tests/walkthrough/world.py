"""What the walkthrough's commands run in: a machine for the reader, instances, and stand-ins for AWS's services.

Everything lives in namespaces of its own (network, mounts, processes), so any address and port may be used and nothing outlives the run.
"""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from chapters import ROOT

HERE = pathlib.Path(__file__).resolve().parent
STACK_TESTS = ROOT / "deploy/aws/tests"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sample-app"
PYTHON = CACHE / "aws/bin/python"
LIBC = ctypes.CDLL(None)
REGION, ACCOUNT = "ap-northeast-2", "123456789012"
AWS_PORT = 4566
# The bridge between the reader's machine, instances and services.
BRIDGE, SERVICES_NET = "10.255.0.1", "10.255.0."
# Seconds that one block may take.
PATIENCE = 120


class Broken(Exception):
    """A block did not do what the text says."""


def end_with_parent():
    LIBC.prctl(1, signal.SIGKILL)


def wait_for(what, holds, patience=PATIENCE):
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, **options)


class Shell:
    """A bash in which the blocks are typed: one process, so variables stay."""

    def __init__(self, folder, command, environment, cwd, strict=True):
        self.folder = folder
        folder.mkdir(parents=True)
        self.log = open(folder / "log", "wb")
        self.number = 0
        self.process = subprocess.Popen([*command, "bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=self.log, stderr=self.log,
                                        env=environment, cwd=cwd, preexec_fn=end_with_parent, start_new_session=True)
        self.environment, self.cwd, self.server = environment, cwd, None
        self.inside = folder  # the folder as the shell sees it
        self.strict = strict

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def serve(self, text, ready):
        """Types what does not end, and waits until its output is as expected so far. Ctrl-C comes before the next block."""
        self.number += 1
        output = self.folder / f"{self.number:03}.out"
        (self.folder / f"{self.number:03}").write_text(text)
        server = subprocess.Popen(["bash", "--norc", self.folder / f"{self.number:03}"], stdin=subprocess.DEVNULL, stdout=open(output, "wb"), stderr=subprocess.STDOUT,
                                  env=self.environment, cwd=self.cwd, preexec_fn=end_with_parent)
        wait_for("the server", lambda: ready(output.read_text()) or server.poll() is not None)
        self.server = server
        return server.poll() is None, output.read_text(), "it ended"

    def run(self, text, fails=False):
        """(ended well, output, the command that failed)"""
        self.number += 1
        name = f"{self.number:03}"
        (self.folder / name).write_text(text)
        # What somebody types who is asked, for a password, say.
        (self.folder / "typed").write_text("Correct-Horse-Battery-1!\n" * 3)
        inside = self.inside / name
        if fails or not self.strict:
            line = f"if ( set +e; . {inside} ) <{self.inside}/typed >{inside}.out 2>&1; then echo 0 >{inside}.rc.; else echo 1 >{inside}.rc.; fi"
            if not fails:
                line = f"set +e; . {inside} <{self.inside}/typed >{inside}.out 2>&1; echo $? >{inside}.rc."
        else:
            line = (f"set -eEuo pipefail; trap 'echo \"$BASH_COMMAND\" >{inside}.failed' ERR; . {inside} <{self.inside}/typed >{inside}.out 2>&1; "
                    f"set +eEu; trap - ERR; echo 0 >{inside}.rc.")
        self.say(f"{line}; mv {inside}.rc. {inside}.rc")
        rc = self.folder / f"{name}.rc"
        timed_out = False
        try:
            wait_for("the end of the block", lambda: rc.exists() or self.process.poll() is not None)
        except TimeoutError:
            timed_out = True
            os.killpg(self.process.pid, signal.SIGKILL)
        output = (self.folder / f"{name}.out").read_text(errors="replace") if (self.folder / f"{name}.out").exists() else ""
        failed = (self.folder / f"{name}.failed").read_text().strip() if (self.folder / f"{name}.failed").exists() else ""
        if timed_out:
            failed = f"it did not end within {PATIENCE} s: {failed}"
        well = rc.exists() and (rc.read_text().strip() == "0") != fails
        if fails:
            failed = "" if well else "it should have failed"
        if not well and not failed:
            failed = (self.folder / "log").read_text(errors="replace")[-500:]
        return well, output, failed


class World:
    def __init__(self, folder, program, databases=("database",)):
        self.folder, self.program = pathlib.Path(folder), pathlib.Path(folder) / "program/sample-app"
        self.folder.chmod(0o711)
        self.program.parent.mkdir()
        # Without what is for debuggers, as a release has it: it is copied often.
        run("strip", "-o", self.program, program)
        self.looked_at = 0
        self.shells, self.instances, self.servers = {}, {}, []
        self.endpoint = f"http://{BRIDGE}:{AWS_PORT}"
        self.network()
        self.home = self.folder / "home"
        self.home.mkdir()
        self.clone = self.home / "sample-app"
        self.copy_repository()
        base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WALK_", "CARGO", "RUST", "BUILD_")) and name not in ("BASH_ENV", "ENV")}
        self.account = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret"}
        self.environment = {
            **base, **self.account, "HOME": str(self.home), "AWS_ENDPOINT_URL": self.endpoint, "AWS_SERVER": f"{self.folder}/aws.sock",
            "PATH": f"{HERE / 'local'}:{STACK_TESTS / 'fake'}:{base['PATH']}:/usr/sbin:/sbin", "WALK_PROGRAM": str(self.program), "WALK_FOLDER": str(self.folder), "USER": "you",
            "NO_PROXY": "*", "no_proxy": "*",
        }
        self.start([PYTHON, STACK_TESTS / "ministack_server.py"], {
            **base, "MINISTACK_REGION": REGION, "MINISTACK_ACCOUNT_ID": ACCOUNT, "PLACEHOLDERS": f"{self.folder}/placeholders", "BIND_HOST": "0.0.0.0",
            "GATEWAY_PORT": str(AWS_PORT), "STATE_DIR": f"{self.folder}/state", "S3_DATA_DIR": f"{self.folder}/s3", "IOT_MTLS_ENABLED": "0"})
        self.start([PYTHON, "-W", "ignore", HERE / "aws_server.py", self.folder], {**base, **self.account})
        self.names()
        self.services(databases)

    # Addresses of stand-ins, by the names that AWS gives them.
    HOSTS = {"database": "rds.amazonaws.com", "reader": f"sample-reader.c0ffee123456.{REGION}.rds.amazonaws.com"}
    SERVICES = {HOSTS["reader"]: 9, HOSTS["database"]: 3, "truststore.pki.rds.amazonaws.com": 5, "cache.amazonaws.com": 4, "amazonaws.com": 5, f"email-smtp.{REGION}.amazonaws.com": 8, "cloudfront.net": 6, "elb.amazonaws.com": 7}

    def names(self):
        (self.folder / "names").write_text("".join(f"{suffix} {SERVICES_NET}{number}\n" for suffix, number in self.SERVICES.items()))
        (self.folder / "resolv.conf").write_text(f"nameserver {BRIDGE}\noptions timeout:5 attempts:2\n")
        run("mount", "--bind", self.folder / "resolv.conf", os.path.realpath("/etc/resolv.conf"))
        self.start(["/usr/bin/python3", "-IS", HERE / "services/dns_server.py", BRIDGE, self.folder], self.environment)
        self.start(["/usr/bin/python3", "-IS", HERE / "services/metadata_server.py", REGION], self.environment)

    def services(self, databases):
        tls = self.folder / "tls"
        tls.mkdir()
        names = {"mail": [f"email-smtp.{REGION}.amazonaws.com"],
                 "database": [f"*.{kind}c0ffee123456.{REGION}.rds.amazonaws.com" for kind in ("", "proxy-", "cluster-")],
                 "cache": ["*.cache.amazonaws.com", "*.apn2.cache.amazonaws.com", "*.c0ffee.apn2.cache.amazonaws.com", "*.sample.c0ffee.apn2.cache.amazonaws.com"]}
        for name, hosts in names.items():
            run("bash", HERE / "services/certificate", tls, name, ",".join(f"DNS:{host}" for host in hosts))
        # The machines trust it as they trust Amazon's.
        store = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
        (tls / "store.pem").write_bytes(store.read_bytes() + (tls / "ca.pem").read_bytes())
        run("mount", "--bind", tls / "store.pem", os.path.realpath(store))
        base = {**self.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        self.start([PYTHON, "-W", "ignore", HERE / "services/front.py", self.folder, f"{BRIDGE}:{AWS_PORT}", REGION], base)
        self.start([CACHE / "python/bin/python", "-W", "ignore", HERE / "services/mail_server.py", self.folder, f"{SERVICES_NET}8"], base)
        self.start(["/usr/bin/python3", "-IS", HERE / "services/line_server.py", "10.0.0.9", "5044", self.folder / "logstash"], base)
        self.start(["redis-server", "--port", "0", "--tls-port", "6379", "--bind", f"{SERVICES_NET}4", "--protected-mode", "no", "--save", "", "--appendonly", "no",
                    "--dir", self.folder, "--tls-cert-file", tls / "cache.pem", "--tls-key-file", tls / "cache.pem", "--tls-ca-cert-file", tls / "ca.pem",
                    "--tls-auth-clients", "no"], base)
        self.databases = {name: self.start_database(name) for name in databases}

    def start_database(self, name):
        """"database", or "reader", its replica."""
        tls = self.folder / "tls"
        return subprocess.Popen(
            [ROOT / "scripts/services", "start", self.folder / name, "mysql", "--", f"--bind-address={SERVICES_NET}{self.SERVICES[self.HOSTS[name]]}",
             f"--ssl-ca={tls}/ca.pem", f"--ssl-cert={tls}/database.pem", f"--ssl-key={tls}/database.pem", f"--server-id={1 + list(self.HOSTS).index(name)}",
             "--log-bin=binlog", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"],
            env={**os.environ, "SERVICES_PORT": "3306"}, stdin=subprocess.DEVNULL, stdout=open(self.folder / "servers.log", "ab"), stderr=subprocess.STDOUT)

    def databases_ready(self):
        for name, started in self.databases.items():
            if started.wait():
                raise RuntimeError(f"MySQL did not start:\n{(self.folder / 'servers.log').read_text()[-2000:]}")
            root = (self.folder / name / "env").read_text().partition("TEST_MYSQL_URL=mysql://root:")[2].partition("@")[0]
            if name == "database":
                password = root
                (self.folder / "mysql.password").write_text(password)
                statements = f"CREATE USER root@'%' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"
            else:
                statements = (f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{SERVICES_NET}{self.SERVICES[self.HOSTS['database']]}', SOURCE_USER = 'root', "
                              f"SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1; START REPLICA; SET GLOBAL super_read_only = 1")
            subprocess.run(["mariadb", f"--socket={self.folder}/{name}/mysql/server.sock", "--user=root"], check=True, env={**os.environ, "MYSQL_PWD": root},
                           input=statements.encode())
        self.databases = {}

    def ready(self):
        self.databases_ready()
        wait_for("the web servers", (self.folder / "front.ready").exists)
        wait_for("the aws command", (self.folder / "aws.sock").exists)
        wait_for("MiniStack", self.answers)

    def answers(self):
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.endpoint + "/_ministack/health", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def network(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "link", "set", "bridge", "up")
        run("ip", "address", "add", f"{BRIDGE}/8", "dev", "bridge")
        for number in range(3, 10):
            run("ip", "address", "add", f"{SERVICES_NET}{number}/8", "dev", "bridge")
        for address in ("169.254.169.254", "10.0.0.9", "198.51.100.7"):
            run("ip", "address", "add", f"{address}/32", "dev", "bridge")

    def copy_repository(self):
        self.clone.mkdir()
        files = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE).stdout.split(b"\0")
        for name in filter(None, files):
            source = ROOT / os.fsdecode(name)
            if source.is_file():
                target = self.clone / os.fsdecode(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def start(self, command, environment, **options):
        log = open(self.folder / "servers.log", "ab")
        server = subprocess.Popen([str(word) for word in command], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  preexec_fn=end_with_parent, **options)
        self.servers.append(server)
        return server

    def shell(self, where):
        if where not in self.shells:
            if where in ("local", "server"):
                self.shells[where] = Shell(self.folder / "shells" / where, [], self.environment, self.clone)
            else:
                self.shells[where] = self.instance(where)
        return self.shells[where]

    def calls(self):
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def boto(self, service, operation, **params):
        """A call beside the reader's, as JSON."""
        words = [f"--{name}={value}" for name, value in params.items()]
        done = subprocess.run([STACK_TESTS / "fake/aws", service, operation, "--region", REGION, "--output", "json", *words], env=self.environment,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
        return json.loads(done.stdout or b"{}")

    # An instance: a writable copy of this machine, with its own address.

    def private_address(self, name):
        """The address of the instance whose Name tag ends with this name, by AWS."""
        found = self.boto("ec2", "describe-instances")
        for reservation in found["Reservations"]:
            for instance in reservation["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
                if tags.get("Name", "").endswith(name) and instance["State"]["Name"] == "running":
                    return instance["PrivateIpAddress"]
        raise Broken(f"there is no instance whose Name ends with {name}")

    def instance(self, name):
        folder = self.folder / "instances" / name
        folder.mkdir(parents=True)
        address = self.private_address(name)
        number = len(self.instances) + 1
        self.instances[name] = address
        self.looked_at = 0
        root = folder / "root"
        space = f"walk{number}"
        script = f"""
set -euo pipefail
mount -t tmpfs none {folder}
mkdir {folder}/upper {folder}/work {root}
mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {root}
cd {root}
for each in proc dev; do mount --rbind /$each $each; done
mount -t tmpfs none run
mount -t tmpfs none tmp
chmod 1777 tmp
mkdir -p run/walk {self.folder.relative_to('/')} {ROOT.relative_to('/')} {self.program.parent.relative_to('/')}
mount --bind {self.folder} ./{self.folder}
mount --bind -o ro {ROOT} ./{ROOT}
mount --bind -o ro {self.program.parent} ./{self.program.parent}
bash {HERE}/instance/prepare {HERE} {name}
ip netns add {space}
ip link add {space} type veth peer name eth0 netns {space}
ip link set {space} master bridge up
ip netns exec {space} ip link set lo up
ip netns exec {space} ip address add {address}/8 dev eth0
ip netns exec {space} ip link set eth0 up
ip netns exec {space} ip route add default via {BRIDGE}
rm -f {root}/etc/resolv.conf
cp {self.folder}/resolv.conf {root}/etc/resolv.conf
cp --remove-destination {self.folder}/tls/store.pem {root}/etc/ssl/certs/ca-certificates.crt
"""
        done = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"the instance {name} could not be made:\n{done.stdout}")
        environment = {
            "PATH": f"/usr/local/walk:{STACK_TESTS / 'fake'}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/home/ssm-user", "USER": "ssm-user", "LANG": "C.UTF-8",
            "AWS_SERVER": f"{self.folder}/aws.sock", "AWS_ENDPOINT_URL": self.endpoint, "WALK_ROOT": str(root), "AWS_DEFAULT_REGION": REGION,
            "WALK_PROGRAM": str(self.program), "WALK_FOLDER": str(self.folder), **self.account}
        self.public_addresses()
        # Commands run as root and sudo is a stand-in: there is one user inside.
        return Shell(self.folder / "shells" / name, ["ip", "netns", "exec", space, "chroot", root, "env", "--chdir=/home/ssm-user"], environment, "/")

    def public_addresses(self):
        """Gives instances that run here the public addresses that AWS has given them meanwhile."""
        calls = self.calls()
        words = {"associate-address", "run-instances", "start-instances", "disassociate-address", "release-address"}
        if not self.instances or not any(words & set(call) for call in calls[self.looked_at:]):
            return
        self.looked_at = len(calls)
        public = {}
        for reservation in self.boto("ec2", "describe-instances")["Reservations"]:
            for instance in reservation["Instances"]:
                public.setdefault(instance.get("PrivateIpAddress"), set()).add(instance.get("PublicIpAddress"))
        for address in self.boto("ec2", "describe-addresses")["Addresses"]:
            for private, found in public.items():
                if address.get("PrivateIpAddress") == private or address.get("InstanceId") and address["InstanceId"] == self.instance_ids().get(private):
                    found.add(address["PublicIp"])
        for number, private in enumerate(self.instances.values(), 1):
            for address in filter(None, public.get(private, ())):
                subprocess.run(["ip", "netns", "exec", f"walk{number}", "ip", "address", "add", f"{address}/32", "dev", "lo"], stderr=subprocess.DEVNULL)
                run("ip", "route", "replace", f"{address}/32", "via", private, "dev", "bridge")

    def instance_ids(self):
        return {instance.get("PrivateIpAddress"): instance["InstanceId"] for reservation in self.boto("ec2", "describe-instances")["Reservations"]
                for instance in reservation["Instances"]}

    def new_local_shell(self):
        """After a failure, which ended the old one."""
        shell = Shell(self.folder / f"shells/local-{time.monotonic_ns()}", [], self.environment, self.clone)
        shell.strict = False
        shell.run(". ~/stack.env")
        shell.strict = True
        self.shells["local"] = shell

    def run_block(self, block):
        from chapters import matches
        self.public_addresses()
        shell = self.shell(block.where)
        if shell.server:
            shell.server.send_signal(signal.SIGINT)
            shell.server.wait(PATIENCE)
            shell.server = None
        if block.where == "server":
            well, output, failed = shell.serve(block.text, lambda text: matches(block.expected, text))
        else:
            well, output, failed = shell.run(block.text, block.fails)
        if not well:
            raise Broken(f"{block}: {failed}\n--- block\n{block.text}--- output\n{output}")
        if block.where != "server" and block.expected is not None and not matches(block.expected, output):
            raise Broken(f"{block}: the output is not as the text says\n--- block\n{block.text}--- expected\n{block.expected}--- output\n{output}")
        return output


def enter(script):
    """Runs the script again in namespaces of its own, unless it is in them. Returns the folder for the world."""
    if "WALK_INSIDE" in os.environ:
        place = os.environ["WALK_INSIDE"]
        run("mount", "-t", "tmpfs", "walk", place)
        run("mount", "-t", "tmpfs", "run", "/run")
        if not ROOT.is_relative_to("/tmp"):
            run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmp", "/tmp")
        os.environ["TMPDIR"] = place
        return place
    if os.geteuid():
        sys.exit("needs root, for namespaces")
    if not PYTHON.exists():
        sys.exit("its tools are not here; run scripts/setup")
    # The parent, outside, keeps an empty folder. All files of the run lie in memory mounted on it inside, and go with the namespace: nothing is
    # ever deleted by name, since instances have mounts of the real machine below.
    place = tempfile.mkdtemp(prefix="walk", dir="/var/tmp")
    try:
        inner = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", str(PYTHON), "-B", str(script), *sys.argv[1:]],
                                 env={**os.environ, "WALK_INSIDE": place}, preexec_fn=end_with_parent)
        while True:
            try:
                code = inner.wait()
                break
            except KeyboardInterrupt:
                pass
    finally:
        os.rmdir(place)
    sys.exit(code)


def find_program():
    """The built program: the release build of scripts/test, else what cargo run made, here or in the main worktree."""
    if os.environ.get("TEST_PROGRAM"):
        return os.environ["TEST_PROGRAM"]
    common = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "rev-parse", "--path-format=absolute", "--git-common-dir"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    for path in (*ROOT.glob("target/*-linux-*/quick/sample-app"), ROOT / "target/debug/sample-app", pathlib.Path(common).parent / "target/debug/sample-app"):
        if path.exists():
            return path
    sys.exit("there is no sample-app yet: cargo build")
