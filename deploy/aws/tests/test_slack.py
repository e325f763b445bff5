"""What the Slack Lambda posts, for the messages that AWS documents. A local server stands in for Slack and for AWS's APIs."""
import datetime
import http.server
import json
import os
import pathlib
import sys
import threading
import unittest
import unittest.mock

sys.dont_write_bytecode = True  # the folder of the Lambda is uploaded as it is
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "slack"))
import aws_api
import handler

SECRET_ARN = "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:slack-webhook-AbCdEf"

ALARM = {
    "AlarmName": "sample-app-database-cpu",
    "AlarmDescription": "CPU of the database above 80 % for 15 minutes.",
    "AWSAccountId": "123456789012",
    "AlarmConfigurationUpdatedTimestamp": "2026-11-01T09:00:00.000+0000",
    "NewStateValue": "ALARM",
    "NewStateReason": "Threshold Crossed: 3 datapoints [93.0, 91.5, 88.0] were greater than the threshold (80.0).",
    "StateChangeTime": "2026-11-28T17:43:27.123+0000",
    "Region": "Asia Pacific (Tokyo)",
    "AlarmArn": "arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:sample-app-database-cpu",
    "OldStateValue": "OK",
    "OKActions": [], "AlarmActions": ["arn:aws:sns:ap-northeast-1:123456789012:sample-app-alarms"], "InsufficientDataActions": [],
    "Trigger": {
        "MetricName": "CPUUtilization", "Namespace": "AWS/RDS", "StatisticType": "Statistic", "Statistic": "AVERAGE", "Unit": None,
        "Dimensions": [{"value": "sample-app-db", "name": "DBInstanceIdentifier"}], "Period": 300, "EvaluationPeriods": 3,
        "ComparisonOperator": "GreaterThanThreshold", "Threshold": 80.0, "TreatMissingData": "missing",
        "EvaluateLowSampleCountPercentile": "",
    },
}
EXPRESSION = {
    "Period": 300, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 10.0, "TreatMissingData": "notBreaching",
    "EvaluateLowSampleCountPercentile": "",
    "Metrics": [
        {"Id": "errors", "Expression": "FILL(m1, 0)", "Label": "5xx", "ReturnData": True},
        {"Id": "m1", "ReturnData": False, "MetricStat": {"Period": 300, "Stat": "Sum", "Metric": {
            "Dimensions": [{"value": "app/sample-app/1", "name": "LoadBalancer"}], "MetricName": "HTTPCode_ELB_5XX_Count", "Namespace": "AWS/ApplicationELB"}}},
    ],
}
LAUNCH = {
    "Progress": 50, "AccountId": "123456789012", "Description": "Launching a new EC2 instance: i-0c55bedeb30ef1f08",
    "RequestId": "4e50ac14-2d21-4d91-a7cd-1f184f2b73d1", "EndTime": "2026-11-28T11:30:40.246Z",
    "AutoScalingGroupARN": "arn:aws:autoscaling:ap-northeast-1:123456789012:autoScalingGroup:41888f5b-5931-4adc-96da-03cee77470be:autoScalingGroupName/sample-app",
    "ActivityId": "4e50ac14-2d21-4d91-a7cd-1f184f2b73d1", "StartTime": "2026-11-28T11:30:03.609Z", "Service": "AWS Auto Scaling",
    "Time": "2026-11-28T11:30:40.246Z", "EC2InstanceId": "i-0c55bedeb30ef1f08", "StatusCode": "InProgress", "StatusMessage": "",
    "Details": {"Subnet ID": "subnet-a1b2c3d4", "Availability Zone": "ap-northeast-1a"}, "AutoScalingGroupName": "sample-app",
    "Cause": "At 2026-11-28T11:29:40Z a monitor alarm sample-app-busy in state ALARM triggered policy one-more changing the desired capacity from 1 to 2.",
    "Event": "autoscaling:EC2_INSTANCE_LAUNCH",
}
# It has neither instance nor cause.
TEST_NOTIFICATION = {
    "AccountId": "123456789012", "RequestId": "b36d6757-57c7-11e8-a9ca-b3409db76d91",
    "AutoScalingGroupARN": LAUNCH["AutoScalingGroupARN"], "AutoScalingGroupName": "sample-app", "Service": "AWS Auto Scaling",
    "Event": "autoscaling:TEST_NOTIFICATION", "Time": "2026-11-28T11:00:00.000Z",
}
RDS_EVENT = {
    "Event Source": "db-instance", "Event Time": "2026-11-28 12:00:00.000", "Identifier Link": "https://console.aws.amazon.com/rds/home",
    "Source ID": "sample-app-db", "Event ID": "http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.html#RDS-EVENT-0049",
    "Event Message": "Multi-AZ instance failover completed",
}


