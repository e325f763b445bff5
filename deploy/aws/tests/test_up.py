"""up, status, release and down against MiniStack, with the real aws command; afterwards boto3 looks for what should be there.

MiniStack starts no instances and no databases, and the types that it does not know are placeholders (ministack_server.py)."""
import hashlib
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stand_ins import REGION, StackTest

EC2 = ["network", "data", "alerts", "dns", "app", "watch"]
BEANSTALK = ["network", "data", "alerts", "dns", "mail", "beanstalk", "watch"]


class Ec2(StackTest):
    """One after the other, on one account."""

    def test_1_up_makes_the_layers_in_order(self):
        said = self.up("--release", self.program, "--mail", "me@example.org")
        made = [line.split(" --stack-name sample-app-")[1].split()[0] for line in self.calls("create-stack")]
        self.assertEqual([layer for layer in made if layer != "budget"], EC2)
        self.assertEqual({layer: stack["StackStatus"] for layer, stack in self.stacks().items() if not stack["StackStatus"].endswith("_COMPLETE")}, {})
        self.assertRegex(said, r"about \$0\.\d+ an hour, \$\d+ a month")
        self.assertIn(self.outputs("app")["AppUrl"] + " is there.", said)
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
        self.assertIn("me@example.org is an administrator now.", self.up("--admin", "me@example.org"))
        command, = self.calls("send-command")
        self.assertIn("--instance-ids i-0123456789abcdef0", command)
        self.assertIn("EnvironmentFile=/etc/sample-app/sample-app.env", command)
        self.assertIn("/opt/sample-app/sample-app admin grant me@example.org'", command)
        self.assertIn("is no address", self.up("--admin", "'; rm -rf /; x@y.z", code=2))
        self.assertEqual(self.calls("send-command"), [])

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


class Beanstalk(StackTest):
    def test_1_up_makes_an_environment_and_all_that_a_domain_needs(self):
        self.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        self.up("--way", "beanstalk", "--size", "production", "--domain", "example.com", "--with", "proxy,serverless", "--release", self.program)
        self.assertEqual([layer for layer in self.stacks() if layer == "app"], [])
        self.assertEqual(set(BEANSTALK), self.stacks().keys() - {"budget"})
        environment, = self.placeholders("AWS::ElasticBeanstalk::Environment")
        # The newest of Go on Amazon Linux 2023 by version, not by letters.
        self.assertEqual(environment["SolutionStackName"], "64bit Amazon Linux 2023 v4.11.1 running Go 1")
        options = {(each["Namespace"], each["OptionName"]): each["Value"] for each in environment["OptionSettings"]}
        properties = {name: value for (namespace, name), value in options.items() if namespace == "aws:elasticbeanstalk:application:environment"}
        self.assertEqual(properties["APP_URL"], "https://www.example.com")
        self.assertRegex(properties["SMTP_URL"], r"^smtps://\S+@email-smtp\.ap-northeast-1\.amazonaws\.com:465$")
        self.assertEqual(properties["REDIS_CLUSTER"], "true")
        self.assertEqual(properties["RDS_HOSTNAME"], self.outputs("data")["DatabaseHost"])
        self.assertEqual(properties["DATABASE_CA_FILE"], "/etc/pki/tls/certs/ca-bundle.crt")
        self.assertIn(("aws:elbv2:listener:443", "SSLCertificateArns"), options)

    def test_2_the_public_name_leads_to_it_and_bounces_come_to_it(self):
        zone, = (each for each in self.client("route53").list_hosted_zones()["HostedZones"] if each["Name"] == "example.com.")
        records = {each["Name"]: each for each in self.client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]}
        self.assertEqual(records["www.example.com."]["Type"], "CNAME")
        self.assertIn("_dmarc.example.com.", records)
        subscriptions = self.client("sns").list_subscriptions()["Subscriptions"]
        self.assertIn("https://www.example.com/webhooks/ses", [each["Endpoint"] for each in subscriptions])
        watched = {each["ParameterKey"]: each["ParameterValue"] for each in self.stacks()["watch"]["Parameters"]}
        self.assertTrue(watched["LoadBalancerFullName"].startswith("app/awseb-"))

    def test_3_up_again_changes_nothing(self):
        said = self.up()
        for layer in BEANSTALK:
            self.assertIn(f"{layer}: unchanged", said)

    def test_4_smaller_again_keeps_the_storage_that_rds_cannot_take_back(self):
        self.up("--size", "minimal", "--with", "none")
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in self.stacks()["data"]["Parameters"]}
        self.assertEqual((parameters["DatabaseStorage"], parameters["MultiAz"], parameters["CacheMode"]), ("100", "false", "nodes"))
        self.assertEqual(self.placeholders("AWS::RDS::DBProxy"), [])
        self.assertEqual(self.placeholders("AWS::ElastiCache::ServerlessCache"), [])

    def test_5_a_release_is_a_new_version_of_the_same_environment(self):
        before = self.placeholders("AWS::ElasticBeanstalk::ApplicationVersion")
        second = self.folder / "second.zip"
        second.write_text("not looked into")
        self.script("release", "--region", REGION, second)
        after = self.placeholders("AWS::ElasticBeanstalk::ApplicationVersion")
        self.assertNotEqual([each["SourceBundle"] for each in before], [each["SourceBundle"] for each in after])
        self.assertEqual(len(self.placeholders("AWS::ElasticBeanstalk::Environment")), 1)

    def test_6_the_other_way_is_refused(self):
        self.assertIn("this project runs the other way (beanstalk)", self.up("--way", "ec2", code=1))
        self.assertEqual(self.calls("create-stack") + self.calls("update-stack"), [])

    def test_7_down_leaves_nothing(self):
        self.down()
        self.assertEqual(self.stacks(), {})
        self.assertEqual(self.placeholders("AWS::ElasticBeanstalk::Environment"), [])
        self.assertEqual(self.client("rds").describe_db_snapshots()["DBSnapshots"], [])


