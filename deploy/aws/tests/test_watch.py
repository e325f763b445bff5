"""Assertions on the layers alerts, watch and logs, with parameters and conditions resolved: what cfn-lint lets pass."""
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

AWS = pathlib.Path(__file__).parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(AWS / "diagram"))
from templates import Resolver, load

TEMPLATES = load()
TOPIC = "arn:aws:sns:ap-northeast-1:123456789012:sample-app-alarms"
WATCH = {
    "Name": "sample-app", "AlarmTopic": TOPIC, "LoadBalancerFullName": "app/sample-app/1", "TargetGroupFullName": "targetgroup/x/1",
    "AutoScalingGroupName": "group", "DatabaseIdentifier": "db",
}
CACHES = [
    {"CacheReplicationGroup": "cache"}, {"CacheReplicationGroup": "cache", "CacheNodes": 2},
    {"CacheReplicationGroup": "cache", "CacheNodes": 1, "CacheMode": "cluster"}, {"CacheReplicationGroup": "cache", "CacheNodes": 2, "CacheMode": "cluster"},
    {"CacheMode": "serverless"},
]
WATCH_VARIANTS = [{**WATCH, **cache, **replica} for cache, replica in itertools.product(CACHES, [{}, {"DatabaseReplicaIdentifier": "replica"}])]
LOGS = {
    "Name": "sample-app", "VpcId": "vpc-1", "AppSubnets": "subnet-1,subnet-2", "AppPublicIp": "true", "PrivateSubnets": "subnet-3,subnet-4",
    "AppSecurityGroup": "sg-1", "ArtifactsBucket": "artifacts", "AlarmTopic": TOPIC, "LogstashFiles": "logstash/0123", "OpenSearchVersion": "OpenSearch_2.19",
}
# What each dashboard row and each set of alarms is about.
KINDS = {"load-balancer": "AWS/ApplicationELB", "instances": "AWS/EC2", "database": "AWS/RDS", "cache": "AWS/ElastiCache"}
ASPECTS = {"alive", "cpu", "memory", "disk", "network"}
# What a load balancer has instead of CPU, memory and disk, and a serverless cache instead of nodes.
INSTEAD = {"load-balancer": {"alive", "unhealthy", "errors", "slow", "network"}, "serverless": {"throttled", "storage"}}
# Metrics by namespace, from AWS's pages.
METRICS = {
    "AWS/ApplicationELB": {"HealthyHostCount", "UnHealthyHostCount", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count", "HTTPCode_Target_4XX_Count",
                           "RequestCount", "TargetResponseTime", "RejectedConnectionCount", "ProcessedBytes"},
    "AWS/AutoScaling": {"GroupInServiceInstances"},
    "AWS/EC2": {"StatusCheckFailed", "CPUUtilization", "NetworkIn", "NetworkOut"},
    "AWS/RDS": {"CPUUtilization", "FreeableMemory", "FreeStorageSpace", "NetworkReceiveThroughput", "NetworkTransmitThroughput", "DatabaseConnections", "ReplicaLag"},
    "AWS/ElastiCache": {"EngineCPUUtilization", "DatabaseMemoryUsagePercentage", "SwapUsage", "NetworkBandwidthOutAllowanceExceeded", "NetworkBytesIn",
                        "NetworkBytesOut", "CurrConnections", "ThrottledCmds", "BytesUsedForCache", "ElastiCacheProcessingUnits"},
    "AWS/ES": {"ClusterStatus.red", "FreeStorageSpace"},
}

# Notes its arguments, and does what the command is needed for.
STAND_IN = """#!/bin/bash
echo "{name} $*" >>{calls}
[ "{name}" != "{failing}" ] || exit 3
case "{name} $*" in
    "aws s3 cp "*) cp "{logstash}/${{@: -1}}" "${{@: -1}}" ;;
    "aws secretsmanager "*) echo '{{"username":"admin","password":"Pass-word_1"}}' ;;
    "curl "*) grep -q '^user = "admin:Pass-word_1"$' curl.conf ;;
esac
"""


def alarms(resolved):
    return {resource["Properties"]["AlarmName"]: resource["Properties"] for resource in resolved.resources.values()
            if resource["Type"] == "AWS::CloudWatch::Alarm"}