def sns_event(message, subject='ALARM: "sample-app-database-cpu" in Asia Pacific (Tokyo)'):
    return {"Records": [{
        "EventSource": "aws:sns", "EventVersion": "1.0",
        "EventSubscriptionArn": "arn:aws:sns:ap-northeast-1:123456789012:sample-app-alarms:500fe343-1af7-4b98-a81c-2a91c32f3f05",
        "Sns": {
            "Type": "Notification", "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
            "TopicArn": "arn:aws:sns:ap-northeast-1:123456789012:sample-app-alarms", "Subject": subject,
            "Message": message if isinstance(message, str) else json.dumps(message), "Timestamp": "2026-11-28T17:43:27.123Z",
            "SignatureVersion": "1", "Signature": "EXAMPLE", "SigningCertUrl": "EXAMPLE", "UnsubscribeUrl": "EXAMPLE", "MessageAttributes": {},
        },
    }]}


class StandIn(http.server.BaseHTTPRequestHandler):
    """Slack at /hook..., the APIs at /."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if self.path.startswith("/hook"):
            server.posted.append((self.path, json.loads(body)))
            status, answer = server.slack_answer, "ok" if server.slack_answer == 200 else "no_service"
        else:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            server.calls.append((operation, json.loads(body), dict(self.headers)))
            status, answer = server.api_answers.get(operation, (500, "{}"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *arguments):
        pass


class SlackTest(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.server.posted, self.server.calls, self.server.slack_answer = [], [], 200
        self.server.api_answers = {"DescribeAlarmHistory": (200, '{"AlarmHistoryItems": []}')}
        self.set_webhook(f"{self.address}/hook/1")
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        environment = unittest.mock.patch.dict(os.environ, {
            "SLACK_WEBHOOK_ARN": SECRET_ARN, "AWS_ENDPOINT_URL": self.address, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"})
        environment.start()
        self.addCleanup(environment.stop)
        output = unittest.mock.patch("builtins.print")
        self.printed = output.start()
        self.addCleanup(output.stop)
        handler.webhook = None

    def set_webhook(self, url):
        self.server.api_answers["GetSecretValue"] = (200, json.dumps({"ARN": SECRET_ARN, "SecretString": url}))

    def posted(self, message, *subject):
        handler.handler(sns_event(message, *subject), None)
        return self.server.posted[-1][1]

    def attachment(self, message, *subject):
        [attachment] = self.posted(message, *subject)["attachments"]
        return attachment

    def fields(self, attachment):
        return {field["title"]: field["value"] for field in attachment["fields"]}

    def test_an_alarm_is_posted_with_state_reason_metric_and_link(self):
        attachment = self.attachment(ALARM)
        self.assertEqual(attachment["title"], "ALARM: sample-app-database-cpu")
        self.assertEqual(attachment["color"], "danger")
        self.assertEqual(attachment["title_link"], "https://ap-northeast-1.console.aws.amazon.com/cloudwatch/home?region=ap-northeast-1"
                                                   "#alarmsV2:alarm/sample-app-database-cpu")
        self.assertIn("CPU of the database", attachment["text"])
        self.assertIn("3 datapoints", attachment["text"])
        self.assertEqual(self.fields(attachment), {"Metric": "AWS/RDS CPUUtilization sample-app-db", "Before": "OK"})

    def test_each_state_has_its_color(self):
        for state, color in [("OK", "good"), ("ALARM", "danger"), ("INSUFFICIENT_DATA", "warning")]:
            self.assertEqual(self.attachment({**ALARM, "NewStateValue": state})["color"], color)

    def test_an_alarm_without_description_is_posted(self):
        self.assertEqual(self.attachment({**ALARM, "AlarmDescription": None})["text"], ALARM["NewStateReason"])

    def test_an_alarm_on_an_expression_names_the_expression(self):
        self.assertEqual(self.fields(self.attachment({**ALARM, "Trigger": EXPRESSION}))["Metric"], "5xx")

    def test_a_name_with_special_characters_is_quoted_in_the_link(self):
        attachment = self.attachment({**ALARM, "AlarmName": "a b/c?<d>"})
        self.assertTrue(attachment["title_link"].endswith("#alarmsV2:alarm/a%20b%2Fc%3F%3Cd%3E"), attachment["title_link"])
        self.assertEqual(attachment["title"], "ALARM: a b/c?&lt;d&gt;")

    def test_an_alarm_has_its_history_of_the_last_day(self):
        self.server.api_answers["DescribeAlarmHistory"] = (200, json.dumps({"AlarmHistoryItems": [
            {"AlarmName": ALARM["AlarmName"], "HistoryItemType": "StateUpdate", "Timestamp": 1795974207.123, "HistorySummary": "Alarm updated from OK to ALARM"},
            {"AlarmName": ALARM["AlarmName"], "HistoryItemType": "StateUpdate", "Timestamp": 1795970607, "HistorySummary": "Alarm updated from ALARM to OK"}]}))
        self.assertEqual(self.fields(self.attachment(ALARM))["Last 24 hours"],
                         "29 Nov 17:43:27 UTC  Alarm updated from OK to ALARM\n29 Nov 16:43:27 UTC  Alarm updated from ALARM to OK")
        [(_, asked, _)] = [call for call in self.server.calls if call[0] == "DescribeAlarmHistory"]
        self.assertEqual((asked["AlarmName"], asked["MaxRecords"]), (ALARM["AlarmName"], 5))

    def test_an_alarm_is_posted_without_history_when_cloudwatch_fails(self):
        for answer in [(500, "{}"), (200, "not JSON"), (200, "{}")]:
            self.server.api_answers["DescribeAlarmHistory"] = answer
            self.assertEqual(self.attachment(ALARM)["title"], "ALARM: sample-app-database-cpu")

    def test_an_auto_scaling_event_is_posted_with_instance_cause_and_link(self):
        attachment = self.attachment(LAUNCH, 'Auto Scaling: launch for group "sample-app"')
        self.assertEqual(attachment["title"], 'Auto Scaling: launch for group "sample-app"')
        self.assertEqual(attachment["title_link"], "https://ap-northeast-1.console.aws.amazon.com/ec2/home?region=ap-northeast-1"
                                                   "#AutoScalingGroupDetails:id=sample-app")
        self.assertIn("from 1 to 2", attachment["text"])
        self.assertEqual(self.fields(attachment), {"Instance": "i-0c55bedeb30ef1f08", "Zone": "ap-northeast-1a"})

    def test_a_failed_launch_is_red_and_says_why(self):
        attachment = self.attachment({**LAUNCH, "Event": "autoscaling:EC2_INSTANCE_LAUNCH_ERROR", "StatusMessage": "VcpuLimitExceeded"})
        self.assertEqual(attachment["color"], "danger")
        self.assertIn("VcpuLimitExceeded", attachment["text"])

    def test_the_test_notification_of_auto_scaling_is_posted(self):
        attachment = self.attachment(TEST_NOTIFICATION, None)
        self.assertEqual(attachment["title"], "autoscaling:TEST_NOTIFICATION sample-app")

    def test_unknown_messages_are_posted_as_they_are(self):
        budget = "AWS Budget Notification November 28, 2026\nAWS Account 123456789012\n\nDear AWS Customer, ..."
        for text, subject in [(json.dumps(RDS_EVENT), "RDS Notification Message"), (budget, "AWS Budgets: sample-app has exceeded"), ("", "empty")]:
            self.assertEqual(self.posted(text, subject), {"text": f"{subject}\n{text}", "mrkdwn": False})
        for text in ["plain", "[1, 2]", "42", "null", '"text"', "{}"]:
            self.assertEqual(self.posted(text, None)["text"], text)

    def test_messages_of_a_known_kind_with_another_shape_are_posted_as_they_are(self):
        for message in [{**ALARM, "AlarmArn": None}, {**ALARM, "AlarmArn": "x"}, {**ALARM, "NewStateReason": None}, {**ALARM, "Trigger": []},
                        {key: value for key, value in LAUNCH.items() if key != "AutoScalingGroupARN"}, {**LAUNCH, "Details": 1}]:
            self.assertEqual(self.posted(message, None), {"text": handler.escape(json.dumps(message)), "mrkdwn": False})

    def test_a_message_cannot_mention_or_link(self):
        self.assertEqual(self.posted("<!channel> & <https://example.com|x>", None)["text"],
                         "&lt;!channel&gt; &amp; &lt;https://example.com|x&gt;")
        self.assertNotIn("<", json.dumps(self.posted({**ALARM, "AlarmDescription": "<!here>"})))

    def test_a_message_that_is_longer_than_slack_takes_says_how_much_is_missing(self):
        text = self.posted("x" * 40_000, None)["text"]
        self.assertLess(len(text), 40_000)
        self.assertTrue(text.endswith("… and 2000 more characters"))

    def test_a_long_message_of_marks_stays_below_what_slack_takes(self):
        self.assertLess(len(self.posted("<" * 256_000, None)["text"]), 40_000)

    def test_all_records_are_posted(self):
        event = {"Records": [*sns_event("one", None)["Records"], *sns_event("two", None)["Records"]]}
        handler.handler(event, None)
        self.assertEqual([message["text"] for _, message in self.server.posted], ["one", "two"])

    def test_the_webhook_is_read_once_and_again_after_a_refusal(self):
        self.posted("one")
        self.posted("two")
        self.assertEqual(len([call for call in self.server.calls if call[0] == "GetSecretValue"]), 1)
        self.server.slack_answer = 404
        with self.assertRaisesRegex(RuntimeError, "^Slack answered 404: no_service$"):
            self.posted("three")
        self.server.slack_answer = 200
        self.set_webhook(f"{self.address}/hook/2\n")
        self.posted("three")
        self.assertEqual(self.server.posted[-1][0], "/hook/2")

    def test_errors_never_contain_the_webhook(self):
        self.server.slack_answer = 500
        with self.assertRaises(RuntimeError) as failed:
            self.posted(ALARM)
        self.set_webhook('{"url": "https://hooks.slack.com/services/SECRET"}')
        with self.assertRaisesRegex(RuntimeError, "plain text") as unusable:
            self.posted(ALARM)
        for error in [failed.exception, unusable.exception, *self.printed.call_args_list]:
            self.assertNotIn("hook/", str(error))
            self.assertNotIn("SECRET", str(error))

    def test_requests_to_aws_are_signed(self):
        self.posted(ALARM)
        for _, _, headers in self.server.calls:
            self.assertRegex(headers["Authorization"], "^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]{8}/ap-northeast-1/"
                             "(monitoring|secretsmanager)/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
                             "Signature=[0-9a-f]{64}$")
            self.assertEqual(headers["X-Amz-Security-Token"], "token")

    def test_signatures_are_those_of_the_sdk(self):
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        now = datetime.datetime(2026, 11, 28, 17, 43, 27, tzinfo=datetime.timezone.utc)
        headers = {"content-type": "application/x-amz-json-1.1", "host": "secretsmanager.ap-northeast-1.amazonaws.com",
                   "x-amz-target": "secretsmanager.GetSecretValue"}
        for token in [None, "session/token=="]:
            credentials = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/EXAMPLEKEY", "AWS_SESSION_TOKEN": token}
            ours = aws_api.sign("secretsmanager", "ap-northeast-1", headers, b"{}", credentials, now)
            request = AWSRequest("POST", "https://secretsmanager.ap-northeast-1.amazonaws.com/", headers, b"{}")
            sdk = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalr/EXAMPLEKEY", token), "secretsmanager", "ap-northeast-1")
            if token:
                request.headers["X-Amz-Security-Token"] = token
            request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
            request.headers["X-Amz-Date"] = request.context["timestamp"]
            signature = sdk.signature(sdk.string_to_sign(request, sdk.canonical_request(request)), request)
            self.assertTrue(ours["authorization"].endswith(f"Signature={signature}"), ours)


class SlackLambdaFolder(unittest.TestCase):
    def test_it_needs_nothing_but_the_standard_library(self):
        import ast
        folder = pathlib.Path(handler.__file__).parent
        self.assertEqual(sorted(file.name for file in folder.iterdir() if file.name != "__pycache__"), ["aws_api.py", "handler.py"])
        for file in folder.glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    self.assertIn(name.partition(".")[0], {*sys.stdlib_module_names, "aws_api"}, file.name)


if __name__ == "__main__":
    unittest.main()
