"""The whole life of a stack on Elastic Beanstalk with a domain, against MiniStack."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stand_ins import REGION, StackTest

BEANSTALK = ["network", "data", "alerts", "dns", "mail", "beanstalk", "watch"]


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


if __name__ == "__main__":
    unittest.main()