def metrics_of(alarm):
    """(namespace, metric, dimensions) of an alarm."""
    items = [alarm] if "MetricName" in alarm else [metric["MetricStat"]["Metric"] for metric in alarm["Metrics"] if "MetricStat" in metric]
    return [(item["Namespace"], item["MetricName"], {each["Name"]: each["Value"] for each in item["Dimensions"]}) for item in items]


def agent_metrics():
    """What the agent of the instances sends: NAME_measurement, unless the measurement begins with the name."""
    collected = json.loads((AWS / "cloudwatch-agent.json").read_text())["metrics"]["metrics_collected"]
    return {measurement if measurement.startswith(f"{kind}_") else f"{kind}_{measurement}"
            for kind, settings in collected.items() for measurement in settings["measurement"]}


def known(namespace, metric):
    return metric in (agent_metrics() if namespace == "CWAgent" else METRICS.get(namespace, ()))


def dashboard_metrics(widget):
    """Metrics with the shorthand of dashboards written out: "." is the same as above, "..." all that is missing."""
    before, found = [], []
    for line in widget["properties"]["metrics"]:
        items = [item for item in line if isinstance(item, str)]
        if items[0] == "...":
            items = before[:len(before) - len(items) + 1] + items[1:]
        items = [before[number] if item == "." else item for number, item in enumerate(items)]
        found.append((items[0], items[1], dict(zip(items[2::2], items[3::2]))))
        before = items
    return found


