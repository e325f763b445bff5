"""The first start of an instance: UserData of the resolved template runs as root in a writable copy of this machine (an
overlay, in namespaces without network), with the nginx.conf of Amazon Linux and stand-ins for what it and AWS have. nginx, deploy/ec2/install and the
packed release are real. So is the program in one test, with a database and so on of its own, where one is built (TEST_PROGRAM,
or what deploy/build makes); in the others it is a script that migrates, writes assets and answers on its socket."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_templates import APP, AWS, user_data

PATIENCE = 180
REAL_PROGRAM = pathlib.Path(os.environ.get("TEST_PROGRAM") or subprocess.run(
    [AWS.parent / "build", "--path"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip() or "/nonexistent")

PROGRAM = r'''#!/usr/bin/python3 -IS
import http.server, os, socketserver, sys
if sys.argv[1:2] == ["assets"]:
    os.makedirs(sys.argv[2], exist_ok=True)
elif sys.argv[1:] == ["migrate"]:
    assert os.environ["RDS_PASSWORD"].endswith(":password::"), os.environ
    sys.exit(os.path.exists("/migration-fails"))
else:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        def get_request(self):
            return super().get_request()[0], ("", 0)
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"ready")
        def log_message(self, *arguments):
            pass
    Server("/run/sample-app.sock", Answer).serve_forever()
'''
# Settings of the real program instead of those that need AWS.
OWN_SETTINGS = {
    "DATABASE_URL": "sqlite:/var/lib/sample-app/db", "REDIS_URL": "memory:", "IMAGES_URL": "file:/var/lib/sample-app/images",
    "SECRET_KEY_BASE": "0123456789abcdef" * 4, "DATA_DIR": "/var/lib/sample-app", "LISTEN": "unix:/run/sample-app.sock", "MAIL_FROM": "no-reply@example.com",
}
# As `up --admin` does it.
FIRST_ADMIN = """set -a; . /etc/sample-app/sample-app.env; set +a
bash /opt/sample-app/first-admin /opt/sample-app/sample-app me@example.org && bash /opt/sample-app/first-admin /opt/sample-app/sample-app me@example.org
"""
STAND_INS = {
    "dnf": "exit 0",
    "useradd": "echo sample-app:x:990:990::/var/lib/sample-app:/usr/sbin/nologin >>/etc/passwd",
    "usermod": "exit 0",
    # Only what the script needs: settings into the environment, and the command.
    "systemd-run": 'set -a; . /etc/sample-app/sample-app.env; set +a; while [[ $1 != /* ]]; do shift; done; exec "$@"',
    "systemctl": """
        case "$*" in
            "restart sample-app.service") set -a; . /etc/sample-app/sample-app.env; set +a; mkdir -p /var/lib/sample-app; setsid /opt/sample-app/sample-app >/dev/null 2>&1 &
                until [ -S /run/sample-app.sock ]; do sleep 0.1; done; chmod 666 /run/sample-app.sock ;;
            "reload-or-restart nginx") nginx ;;
        esac""",
    "aws": """
        case "$*" in
            "s3 cp"*) cp /fetched/release.tar.gz release.tar.gz ;;
            *describe-target-health*"Id=i-0123456789abcdef0"*) curl --fail --silent --output /dev/null http://127.0.0.1:3000/readyz && echo healthy ;;
            *) exit 1 ;;
        esac""",
    "curl": """
        case "$*" in
            *truststore.pki.rds*) while [ "$1" != --output ]; do shift; done; echo "the authorities of RDS" >"$2" ;;
            *api/token*) echo token ;;
            *instance-id*) echo i-0123456789abcdef0 ;;
            *) exec /usr/bin/curl --noproxy '*' "$@" ;;
        esac""",
}
SIGNAL = 'printf "%s\\n" "$*" >>/signal'
# As the package of Amazon Linux 2023 has it: another user, no modules-enabled, a server of its own on port 80.
NGINX = """
user nginx;
worker_processes auto;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
include /usr/share/nginx/modules/*.conf;
events {
    worker_connections 1024;
}
http {
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent';
    access_log  /var/log/nginx/access.log  main;
    sendfile            on;
    tcp_nopush          on;
    keepalive_timeout   65;
    types_hash_max_size 4096;
    include             /etc/nginx/mime.types;
    default_type        application/octet-stream;
    include /etc/nginx/conf.d/*.conf;
    server {
        listen       80;
        listen       [::]:80;
        server_name  _;
        root         /usr/share/nginx/html;
        include /etc/nginx/default.d/*.conf;
    }
}
"""
INSIDE = r'''
set -euo pipefail
mount -t tmpfs none {work}/overlay
mkdir {work}/overlay/{{upper,work,root}}
mount -t overlay overlay -o lowerdir=/,upperdir={work}/overlay/upper,workdir={work}/overlay/work {work}/overlay/root
cd {work}/overlay/root
for folder in proc dev; do mount --rbind /$folder $folder; done
mount -t tmpfs none run
mount -t tmpfs none tmp
mkdir -p fetched opt/aws/bin etc/pki/tls/certs
cp {work}/release.tar.gz fetched
cp {work}/user-data .
cp {work}/bin/cfn-signal opt/aws/bin
cp {work}/bin/* usr/local/bin
rm -rf etc/nginx/modules-enabled etc/nginx/sites-enabled etc/nginx/conf.d/*
cp {work}/nginx.conf etc/nginx
echo nginx:x:991:991::/:/usr/sbin/nologin >>etc/passwd
echo nginx:x:991: >>etc/group
echo 'the public authorities' >etc/pki/tls/certs/ca-bundle.crt
[ ! -e {work}/migration-fails ] || touch migration-fails
python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'
code=0
env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot . bash /user-data || code=$?
chroot . /usr/bin/curl --silent --noproxy '*' http://127.0.0.1:3000/readyz >{work}/answer || true
cat signal >{work}/signal
if [ -e {work}/afterwards ]; then
    cp {first_admin} opt/sample-app/first-admin
    chroot . bash <{work}/afterwards >{work}/said 2>&1 || true
    chroot . /usr/bin/curl --silent --noproxy '*' http://127.0.0.1:3000/ >{work}/home || true
fi
cp etc/sample-app/sample-app.env etc/sample-app/database-ca.pem {work} || true
cp -R etc/nginx {work}/nginx
stat -c %a etc/sample-app/sample-app.env >{work}/mode || true
exit $code
'''


@unittest.skipUnless(os.geteuid() == 0, "needs root, for namespaces with an overlay")
class FirstStart(unittest.TestCase):
    settings = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        (self.work / "overlay").mkdir()
        (self.work / "bin").mkdir()
        for name, script in {**STAND_INS, "cfn-signal": SIGNAL}.items():
            (self.work / "bin" / name).write_text(f"#!/bin/bash\n{script}\n")
            (self.work / "bin" / name).chmod(0o755)
        (self.work / "program").write_text(PROGRAM)
        (self.work / "nginx.conf").write_text(NGINX)
        self.pack()

    def pack(self):
        pack = re.search(r"^pack[(][)].*?^}", (AWS / "up").read_text(), re.S | re.M)[0]
        subprocess.run(["bash", "-euo", "pipefail", "-c", f"work={self.work} here={AWS}\n{pack}\npack {self.work}/program {self.work}/release.tar.gz"], check=True)

    def run_it(self, code=0):
        digest = hashlib.sha256((self.work / "release.tar.gz").read_bytes()).hexdigest()
        script = re.sub(r"<([A-Za-z.]+)>", r"\1", user_data({**APP, "ReleaseDigest": getattr(self, "digest", digest)}))
        script = script.replace("/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl", "true")
        script = script.replace("until_it_works 120", "until_it_works 20").replace("until_it_works 300", "until_it_works 20")
        if self.settings:
            script = re.sub(r"(?m)^(RDS_\w+|DATABASE_\w+|REDIS_\w+|IMAGES_\w+|SES_\w+|SECRET_KEY_BASE|MAIL_FROM)=.*\n", "", script)
            script = script.replace("\nSETTINGS\n", "".join(f"\n{name}={value}" for name, value in self.settings.items()) + "\nSETTINGS\n")
        (self.work / "user-data").write_text(script)
        done = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", INSIDE.format(work=self.work, first_admin=AWS / "first-admin")],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout, (self.work / "signal").read_text()

    def test_it_comes_up_and_tells_cloudformation(self):
        said, signal = self.run_it()
        self.assertEqual((self.work / "answer").read_text(), "ready", said)
        self.assertRegex(signal, r"^--exit-code 0 --reason ready --region ap-northeast-1 --stack sample-app-layer --resource Instances\n$")
        self.assertEqual((self.work / "mode").read_text().strip(), "640")
        self.assertEqual((self.work / "database-ca.pem").read_text(), "the authorities of RDS\nthe public authorities\n")
        settings = (self.work / "sample-app.env").read_text()
        self.assertIn("APP_URL=http://LoadBalancer.DNSName\n", settings)
        self.assertNotRegex(settings, r"(?m)^ ")
        # Amazon Linux has no brotli module.
        self.assertFalse((self.work / "nginx/sample-app/brotli.conf").exists())
        self.assertIn("worker_connections 16384;", (self.work / "nginx/nginx.conf").read_text())

    @unittest.skipUnless(REAL_PROGRAM.exists(), "needs a program: build it, or name it in TEST_PROGRAM")
    def test_the_real_program_comes_up_and_gets_its_first_administrator(self):
        shutil.copy(REAL_PROGRAM, self.work / "program")
        self.pack()
        self.settings = OWN_SETTINGS
        (self.work / "afterwards").write_text(FIRST_ADMIN)
        said, signal = self.run_it()
        self.assertIn("--exit-code 0 --reason ready", signal, said)
        self.assertIn("<title>", (self.work / "home").read_text())
        admin = (self.work / "said").read_text()
        self.assertRegex(admin, r"(?m)^Choose a password, within 2 hours: http://loadbalancer.dnsname/password_resets/[0-9a-f]{64}/edit\?email=me%40example.org$")
        # Then there is an account, and nothing else to do.
        self.assertEqual((admin.count("is an admin now"), admin.count("Choose")), (2, 1), admin)

    def test_another_release_than_the_one_that_was_asked_for_is_not_run(self):
        self.digest = "0" * 64
        said, signal = self.run_it(code=1)
        self.assertIn("--exit-code 1 --reason failed at: checking the digest of the release", signal)
        self.assertEqual((self.work / "answer").read_text(), "")

    def test_a_migration_that_fails_is_told(self):
        (self.work / "migration-fails").touch()
        said, signal = self.run_it(code=1)
        self.assertIn("failed at: deploy/ec2/install, most likely migrating the database", signal)
        self.assertIn("the database could not be brought up to date", said)


if __name__ == "__main__":
    unittest.main()
