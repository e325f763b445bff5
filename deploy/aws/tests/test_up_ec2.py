"""The whole life of a stack on EC2 against MiniStack, with the real aws command; afterwards boto3 looks for what should be there.

MiniStack starts no instances and no databases, and the types that it does not know are placeholders (ministack_server.py).
"""
import hashlib
import json
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stand_ins import AWS, REGION, StackTest

EC2 = ["network", "data", "alerts", "dns", "app", "watch"]


class Ec2(StackTest):
    """One after the other, on one account."""

    def test_1_up_makes_the_layers_in_order(self):
        webhook = self.client("secretsmanager").create_secret(Name="slack-webhook", SecretString="https://hooks.slack.com/services/x")["ARN"]
        said = self.up("--release", self.program, "--mail", "me@example.org", "--slack-webhook", webhook)
        made = [line.split(" --stack-name sample-app-")[1].split()[0] for line in self.calls("create-stack")]
        self.assertEqual([layer for layer in made if layer != "budget"], EC2)
        self.assertEqual({layer: stack["StackStatus"] for layer, stack in self.stacks().items() if not stack["StackStatus"].endswith("_COMPLETE")}, {})
        self.assertEqual([each["FunctionName"] for each in self.client("lambda").list_functions()["Functions"]], ["sample-app-slack"])
        self.assertRegex(said, r"about \$0\.\d+ an hour, \$\d+ a month")
        self.assertIn(self.outputs("app")["AppUrl"] + " is there.", said)
        self.assertIn("me@example.org is an administrator now.", said)
        # An empty account has none of these.
        self.assertEqual([line.rsplit(" ", 1)[1].partition(".")[0] for line in self.calls("create-service-linked-role")],
                         ["autoscaling", "elasticloadbalancing", "rds", "elasticache"])
        for stack in self.stacks().values():
            tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
            self.assertEqual(tags, {"project": "sample-app", "layer": stack["StackName"].removeprefix("sample-app-")})

    def test_2_what_matters_is_as_the_templates_say(self):
        balancer, = self.client("elbv2").describe_load_balancers()["LoadBalancers"]
        listeners = self.client("elbv2").describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        self.assertEqual([(each["Port"], each["DefaultActions"][0]["Type"]) for each in listeners], [(80, "forward")])
        group, = self.client("elbv2").describe_target_groups()["TargetGroups"]
        self.assertEqual((group["Port"], group["HealthCheckPath"]), (3000, "/readyz"))
        attributes = self.client("elbv2").describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])["Attributes"]
        self.assertIn({"Key": "deregistration_delay.timeout_seconds", "Value": "60"}, attributes)
        database, = self.client("rds").describe_db_instances()["DBInstances"]
        self.assertEqual((database["EngineVersion"], database["MultiAZ"], database["PubliclyAccessible"], database["StorageEncrypted"],
                          database["DeletionProtection"]), ("8.4.11", False, False, True, False))
        cache, = self.client("elasticache").describe_replication_groups()["ReplicationGroups"]
        self.assertEqual((cache["TransitEncryptionEnabled"], cache["AuthTokenEnabled"]), (True, True))
        self.assertEqual(self.placeholders("AWS::EC2::NatGateway"), [])
        url = self.client("secretsmanager").get_secret_value(SecretId=self.outputs("data")["CacheUrlSecretArn"])["SecretString"]
        # MiniStack's passwords have punctuation all the same.
        self.assertRegex(url, r"^rediss://:\S{64}@\S+\.primary\.cache\.amazonaws\.com:6379$")

    def test_3_the_release_lies_where_the_instances_fetch_it(self):
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in self.stacks()["app"]["Parameters"]}
        release = self.client("s3").get_object(Bucket=self.outputs("data")["ArtifactsBucket"], Key=parameters["ReleaseKey"])["Body"].read()
        self.assertEqual(hashlib.sha256(release).hexdigest(), parameters["ReleaseDigest"])
        self.assertEqual(parameters["AlarmTopic"], self.outputs("alerts")["AlarmTopic"])

    def test_4_up_again_changes_nothing_and_remembers_what_was_said(self):
        said = self.up()
        self.assertEqual(self.calls("create-stack"), [])
        for layer in EC2:
            self.assertIn(f"{layer}: unchanged", said)
        self.assertEqual(self.calls("s3", "cp"), [])
        self.assertIn("me@example.org", self.client("ssm").get_parameter(Name="/sample-app/choices")["Parameter"]["Value"])

    def test_4b_an_administrator_is_made_on_an_instance_that_is_in_service(self):
        self.assertIn("other@example.org is an administrator now.", self.up("--admin", "other@example.org"))
        command, = self.calls("send-command")
        self.assertIn("--instance-ids i-0123456789abcdef0", command)
        sent = json.loads((self.folder / "sent").read_text())["commands"]
        self.assertRegex(sent[0], r"^systemd-run .*-p EnvironmentFile=/etc/sample-app/sample-app.env bash -s /opt/sample-app/sample-app "
                                  r"other@example.org <<'FIRST_ADMIN'$")
        # Quotes and backslashes arrive as they are.
        self.assertEqual("\n".join(sent[1:-1]) + "\n", (AWS / "first-admin").read_text())
        self.assertEqual(sent[-1], "FIRST_ADMIN")
        self.assertIn("is no address", self.up("--admin", "'; rm -rf /; x@y.z", code=2))
        self.assertEqual(self.calls("send-command"), [])

    def test_4c_an_instance_that_is_not_registered_yet_is_waited_for(self):
        self.plan_faults({"match": "send-command", "say": "An error occurred (InvalidInstanceId) when calling the SendCommand operation: not in a valid state"})
        self.assertIn("other@example.org is an administrator now.", self.up("--admin", "other@example.org"))

    def test_5_another_size_changes_what_depends_on_it(self):
        self.up("--size", "production", "--with", "readers,proxy,logs,edge,people,trail,bastion", "--set", "MaxSize=6",
                "--set", "BastionKey=key", "--set", "BastionFrom=198.51.100.7/32")
        self.assertEqual(sorted(line.split("--stack-name sample-app-")[1].split()[0] for line in self.calls("create-stack")), ["edge", "logs"])
        self.assertEqual([bastion["KeyName"] for bastion in self.placeholders("AWS::EC2::Instance") if "KeyName" in bastion], ["key"])
        self.assertEqual(len(self.placeholders("AWS::EC2::NatGateway")), 2)
        self.assertEqual([proxy["RequireTLS"] for proxy in self.placeholders("AWS::RDS::DBProxy")], [True])
        databases = self.client("rds").describe_db_instances()["DBInstances"]
        self.assertEqual(len(databases), 2)
        main, = (each for each in databases if each["DBInstanceIdentifier"] == self.outputs("data")["DatabaseIdentifier"])
        self.assertEqual((main["MultiAZ"], main["DBInstanceClass"], main["DeletionProtection"]), (True, "db.t4g.medium", True))
        group, = self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        self.assertEqual((group["MinSize"], group["MaxSize"]), (2, 6))

    def test_5b_layers_that_are_no_longer_asked_for_go(self):
        self.up("--with", "readers")
        self.assertFalse({"logs", "edge"} & self.stacks().keys())
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in self.stacks()["app"]["Parameters"]}
        self.assertEqual((parameters["LogstashUrl"], parameters["PicturesUrl"]), ("", ""))
        self.assertEqual(self.placeholders("AWS::EC2::Instance"), [])

    def test_6_a_release_changes_the_application_only(self):
        before = self.stacks()["app"]
        second = self.folder / "second"
        second.write_text("#!/bin/sh\n# second\n")
        said = self.script("release", "--region", REGION, second)
        self.assertIn("data: unchanged", said)
        self.assertEqual({line.split("--stack-name sample-app-")[1].split()[0] for line in self.calls("update-stack")} - {"network"}, {"app"})
        key = [each["ParameterValue"] for each in self.stacks()["app"]["Parameters"] if each["ParameterKey"] == "ReleaseKey"]
        self.assertNotIn(key[0], [each["ParameterValue"] for each in before["Parameters"]])

    def test_7_status_tells_layers_and_addresses(self):
        said = self.script("status", "--region", REGION, code=1)  # nothing answers at the load balancer's name
        for layer in EC2:
            self.assertRegex(said, rf"  {layer} +\w+_COMPLETE")
        self.assertIn("/readyz answers 000", said)
        self.assertIn("available  8.4.11", said)

    def test_8_down_empties_buckets_and_leaves_a_snapshot(self):
        bucket = self.outputs("data")["PicturesBucket"]
        for body in (b"one", b"two"):
            self.client("s3").put_object(Bucket=bucket, Key="picture", Body=body)
        self.client("s3").delete_object(Bucket=bucket, Key="picture")
        said = self.down()
        self.assertIn("This stays: a snapshot of the database", said)
        self.assertEqual(self.stacks(), {})
        self.assertEqual(self.client("s3").list_buckets()["Buckets"], [])
        self.assertEqual(len(self.client("rds").describe_db_snapshots()["DBSnapshots"]), 1)
        calls = self.calls()
        emptied = next(number for number, line in enumerate(calls) if "delete-objects" in line and bucket in line)
        deleted = next(number for number, line in enumerate(calls) if "delete-stack" in line and "sample-app-data" in line)
        unprotected = next(number for number, line in enumerate(calls) if "--no-deletion-protection" in line)
        self.assertTrue(unprotected < deleted and emptied < deleted)
        order = [line.split(":stack/sample-app-")[1].split("/")[0] for line in self.calls("delete-stack")]
        self.assertEqual([layer for layer in order if layer != "budget"], EC2[::-1])
        self.assertEqual(self.placeholders("AWS::EC2::NatGateway"), [])
        for kind in (self.client("ec2").describe_vpcs()["Vpcs"], self.client("ec2").describe_launch_templates()["LaunchTemplates"],
                     self.client("elbv2").describe_load_balancers()["LoadBalancers"], self.client("rds").describe_db_instances()["DBInstances"]):
            self.assertEqual([each for each in kind if not each.get("IsDefault")], [])
        self.assertEqual(self.down().count("Nothing else is left."), 1)


if __name__ == "__main__":
    unittest.main()