class Watch(unittest.TestCase):
    def variants(self):
        for parameters in WATCH_VARIANTS:
            with self.subTest(**parameters):
                yield parameters, Resolver(TEMPLATES["watch"], parameters)

    def test_each_thing_is_watched_in_each_aspect(self):
        for parameters, resolved in self.variants():
            for kind in KINDS:
                names = {name.removeprefix(f"sample-app-{kind}-") for name in alarms(resolved) if name.startswith(f"sample-app-{kind}-")}
                serverless = kind == "cache" and parameters.get("CacheMode") == "serverless"
                wanted = INSTEAD.get("serverless" if serverless else kind, ASPECTS)
                self.assertEqual(names - {"connections"}, wanted, kind)
            self.assertEqual("sample-app-replica-lag" in alarms(resolved), "DatabaseReplicaIdentifier" in parameters)

    def test_each_alarm_has_what_makes_it_of_use(self):
        found = [*(alarm for _, resolved in self.variants() for alarm in alarms(resolved).items()), *alarms(Resolver(TEMPLATES["logs"], LOGS)).items()]
        for name, alarm in found:
            with self.subTest(alarm=name):
                self.assertEqual((alarm["AlarmActions"], alarm["OKActions"]), ([TOPIC], [TOPIC]))
                self.assertIsInstance(alarm["Threshold"], (int, float))
                self.assertGreater(len(alarm["AlarmDescription"]), 20)
                self.assertIn(alarm["TreatMissingData"], ("breaching", "notBreaching", "missing"))
                if name.endswith("-alive") and "instances" not in name:
                    self.assertEqual(alarm["TreatMissingData"], "breaching")
                self.assertEqual(("MetricName" in alarm) + ("Metrics" in alarm), 1)
                self.assertEqual(("Statistic" in alarm) + ("ExtendedStatistic" in alarm), "MetricName" in alarm)
                periods = {alarm["Period"]} if "Period" in alarm else {item["MetricStat"]["Period"] for item in alarm["Metrics"] if "MetricStat" in item}
                self.assertEqual(len(periods), 1)
                # CloudWatch refuses more than a day, and these are meant to be heard of soon.
                self.assertLessEqual(alarm["EvaluationPeriods"] * periods.pop(), 900)
                for namespace, metric, dimensions in metrics_of(alarm):
                    self.assertTrue(known(namespace, metric), metric)
                    self.assertNotIn("", dimensions.values())

    def test_an_expression_returns_one_series_and_uses_what_is_there(self):
        for _, resolved in self.variants():
            for name, alarm in alarms(resolved).items():
                if "Metrics" in alarm:
                    [returned] = [metric for metric in alarm["Metrics"] if metric.get("ReturnData", True)]
                    self.assertTrue(returned["Label"], name)
                    ids = {metric["Id"] for metric in alarm["Metrics"]} - {returned["Id"]}
                    used = set(re.findall(r"\b[a-z][a-z0-9]*\b", returned["Expression"]))
                    self.assertTrue(used == ids or "METRICS()" in returned["Expression"], name)

    def test_the_nodes_of_the_cache_are_those_that_there_are(self):
        for cache, nodes in zip(CACHES, [["cache-001"], ["cache-001", "cache-002"], ["cache-0001-001", "cache-0002-001"], ["cache-0001-001", "cache-0002-001"], []]):
            found = alarms(Resolver(TEMPLATES["watch"], {**WATCH, **cache}))
            for name, alarm in found.items():
                if name.startswith("sample-app-cache-") and nodes:
                    self.assertEqual([dimensions["CacheClusterId"] for _, _, dimensions in metrics_of(alarm)], nodes, name)
            if nodes:
                self.assertEqual(found["sample-app-cache-alive"]["Threshold"], len(nodes))

    def test_the_dashboard_shows_every_metric_that_has_an_alarm(self):
        for _, resolved in self.variants():
            body = json.loads(resolved.resources["Dashboard"]["Properties"]["DashboardBody"])
            widgets = [widget for widget in body["widgets"] if widget["type"] == "metric"]
            shown = {(namespace, metric) for widget in widgets for namespace, metric, _ in dashboard_metrics(widget)}
            alarmed = {(namespace, metric) for alarm in alarms(resolved).values() for namespace, metric, _ in metrics_of(alarm)}
            self.assertEqual(alarmed - shown, set())
            for widget in widgets:
                self.assertEqual(widget["properties"]["region"], "ap-northeast-1")
                for namespace, metric, dimensions in dashboard_metrics(widget):
                    self.assertTrue(known(namespace, metric), (namespace, metric))
                    self.assertTrue(dimensions and all(dimensions.values()), (metric, dimensions))
            titles = [widget["properties"]["markdown"] for widget in body["widgets"] if widget["type"] == "text"]
            self.assertEqual(titles, ["## Load balancer", "## Instances", "## Database", "## Cache"])

    def test_the_header_counts_the_metrics_that_cost_money(self):
        counts = [sum(len(metrics_of(alarm)) for alarm in alarms(resolved).values()) for _, resolved in self.variants()]
        header = (AWS / "templates/watch.yaml").read_text().partition("AWSTemplateFormatVersion")[0]
        self.assertIn(f"{min(counts)} to {max(counts)} of them", header)
        self.assertIn(f"at most {max(counts) / 10:.2f}", header)

    def test_widgets_do_not_overlap(self):
        for _, resolved in self.variants():
            taken = set()
            for widget in json.loads(resolved.resources["Dashboard"]["Properties"]["DashboardBody"])["widgets"]:
                cells = {(x, y) for x in range(widget["x"], widget["x"] + widget["width"]) for y in range(widget["y"], widget["y"] + widget["height"])}
                self.assertFalse(cells & taken)
                self.assertLessEqual(widget["x"] + widget["width"], 24)
                taken |= cells


class Agent(unittest.TestCase):
    def test_it_sends_what_the_alarms_ask_for_with_the_groups_name_alone(self):
        settings = json.loads((AWS / "cloudwatch-agent.json").read_text())
        metrics = settings["metrics"]
        self.assertEqual(settings["agent"], {"metrics_collection_interval": 60, "run_as_user": "cwagent"})
        self.assertEqual(metrics["namespace"], "CWAgent")
        self.assertEqual(metrics["append_dimensions"]["AutoScalingGroupName"], "${aws:AutoScalingGroupName}")
        self.assertEqual(metrics["aggregation_dimensions"], [["AutoScalingGroupName"]])
        self.assertEqual(metrics["metrics_collected"]["disk"]["resources"], ["/"])
        asked = {metric for alarm in alarms(Resolver(TEMPLATES["watch"], WATCH_VARIANTS[0])).values()
                 for namespace, metric, dimensions in metrics_of(alarm) if namespace == "CWAgent" and list(dimensions) == ["AutoScalingGroupName"]}
        # Each costs money.
        self.assertEqual(asked, agent_metrics())


    def test_instances_of_beanstalk_get_the_same_agent(self):
        self.assertFalse({"Agent", "AgentSettings"} & Resolver(TEMPLATES["watch"], WATCH_VARIANTS[0]).resources.keys())
        resources = Resolver(TEMPLATES["watch"], {**WATCH_VARIANTS[0], "BeanstalkEnvironment": "environment"}).resources
        settings = resources["AgentSettings"]["Properties"]
        self.assertEqual(settings["Value"], (AWS / "cloudwatch-agent.json").read_text())
        # CloudWatchAgentServerPolicy allows this prefix.
        self.assertTrue(settings["Name"].startswith("AmazonCloudWatch-"))
        agent = resources["Agent"]["Properties"]
        self.assertEqual(agent["Targets"], [{"Key": "tag:elasticbeanstalk:environment-name", "Values": ["environment"]}])
        self.assertTrue(agent["Parameters"]["commands"][-1].endswith("-c ssm:<AgentSettings>"))


