#!/usr/bin/env python3
"""Measures what scaling out gives: `ab` against nginx and two instances of the program, and against three, after the
alarm of deploy/aws/templates/app.yaml has asked for one more.

Each instance may use a share of one core only, which is its whole CPU, as an instance of EC2 has its own. Without that, a
third instance on this machine adds nothing once the cores are used up; --no-share shows it, and adds one in any case. Threshold, comparison and
number of instances come from the template; only its period is shortened. Needs root (for the CPU controller), nginx and ab
(apache2-utils)."""

import argparse
import contextlib
import operator
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
from machine import HERE, RELEASE, ROOT, Failed, Server, cpu_seconds, free_port  # noqa: E402

PERIOD_US = 100_000  # of the CPU controller
COMPARISONS = {"GreaterThanOrEqualToThreshold": operator.ge, "LessThanOrEqualToThreshold": operator.le}
PAGE = "/users/1"  # a profile, which anybody may see: 3 queries, and a page with 30 posts


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=RELEASE / "sample-app", help="what deploy/build made")
    parser.add_argument("--share", type=float, default=0.15, metavar="CORES", help="CPU of an instance (%(default)s)")
    parser.add_argument("--no-share", action="store_true", help="all instances share this machine's cores")
    parser.add_argument("--period", type=int, default=20, metavar="SECONDS", help="instead of the alarm's (%(default)s)")
    parser.add_argument("--clients", type=int, default=12, help="of ab (%(default)s)")
    return parser.parse_args()


def template():
    """The two alarms and what they do, as (holds, text, adjustment)."""
    sys.path.insert(0, str(ROOT / "deploy/aws/diagram"))
    import templates
    resources = templates.load()["app"]["Resources"]
    alarms = {}
    for name, action in [("BusyAlarm", "OneMore"), ("IdleAlarm", "OneLess")]:
        alarm = resources[name]["Properties"]
        assert (alarm["MetricName"], alarm["Statistic"], alarm["AlarmActions"]) == ("CPUUtilization", "Average", [{"Ref": action}])
        compare, threshold = COMPARISONS[alarm["ComparisonOperator"]], float(alarm["Threshold"])
        alarms[name] = (lambda cpu, compare=compare, threshold=threshold: compare(cpu, threshold),
                        f"{alarm['ComparisonOperator']} {threshold:g}, once in {alarm['Period']} s",
                        resources[action]["Properties"]["ScalingAdjustment"])
    return alarms


