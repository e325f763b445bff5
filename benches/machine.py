"""The processes of the benchmark (private servers, the application, the bare server, nginx) and their CPU and
memory."""

import contextlib
import gzip
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Measures the binary that is deployed.
RELEASE = Path(subprocess.check_output([ROOT / "deploy/build", "--path"], text=True).strip()).parent
KEPT = ROOT / "target/bench"
HERE = "127.0.0.1"
TICKS = os.sysconf("SC_CLK_TCK")

# The database flushes to disk at each commit, like RDS, and can hold the large data in memory.
DURABLE = ["--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=O_DIRECT", "--innodb-buffer-pool-size=3G"]
LOG = {"mariadb": "--innodb-log-file-size=1G", "mysql": "--innodb-redo-log-capacity=1G"}


class Failed(Exception):
    """The benchmark cannot continue; the message gives the reason."""


def cpu_seconds(pid):
    """CPU seconds (user and system, all threads) of a process and its living children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu_seconds(child) for child in children)


def resident_mb(pid):
    """Resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def free_port():
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return probe.getsockname()[1]


class Server:
    """A program that serves HTTP at 127.0.0.1:port."""

    def __init__(self, command, port, environment, log):
        self.port, self.log, began = port, log, time.monotonic()
        environment = {"PATH": os.environ["PATH"]} | environment
        with open(log, "ab") as errors:
            # Log lines are written to /dev/null: this measures the program, not the disk.
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        self.pid = self.process.pid
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() - began > 30:
                self.stop()
                raise Failed(f"{command[0]} does not answer:\n{Path(log).read_text()[-2000:]}")
            time.sleep(0.001)
        self.seconds_to_first_answer = time.monotonic() - began

    def answers(self):
        connection = http.client.HTTPConnection(HERE, self.port, timeout=10)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Machine:
    """The private servers and all other processes; leaving the `with` block stops all of them."""

    def __init__(self, work, database):
        self.work, self.database, self.servers = Path(work), database, []
        self.services = self.work / "services"
        self.work.chmod(0o711)  # the servers enter it as another user

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()
        self.stop_services()

    # The database and Redis

    def start_services(self, data=None):
        shutil.rmtree(self.services, ignore_errors=True)
        given = ["--data", data] if data else []
        command = [ROOT / "scripts/services", "start", self.services, self.database, "redis", *given]
        subprocess.run([*command, "--", *DURABLE, LOG[self.database]], check=True)
        lines = (line.split("=", 1) for line in (self.services / "env").read_text().split())
        self.urls = {name.removeprefix("TEST_").removesuffix("_URL").lower(): value for name, value in lines}
        # The last process of a name counts: earlier ones found their port in use.
        self.pids = dict(line.split() for line in (self.services / "pids").read_text().splitlines())

    def stop_services(self):
        subprocess.run([ROOT / "scripts/services", "stop", self.services], check=True)

    def settings(self, scale):
        """Where the database and Redis of this scale are, for both servers. Plain text, but MySQL 9 signs nobody in so."""
        number = 1 if scale == "large" else 0
        ssl_mode = "required" if self.database == "mysql" else "disabled"
        return {
            "DATABASE_URL": f"{self.urls[self.database]}/{scale}",
            "DATABASE_SSL_MODE": ssl_mode,
            "REDIS_URL": f"{self.urls['redis']}/{number}",
        }

    def sql(self, scale, statements):
        """Runs SQL statements and returns the numbers that they return."""
        url = self.urls[self.database] + (f"/{scale}" if scale else "")
        ran = subprocess.run([RELEASE / "bare", "sql"], input=statements, env={"DATABASE_URL": url}, text=True,
                             capture_output=True)
        if ran.returncode:
            raise Failed(f"{ran.stderr}in: {statements[:300]}")
        return [int(line) for line in ran.stdout.split()]

    def sample_app(self, scale, *arguments):
        ran = subprocess.run([RELEASE / "sample-app", *arguments], capture_output=True, text=True,
                             env=self.app_settings(scale, free_port(), "production"))
        if ran.returncode:
            raise Failed(f"sample-app {' '.join(arguments)}: {ran.stdout}{ran.stderr}")

    def app_settings(self, scale, port, env):
        limits = {"LIMITS": "off"} if env == "development" else {}
        return self.settings(scale) | limits | {
            "APP_ENV": env, "APP_URL": f"http://{HERE}:{port}", "LISTEN": f"{HERE}:{port}",
            "SECRET_KEY_BASE": secrets.token_hex(64), "DATA_DIR": str(self.work / "var"),
            "IMAGES_URL": f"file:{self.work}/images", "SMTP_URL": f"file:{self.work}/mail",
        }

    # The HTTP servers

    @contextlib.contextmanager
    def running(self, command, port, environment, name):
        server = Server(command, port, environment, self.work / f"{name}.log")
        self.servers.append(server)
        try:
            yield server
        finally:
            server.stop()

    def app(self, scale, env, settings={}):
        port = free_port()
        return self.running([RELEASE / "sample-app"], port, self.app_settings(scale, port, env) | settings, "app")

    def bare(self, scale):
        port = free_port()
        return self.running([RELEASE / "bare", "serve", f"{HERE}:{port}"], port, self.settings(scale), "bare")

    def nginx(self):
        """nginx, which serves static/ from precompressed files."""
        port, folder = free_port(), self.work / "nginx"
        shutil.copytree(ROOT / "static", folder / "static", dirs_exist_ok=True)
        for file in filter(Path.is_file, (folder / "static").rglob("*")):
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        for path in [self.work, folder, *folder.rglob("*")]:
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))  # its workers run as another user
        conf = folder / "nginx.conf"
        conf.write_text(f"""
            daemon off; worker_processes auto; pid {folder}/pid; error_log stderr;
            events {{ worker_connections 768; }}
            http {{
                sendfile on; tcp_nopush on; keepalive_requests 1000000000; gzip_static on;
                types {{ text/css css; text/javascript js; image/svg+xml svg; }}
                access_log /dev/null; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                server {{ listen {HERE}:{port}; root {folder}; expires max; }}
            }}""")
        return self.running(["/usr/sbin/nginx", "-e", "stderr", "-c", conf], port, {}, "nginx")