class Alerts(unittest.TestCase):
    def resolved(self, **parameters):
        return Resolver(TEMPLATES["alerts"], {"Name": "sample-app", **parameters})

    def test_slack_and_mail_only_when_asked_for(self):
        secret = "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:slack-AbCdEf"
        self.assertEqual(set(self.resolved().resources), {"Topic", "TopicPolicy"})
        self.assertEqual(set(self.resolved(AlarmMail="a@example.com").resources), {"Topic", "TopicPolicy", "Mail"})
        slack = self.resolved(SlackWebhookArn=secret)
        self.assertEqual(set(slack.resources), {"Topic", "TopicPolicy", "Slack", "SlackLog", "SlackRole", "SlackPermission", "SlackSubscription"})
        self.assertEqual(slack.resources["Slack"]["Properties"]["Environment"]["Variables"], {"SLACK_WEBHOOK_ARN": secret})
        self.assertEqual(slack.resources["SlackSubscription"]["DependsOn"], "SlackPermission")

    def test_the_function_is_the_folder_that_the_tests_run(self):
        function = self.resolved(SlackWebhookArn="arn:aws:secretsmanager:r:1:secret:s").resources["Slack"]["Properties"]
        folder = (AWS / "templates" / function["Code"]).resolve()
        module, name = function["Handler"].split(".")
        self.assertEqual(folder, AWS / "slack")
        self.assertIn(f"def {name}(event, ", (folder / f"{module}.py").read_text())

    def test_its_role_may_do_three_things(self):
        role = self.resolved(SlackWebhookArn="arn:secret").resources["SlackRole"]["Properties"]
        statements = {statement["Sid"]: (statement["Action"], statement["Resource"]) for statement in role["Policies"][0]["PolicyDocument"]["Statement"]}
        self.assertEqual(statements, {
            "Log": (["logs:CreateLogStream", "logs:PutLogEvents"], "<SlackLog.Arn>"),
            "Webhook": ("secretsmanager:GetSecretValue", "arn:secret"),
            "History": ("cloudwatch:DescribeAlarmHistory", "arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:*"),
        })
        self.assertNotIn("ManagedPolicyArns", role)

    def test_only_alarms_of_this_account_may_publish(self):
        [statement] = self.resolved().resources["TopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        self.assertEqual(statement["Principal"], {"Service": "cloudwatch.amazonaws.com"})
        self.assertEqual(statement["Condition"], {"StringEquals": {"aws:SourceAccount": "123456789012"}})

    def test_a_webhook_itself_is_refused_as_parameter(self):
        pattern = TEMPLATES["alerts"]["Parameters"]["SlackWebhookArn"]["AllowedPattern"]
        for text, taken in [("", True), ("arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:slack-AbCdEf", True),
                            ("https://hooks.slack.com/services/T0/B0/x", False), ("arn:aws:ssm:ap-northeast-1:123456789012:parameter/slack", False)]:
            self.assertEqual(bool(re.fullmatch(pattern, text)), taken, text)


class Logs(unittest.TestCase):
    def setUp(self):
        self.resources = Resolver(TEMPLATES["logs"], LOGS).resources
        self.script = self.resources["LogstashTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]

    def test_user_data_is_correct_bash_and_below_16_kb(self):
        self.assertLess(len(self.script.encode()), 16_384)
        self.assertTrue(self.script.startswith("#!/bin/bash\n"))
        # <Name> stands for references here, which bash takes for redirections.
        script = re.sub(r"<([A-Z][A-Za-z.]+)>", r"\1", self.script)
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        shellcheck = shutil.which("shellcheck", path=f"{pathlib.Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
        if shellcheck:
            checked = subprocess.run([shellcheck, "--severity=warning", "-"], input=script, text=True, capture_output=True)
            self.assertEqual(checked.stdout, "")

    def test_the_files_that_it_fetches_are_there(self):
        names = re.search(r"for file in (.*); do", self.script)[1].split()
        folder = AWS.parent / "logstash"
        self.assertEqual(sorted(names), sorted(file.name for file in folder.iterdir() if file.suffix in (".conf", ".json", ".ndjson")))
        self.assertIn('"s3://artifacts/logstash/0123/$file"', self.script)
        for name in names[1:]:
            self.assertIn(f"@{name}", self.script)

    def pipeline(self):
        """deploy/logstash's pipeline as the instance gets it."""
        command = re.search(r"^sed (.*?) logstash\.conf", self.script, re.MULTILINE | re.DOTALL)[0]
        return subprocess.run(["bash", "-c", command], cwd=AWS.parent / "logstash", capture_output=True, text=True, check=True).stdout

    def test_the_pipeline_writes_to_opensearch_with_user_and_password(self):
        before = (AWS.parent / "logstash/logstash.conf").read_text()
        pipeline = self.pipeline()
        # It is in the other folder of tools that scripts/setup makes.
        python = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "sample-app/python/bin/python"
        parser = "import sys; from logstash_pipeline_parser import Pipeline; Pipeline(sys.stdin.read()).parse()"
        subprocess.run([python, "-c", parser], input=pipeline, text=True, check=True)
        self.assertNotRegex(pipeline, r"elasticsearch \{|ilm_enabled")
        self.assertEqual(pipeline.count("opensearch {"), before.count("elasticsearch {"))
        for line in ['user => "admin"', 'password => "${OPENSEARCH_PASSWORD}"', 'ecs_compatibility => "disabled"', "manage_template => false",
                     'hosts => ["${ELASTICSEARCH_URL:http://localhost:9200}"]', 'index => "sample-app-%{+YYYY.MM.dd}"']:
            self.assertEqual(pipeline.count(line), 2, line)
        self.assertEqual(pipeline.count('document_id => "%{[line_id]}"'), 1)

    def boot(self, failing=None):
        """Runs the script below a folder, with stand-ins for the commands of the instance. Returns the folder and what they were called with."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("etc/default", "etc/logstash/conf.d", "etc/yum.repos.d", "opt/aws/bin", "usr/share/logstash/bin", "bin"):
            (folder / name).mkdir(parents=True)
        (folder / "etc/default/logstash").write_text("LS_HOME=/usr/share/logstash\n")
        for command in ("dnf", "systemctl", "curl", "aws", "sleep", "../opt/aws/bin/cfn-signal", "../usr/share/logstash/bin/logstash-plugin"):
            file = folder / "bin" / command
            file.write_text(STAND_IN.format(name=file.name, calls=folder / "calls", failing=failing, logstash=AWS.parent / "logstash"))
            file.chmod(0o755)
        script = re.sub(r"(?<![\w./:-])/(etc|opt|usr)/(?=\w)", rf"{folder}/\1/", re.sub(r"<([A-Z][A-Za-z.]+)>", r"\1", self.script))
        # What it waits for at the end.
        with socket.create_server(("127.0.0.1", 0)) as logstash:
            script = script.replace("/dev/tcp/127.0.0.1/5044", f"/dev/tcp/127.0.0.1/{logstash.getsockname()[1]}")
            self.done = subprocess.run(["bash", "-c", script], env={"PATH": f"{folder}/bin:/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)
        return folder, (folder / "calls").read_text().splitlines()

    def test_it_runs_to_its_end_on_an_instance(self):
        folder, calls = self.boot()
        self.assertEqual((self.done.returncode, self.done.stderr), (0, ""))
        self.assertEqual([call.split()[0] for call in calls],
                         ["dnf", "logstash-plugin", "aws", "aws", "aws", "aws", "curl", "curl", "systemctl", "cfn-signal"])
        self.assertIn("--exit-code 0 ", calls[-1])
        self.assertEqual(calls[-2], "systemctl enable --quiet --now logstash")
        self.assertIn("https://Domain.DomainEndpoint/_index_template/sample-app", calls[-4])
        self.assertIn("https://Domain.DomainEndpoint/_dashboards/api/saved_objects/_import?overwrite=true", calls[-3])
        # The password is in no argument, and in one file, which only root reads.
        self.assertNotIn("Pass-word_1", "\n".join(calls))
        holding = [file for file in folder.rglob("*") if file.is_file() and b"Pass-word_1" in file.read_bytes() and file.parent.name != "bin"]
        self.assertEqual(holding, [folder / "etc/default/logstash"])
        self.assertEqual(holding[0].stat().st_mode & 0o777, 0o600)
        self.assertIn("LS_HOME=/usr/share/logstash\nELASTICSEARCH_URL=https://Domain.DomainEndpoint:443\nOPENSEARCH_PASSWORD=Pass-word_1\n", holding[0].read_text())
        self.assertEqual((folder / "etc/logstash/conf.d/sample-app.conf").read_text(), self.pipeline())

    def test_what_fails_is_said_to_cloudformation(self):
        for command, step in [("dnf", "installing Logstash"), ("logstash-plugin", "installing the plugin for OpenSearch"),
                              ("aws", "fetching the files of deploy/logstash"), ("curl", "loading the index template"), ("systemctl", "starting Logstash")]:
            _, calls = self.boot(failing=command)
            self.assertRegex(calls[-1], rf"^cfn-signal --exit-code [1-9][0-9]* --reason failed at: {step} ", command)

    def test_it_is_reached_from_the_application_only_and_reaches_opensearch(self):
        rules = {name: (rule["Properties"]["GroupId"], rule["Properties"]["SourceSecurityGroupId"], rule["Properties"]["FromPort"], rule["Properties"]["ToPort"])
                 for name, rule in self.resources.items() if rule["Type"] == "AWS::EC2::SecurityGroupIngress"}
        self.assertEqual(rules, {"LogstashFromApp": ("<LogstashSecurityGroup>", "sg-1", 5044, 5044),
                                 "OpenSearchFromLogstash": ("<OpenSearchSecurityGroup>", "<LogstashSecurityGroup>", 443, 443)})

    def test_the_domain_is_small_private_and_encrypted(self):
        domain = self.resources["Domain"]["Properties"]
        self.assertEqual((domain["ClusterConfig"]["InstanceType"], domain["ClusterConfig"]["InstanceCount"]), ("t3.small.search", 1))
        self.assertEqual(domain["VPCOptions"], {"SubnetIds": ["subnet-3"], "SecurityGroupIds": ["<OpenSearchSecurityGroup>"]})
        # A database of users needs these.
        for name, option in [("EncryptionAtRestOptions", "Enabled"), ("NodeToNodeEncryptionOptions", "Enabled"), ("DomainEndpointOptions", "EnforceHTTPS"),
                             ("AdvancedSecurityOptions", "Enabled"), ("AdvancedSecurityOptions", "InternalUserDatabaseEnabled")]:
            self.assertIs(domain[name][option], True, name)
        self.assertTrue(domain["AdvancedSecurityOptions"]["MasterUserOptions"]["MasterUserPassword"].startswith("{{resolve:secretsmanager:"))


class Templates(unittest.TestCase):
    def test_each_begins_with_what_it_makes_and_costs(self):
        for layer in ("alerts", "watch", "logs"):
            head = (AWS / "templates" / f"{layer}.yaml").read_text().partition("AWSTemplateFormatVersion")[0]
            self.assertRegex(head, r"(?s)^# [A-Z].*\n#\n# Costs.*(USD|nothing)", layer)
            self.assertLess((AWS / "templates" / f"{layer}.yaml").stat().st_size, 51_200, layer)


if __name__ == "__main__":
    unittest.main()