class Share:
    """A group of the kernel's CPU controller (version 1 or 2) with a quota."""

    def __init__(self, name, cores):
        root = Path("/sys/fs/cgroup")
        old = (root / "cpu/cpu.cfs_quota_us").exists() or (root / "cpu/cpu.shares").exists()
        self.folder = root / ("cpu" if old else "") / name
        try:
            if not old:
                (root / "cgroup.subtree_control").write_text("+cpu")
            self.folder.mkdir()
            quota = int(cores * PERIOD_US)
            if old:
                (self.folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (self.folder / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (self.folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        except OSError as error:
            raise Failed(f"no CPU share can be set here: {error}. As root? --no-share does without") from None

    def wrap(self, command):
        return ["sh", "-c", f'echo $$ >{self.folder}/cgroup.procs && exec "$0" "$@"', *command]

    def end(self):
        self.folder.rmdir()


class Fleet:
    """Instances of the program behind nginx, which hands requests to one after the other, as the load balancer does."""

    def __init__(self, chosen, work, stack):
        self.chosen, self.work, self.stack, self.instances = chosen, work, stack, []
        self.port = free_port()
        self.settings = {
            "APP_ENV": "development", "LOG": "warn", "LIMITS": "off", "SECRET_KEY_BASE": "0" * 64, "APP_URL": f"http://{HERE}:{self.port}",
            "DATA_DIR": str(work / "var"), "DATABASE_URL": f"sqlite:{work}/db", "TRUSTED_PROXIES": "1",
        }
        seed = subprocess.run([chosen.program, "seed"], env=self.settings, capture_output=True, text=True)
        if seed.returncode:
            raise Failed(f"{chosen.program} seed: {seed.stdout}{seed.stderr}")

    def launch(self):
        number, port = len(self.instances) + 1, free_port()
        command, share = [str(self.chosen.program)], None
        if not self.chosen.no_share:
            share = Share(f"scale-out-{os.getpid()}-{number}", self.chosen.share)
            self.stack.callback(share.end)
            command = share.wrap(command)
        instance = Server(command, port, self.settings | {"LISTEN": f"{HERE}:{port}", "SHUTDOWN_DELAY": "0"}, self.work / f"{number}.log")
        self.stack.callback(instance.stop)
        self.instances.append(instance)

    def balance(self):
        conf = self.work / "nginx.conf"
        upstream = " ".join(f"server {HERE}:{instance.port};" for instance in self.instances)
        conf.write_text(f"""
            daemon off; worker_processes 1; user root; pid {self.work}/pid; error_log stderr;
            events {{ worker_connections 768; }}
            http {{
                access_log off; keepalive_requests 1000000000; client_body_temp_path {self.work}/b; proxy_temp_path {self.work}/p;
                fastcgi_temp_path {self.work}/f; uwsgi_temp_path {self.work}/u; scgi_temp_path {self.work}/s;
                upstream instances {{ {upstream} keepalive 32; }}
                server {{
                    listen {HERE}:{self.port};
                    location / {{
                        proxy_pass http://instances; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
                        proxy_set_header X-Forwarded-For $remote_addr;
                    }}
                }}
            }}""")
        if hasattr(self, "nginx"):
            subprocess.run(["/usr/sbin/nginx", "-c", conf, "-s", "reload", "-e", "stderr"], check=True)
            time.sleep(1)
        else:
            self.nginx = Server(["/usr/sbin/nginx", "-e", "stderr", "-c", str(conf)], self.port, {}, self.work / "nginx.log")
            self.stack.callback(self.nginx.stop)

    def period(self, load):
        """Requests a second, their 95th percentile in ms, and the average CPU of the instances in percent of what they may use."""
        may_use = (os.cpu_count() / len(self.instances) if self.chosen.no_share else self.chosen.share) * len(self.instances)
        before, began = self.cpu(), time.monotonic()
        said = load()
        percent = 100 * (self.cpu() - before) / (time.monotonic() - began) / may_use
        return *said, percent

    def cpu(self):
        return sum(cpu_seconds(instance.pid) for instance in self.instances)

    def ab(self):
        done = subprocess.run(["ab", "-q", "-k", "-l", "-t", str(self.chosen.period), "-n", "10000000", "-c", str(self.chosen.clients),
                               f"http://{HERE}:{self.port}{PAGE}"], capture_output=True, text=True)
        bad = re.search(r"Failed requests: +(\d+)", done.stdout)
        if done.returncode or not bad or bad[1] != "0" or "Non-2xx" in done.stdout:
            raise Failed(f"ab: {done.stdout}{done.stderr}")
        return float(re.search(r"Requests per second: +([\d.]+)", done.stdout)[1]), int(re.search(r" 95% +(\d+)", done.stdout)[1])

    def idle(self):
        time.sleep(self.chosen.period / 2)
        return 0.0, 0


def measure(fleet, alarms):
    busy, busy_text, one_more = alarms["BusyAlarm"]
    print(f"BusyAlarm: average CPU {busy_text}: {one_more:+} instance")
    for _ in range(2):
        fleet.launch()
    fleet.balance()
    *_, cpu = fleet.period(fleet.idle)
    print(f"2 instances, nobody there: CPU {cpu:.0f} %; BusyAlarm {'ALARM' if busy(cpu) else 'OK'}, IdleAlarm {'ALARM' if alarms['IdleAlarm'][0](cpu) else 'OK'}")
    fleet.period(fleet.ab)  # caches and connections
    rps, p95, cpu = fleet.period(fleet.ab)
    print(f"2 instances, {fleet.chosen.clients} clients: {rps:,.1f} requests/s, 95 % within {p95} ms, CPU {cpu:.0f} %; BusyAlarm {'ALARM' if busy(cpu) else 'OK'}", flush=True)
    if not busy(cpu) and not fleet.chosen.no_share:
        raise Failed("the instances are not busy: more --clients")
    for _ in range(one_more):
        fleet.launch()
    fleet.balance()
    fleet.period(fleet.ab)
    after, p95_after, cpu = fleet.period(fleet.ab)
    print(f"{len(fleet.instances)} instances, {fleet.chosen.clients} clients: {after:,.1f} requests/s, 95 % within {p95_after} ms, CPU {cpu:.0f} %")
    print(f"requests a second: x {after / rps:.2f}, with x {len(fleet.instances) / 2:.2f} instances")


def main():
    chosen = options()
    # The stack is outside: what runs ends before its folder goes.
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        limit = "sharing the cores" if chosen.no_share else f"{chosen.share:g} of a core each"
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {chosen.program}; {limit}")
        measure(Fleet(chosen, Path(work), stack), template())


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"scale_out.py: {failed}")