class BadInput(StackTest):
    """A clear sentence, and nothing half made."""

    def refused(self, sentence, *arguments, **options):
        said = self.up("--release", self.program, *arguments, **{"code": 1, **options})
        self.assertIn(sentence, said)
        self.assertEqual(self.calls("create-stack"), [])

    def test_words_that_are_not_options(self):
        for arguments, sentence in ([["--size", "huge"], "--size is minimal or production"], [["--way", "ecs"], "--way is ec2 or beanstalk"],
                                    [["--with", "readers,kafka"], "--with knows no kafka"], [["--name", "Sample_App"], "lower case letters"],
                                    [["--domain", "https://x"], "is no domain"], [["--colour", "red"], "--colour is unknown"]):
            self.refused(sentence, *arguments, code=2)

    def test_credentials_and_region(self):
        self.plan_faults({"match": "get-caller-identity", "say": "Unable to locate credentials. You can configure credentials by running \"aws configure\"."})
        self.refused("no credentials of AWS here")
        self.plan_faults({"match": "get-caller-identity", "say": "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: expired"})
        self.refused("your credentials have expired")
        self.plan_faults({"match": "get-caller-identity", "say": 'Could not connect to the endpoint URL: "https://sts.mars-1.amazonaws.com/"'})
        self.refused("nothing answers in region")
        self.plan_faults({"match": "describe-availability-zones", "say": "An error occurred (UnauthorizedOperation): You are not authorized"})
        self.refused("a right is missing")

    def test_a_name_that_is_taken(self):
        self.client("cloudformation").create_stack(StackName="other-network", TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}')
        self.refused("the name other is taken", "--name", "other")

    def test_a_domain_without_zone(self):
        self.refused("Route 53 has no public zone for example.net", "--domain", "example.net")

    def test_quotas(self):
        (self.folder / "quota").write_text("1")
        self.addCleanup((self.folder / "quota").unlink)
        self.refused("aws service-quotas request-service-quota-increase", "--size", "production")

    def test_options_that_exclude_each_other(self):
        self.refused("not both", "--with", "cluster,serverless")
        self.refused("leave one out", "--way", "beanstalk", "--with", "readers,proxy")
        self.refused("--set BastionKey=NAME", "--with", "bastion")

    def test_nobody_to_ask(self):
        said = self.script("up", "--region", REGION, "--release", self.program, code=1)
        self.assertIn("say --yes", said)
        self.assertEqual(self.calls("create-stack"), [])

    def test_status_where_nothing_is(self):
        self.assertIn("there is nothing here", self.script("status", "--region", REGION, code=1))


class Failures(StackTest):
    def test_1_a_layer_that_fails_says_what_failed_first_and_how_to_go_on(self):
        fail = self.folder / "placeholders.fail"
        fail.write_text("DatabaseOptions")
        said = self.up("--release", self.program, code=1)
        self.assertIn("sample-app-data could not be created. The first thing that failed: DatabaseOptions", said)
        self.assertIn("You have reached your quota of this", said)
        self.assertIn(f"deploy/aws/down --name sample-app --region {REGION}", said)
        self.assertEqual(self.stacks()["data"]["StackStatus"], "ROLLBACK_COMPLETE")
        fail.unlink()

    def test_2_the_next_run_takes_it_away_and_goes_on(self):
        self.plan_faults({"match": "describe-stack-events.*sample-app-dns", "delay": 20})
        code, said = self.interrupt("up", "--yes", "--region", REGION, "--release", self.program,
                                    when=lambda: self.calls("describe-stack-events", "sample-app-dns"))
        self.assertIn("sample-app-data was left half made (ROLLBACK_COMPLETE), so it is taken away first", said)
        self.assertEqual(code, 130, said)
        self.assertIn("sample-app-dns goes on being made in AWS", said)

    def test_3_after_an_interruption_the_next_run_goes_on(self):
        said = self.up("--release", self.program)
        self.assertIn("network: unchanged", said)
        self.assertEqual({line.split("--stack-name sample-app-")[1].split()[0] for line in self.calls("create-stack")}, {"app", "watch"})

    def test_4_a_missing_right_is_named(self):
        self.plan_faults({"match": "delete-stack.*sample-app-app", "say": "An error occurred (AccessDenied) when calling DeleteStack"})
        self.assertIn("deleting sample-app-app: a right is missing", self.down(code=1))

    def test_5_what_is_left_is_listed(self):
        self.client("sns").create_topic(Name="forgotten", Tags=[{"Key": "project", "Value": "sample-app"}])
        said = self.down(code=1)
        self.assertIn("This is left", said)
        self.assertRegex(said, r"arn:aws:sns:ap-northeast-1:\d+:forgotten")


if __name__ == "__main__":
    unittest.main()
