"""checkov on all templates. Each finding has a reason here, and each reason a finding."""
import json
import pathlib
import subprocess
import sys

AWS = pathlib.Path(__file__).parents[1]
KEY = "AWS's own key encrypts it; a key of one's own is 1 USD a month, and alarms may not use alias/aws/sns"
LOGS = "logs of every access cost more than they tell here; the program's and nginx's logs have them"
# Check: why not, and of what.
EXCEPTED = {
    "CKV_AWS_2": ("port 80 redirects to https, where there is a certificate", ["app.HttpListener"]),
    "CKV_AWS_103": ("the same listener; the one for https has TLS 1.2 and 1.3", ["app.HttpListener"]),
    "CKV_AWS_260": ("the load balancer is for everybody, on port 80 too", ["network.HttpToLoadBalancer"]),
    "CKV_AWS_88": ("the bastion is reached from outside, from one place; it is made only when asked for", ["network.Bastion"]),
    "CKV_AWS_157": ("a parameter: two zones double the price, so not with --size minimal", ["data.Database"]),
    "CKV_AWS_118": ("the alarms use CloudWatch's own metrics; enhanced monitoring costs by the GB", ["data.Database"]),
    "CKV_AWS_18": (LOGS, ["data.Artifacts", "data.Pictures"]),
    "CKV_AWS_86": (LOGS, ["edge.Distribution"]),
    "CKV_AWS_91": (LOGS, ["app.LoadBalancer"]),
    "CKV_AWS_84": ("logs of the store of logs", ["logs.Domain"]),
    "CKV_AWS_317": ("the same, of who reads them", ["logs.Domain"]),
    "CKV_AWS_68": ("a firewall of 5 USD a month and more before public pictures, which are only read", ["edge.Distribution"]),
    "CKV_AWS_174": ("TLS 1.2 with a domain; without one it is CloudFront's own certificate, whose version nobody can choose", ["edge.Distribution"]),
    "CKV_AWS_26": (KEY, ["alerts.Topic", "mail.Topic"]),
    "CKV_AWS_149": (KEY, ["data.CacheToken", "data.CacheUrl", "data.SecretKeyBase", "logs.OpenSearchSecret", "mail.SmtpSecret"]),
    "CKV_AWS_158": (KEY, ["alerts.SlackLog"]),
    "CKV_AWS_173": ("its environment has the ARN of a secret, and no secret", ["alerts.Slack"]),
    "CKV_AWS_115": ("alarms come one at a time", ["alerts.Slack"]),
    "CKV_AWS_116": ("mail is the second way, and Lambda tries three times", ["alerts.Slack"]),
    "CKV_AWS_117": ("outside the VPC it needs no NAT gateway, and leaves no interfaces behind", ["alerts.Slack"]),
}

done = subprocess.run([sys.argv[1], "--directory", AWS / "templates", "--framework", "cloudformation",
                       "--skip-download", "--quiet", "--compact", "--output", "json"],
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
report = json.loads(done.stdout)
if report["summary"]["parsing_errors"]:
    sys.exit(f"not read: {report['results']['parsing_errors']}")
found = {}
for each in report["results"]["failed_checks"]:
    place = f"{pathlib.Path(each['file_path']).stem}.{each['resource'].rpartition('.')[2]}"
    found.setdefault(each["check_id"], set()).add((place, each["check_name"]))
wrong = [f"{check} {place}: {what}" for check, places in found.items() for place, what in sorted(places)
         if place not in EXCEPTED.get(check, ("", []))[1]]
wrong += [f"{check} {place}: excepted, but not found" for check, (_, places) in EXCEPTED.items() for place in places
          if place not in {place for place, _ in found.get(check, ())}]
print("\n".join(wrong))
sys.exit(bool(wrong))
