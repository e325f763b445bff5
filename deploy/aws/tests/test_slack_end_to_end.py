"""The layer alerts in MiniStack: an alarm goes by SNS and the Lambda to a local server, which stands in for Slack."""
import http.server
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import botocore.session

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stand_ins import ACCOUNT, REGION, free_port
from test_slack import ALARM, LAUNCH, RDS_EVENT

AWS = pathlib.Path(__file__).parents[1]
# Generous: the machine may be busy.
PATIENCE = 60


class Slack(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.posted.put((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments):
        pass


class EndToEnd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.slack = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slack)
        cls.slack.posted = queue.Queue()
        threading.Thread(target=cls.slack.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.slack.server_close)
        cls.addClassCleanup(cls.slack.shutdown)
        cls.start_ministack()
        cls.make_layer()

    @classmethod
    def start_ministack(cls):
        port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = {**clean, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "STATE_DIR": str(cls.folder / "state"),
                       "S3_DATA_DIR": str(cls.folder / "s3"), "MINISTACK_ACCOUNT_ID": ACCOUNT, "MINISTACK_REGION": REGION,
                       "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        cls.log = open(cls.folder / "log", "w+")
        cls.addClassCleanup(cls.log.close)
        server = subprocess.Popen([sys.executable, "-c", "from ministack.app import main; main()"], env=environment, stdout=cls.log,
                                  stderr=subprocess.STDOUT, start_new_session=True)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(os.killpg, server.pid, signal.SIGKILL)
        cls.environment = {**clean, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
                           "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null", "AWS_PAGER": ""}
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert server.poll() is None and time.monotonic() < end, (cls.folder / "log").read_text()
                time.sleep(0.1)

    @classmethod
    def client(cls, service):
        return cls.session.create_client(service, REGION, endpoint_url=cls.environment["AWS_ENDPOINT_URL"], aws_access_key_id="test", aws_secret_access_key="test")

    @classmethod
    def make_layer(cls):
        cls.session = botocore.session.Session()
        url = f"http://127.0.0.1:{cls.slack.server_port}/services/T0/B0/x"
        secret = cls.client("secretsmanager").create_secret(Name="slack-webhook", SecretString=url)["ARN"]
        cls.client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
        # As `up` does.
        subprocess.run([pathlib.Path(sys.executable).parent / "aws", "cloudformation", "package", "--template-file", AWS / "templates/alerts.yaml",
                        "--s3-bucket", "artifacts", "--s3-prefix", "functions", "--output-template-file", cls.folder / "alerts.yaml"],
                       env=cls.environment, capture_output=True, check=True, timeout=PATIENCE)
        cloudformation = cls.client("cloudformation")
        cloudformation.create_stack(
            StackName="sample-app-alerts", TemplateBody=(cls.folder / "alerts.yaml").read_text(), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in [("Name", "sample-app"), ("SlackWebhookArn", secret)]])
        end = time.monotonic() + PATIENCE
        while True:
            [stack] = cloudformation.describe_stacks(StackName="sample-app-alerts")["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
            assert time.monotonic() < end
            time.sleep(0.2)
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack
        cls.topic = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}["AlarmTopic"]

    def posted(self):
        try:
            path, message = self.slack.posted.get(timeout=PATIENCE)
        except queue.Empty:
            self.fail((self.folder / "log").read_text()[-4000:])
        self.assertEqual(path, "/services/T0/B0/x")
        return message

    def publish(self, message, subject):
        self.client("sns").publish(TopicArn=self.topic, Subject=subject, Message=json.dumps(message))
        return self.posted()

    def test_an_alarm_arrives(self):
        cloudwatch = self.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=ALARM["AlarmName"], Namespace="AWS/RDS", MetricName="CPUUtilization", Statistic="Average", Period=300, EvaluationPeriods=3,
            Threshold=80, ComparisonOperator="GreaterThanThreshold", AlarmActions=[self.topic])
        cloudwatch.set_alarm_state(AlarmName=ALARM["AlarmName"], StateValue="ALARM", StateReason="tried by a test")
        text = json.dumps(self.posted())
        # MiniStack's message lacks the alarm's ARN, so it arrives as it is.
        self.assertIn(ALARM["AlarmName"], text)
        self.assertIn("tried by a test", text)
        # One as AWS sends it, with a history from MiniStack's API.
        [attachment] = self.publish(ALARM, "ALARM")["attachments"]
        self.assertEqual((attachment["title"], attachment["color"]), ("ALARM: sample-app-database-cpu", "danger"))
        fields = {field["title"]: field["value"] for field in attachment["fields"]}
        self.assertIn("UTC", fields["Last 24 hours"])

    def test_an_auto_scaling_event_and_an_unknown_message_arrive(self):
        [attachment] = self.publish(LAUNCH, "Auto Scaling: launch")["attachments"]
        self.assertEqual(attachment["title"], "Auto Scaling: launch")
        self.assertEqual(self.publish(RDS_EVENT, "RDS"), {"text": f"RDS\n{json.dumps(RDS_EVENT)}", "mrkdwn": False})


if __name__ == "__main__":
    unittest.main()
