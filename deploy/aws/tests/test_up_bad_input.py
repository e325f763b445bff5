"""What up refuses before it makes anything."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stand_ins import REGION, StackTest


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
        self.refused("MaxSize has to be more than MinSize (2)", "--set", "MinSize=2")

    def test_nobody_to_ask(self):
        said = self.script("up", "--region", REGION, "--release", self.program, code=1)
        self.assertIn("say --yes", said)
        self.assertEqual(self.calls("create-stack"), [])

    def test_status_where_nothing_is(self):
        self.assertIn("there is nothing here", self.script("status", "--region", REGION, code=1))


if __name__ == "__main__":
    unittest.main()
