"""Assertions on the layers budget and edge, with parameters and conditions resolved."""
import fnmatch
import pathlib
import sys
import unittest

AWS = pathlib.Path(__file__).parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(AWS / "diagram"))
from templates import Resolver, load

TEMPLATES = load()


class Budget(unittest.TestCase):
    def resources(self, **parameters):
        return Resolver(TEMPLATES["budget"], {"Name": "sample-app", **parameters}).resources

    def test_there_is_what_is_asked_for(self):
        self.assertEqual(set(self.resources()), set())
        self.assertEqual(set(self.resources(BudgetMail="a@example.com")), {"Budget"})
        self.assertEqual(set(self.resources(People="true")), {"Administrators", "Readers", "OnlyWithMfa"})
        self.assertEqual(set(self.resources(Trail="true")), {"TrailFiles", "TrailFilesPolicy", "ChangeTrail"})

    def test_mails_at_50_80_and_100_percent_of_dollars_a_month(self):
        budget = self.resources(BudgetMail="a@example.com", MonthlyBudget=300)["Budget"]["Properties"]
        self.assertEqual(budget["Budget"]["BudgetLimit"], {"Amount": 300, "Unit": "USD"})
        self.assertEqual((budget["Budget"]["BudgetType"], budget["Budget"]["TimeUnit"]), ("COST", "MONTHLY"))
        mails = budget["NotificationsWithSubscribers"]
        self.assertEqual([mail["Notification"]["Threshold"] for mail in mails], [50, 80, 100])
        for mail in mails:
            self.assertEqual(mail["Subscribers"], [{"SubscriptionType": "EMAIL", "Address": "a@example.com"}])
            self.assertEqual(mail["Notification"]["ThresholdType"], "PERCENTAGE")

    def allowed(self, action, mfa):
        """Whether an administrator who signed in so may do this. `mfa` is None where the request says nothing of it."""
        denied = False
        for statement in self.resources(People="true")["OnlyWithMfa"]["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny":
                self.assertEqual(statement["Condition"], {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})
                self.assertEqual(statement["Resource"], "*")
                denied |= mfa is not True and not any(fnmatch.fnmatch(action, pattern) for pattern in statement["NotAction"])
        return not denied

    def test_without_mfa_people_can_only_set_it_up(self):
        for action in ["ec2:RunInstances", "iam:CreateUser", "iam:DeactivateMFADevice", "iam:DeleteVirtualMFADevice", "iam:CreateAccessKey", "s3:GetObject"]:
            self.assertFalse(self.allowed(action, False), action)
            # Access keys without MFA: the key is missing in the request.
            self.assertFalse(self.allowed(action, None), action)
            self.assertTrue(self.allowed(action, True), action)
        for action in ["iam:CreateVirtualMFADevice", "iam:EnableMFADevice", "iam:ChangePassword", "sts:GetSessionToken"]:
            self.assertTrue(self.allowed(action, False), action)

    def test_both_groups_need_mfa_and_have_one_policy_of_aws(self):
        resources = self.resources(People="true")
        for group, policy in [("Administrators", "AdministratorAccess"), ("Readers", "ReadOnlyAccess")]:
            self.assertEqual(resources[group]["Properties"]["ManagedPolicyArns"], [f"arn:aws:iam::aws:policy/{policy}", "<OnlyWithMfa>"])
        allow = resources["OnlyWithMfa"]["Properties"]["PolicyDocument"]["Statement"][0]
        self.assertEqual(allow["Resource"], ["arn:aws:iam::123456789012:user/${aws:username}", "arn:aws:iam::123456789012:mfa/*"])

    def test_the_trail_writes_to_a_private_bucket_that_forgets(self):
        resources = self.resources(Trail="true")
        bucket, trail = resources["TrailFiles"]["Properties"], resources["ChangeTrail"]
        self.assertTrue(all(bucket["PublicAccessBlockConfiguration"].values()))
        self.assertEqual(bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"], 90)
        self.assertEqual(trail["DependsOn"], "TrailFilesPolicy")
        for name in ("IsLogging", "IsMultiRegionTrail", "EnableLogFileValidation"):
            self.assertIs(trail["Properties"][name], True)
        statements = {statement["Sid"]: statement for statement in resources["TrailFilesPolicy"]["Properties"]["PolicyDocument"]["Statement"]}
        for sid in ("TrailLooks", "TrailWrites"):
            self.assertEqual(statements[sid]["Condition"]["StringEquals"]["aws:SourceArn"],
                             f"arn:aws:cloudtrail:ap-northeast-1:123456789012:trail/{trail['Properties']['TrailName']}")


class Edge(unittest.TestCase):
    def resolved(self, **parameters):
        return Resolver(TEMPLATES["edge"], {"Name": "sample-app", "PicturesDomain": "pictures.s3.ap-northeast-1.amazonaws.com", **parameters})

    def test_only_signed_requests_of_the_distribution_reach_the_bucket(self):
        resources = self.resolved().resources
        config = resources["Distribution"]["Properties"]["DistributionConfig"]
        [origin] = config["Origins"]
        self.assertEqual(origin["OriginAccessControlId"], "<OriginAccess.Id>")
        self.assertEqual(origin["S3OriginConfig"], {"OriginAccessIdentity": ""})
        access = resources["OriginAccess"]["Properties"]["OriginAccessControlConfig"]
        self.assertEqual((access["SigningBehavior"], access["SigningProtocol"], access["OriginAccessControlOriginType"]), ("always", "sigv4", "s3"))
        behavior = config["DefaultCacheBehavior"]
        self.assertEqual((behavior["ViewerProtocolPolicy"], behavior["AllowedMethods"]), ("https-only", ["GET", "HEAD"]))
        self.assertEqual(self.resolved().outputs["PicturesDistribution"], "arn:aws:cloudfront::123456789012:distribution/<Distribution>")
        statements = [item for item in TEMPLATES["data"]["Resources"]["PicturesPolicy"]["Properties"]["PolicyDocument"]["Statement"] if "Fn::If" in item]
        [(condition, allow, _)] = [item["Fn::If"] for item in statements]
        self.assertEqual((condition, allow["Condition"]), ("HasDistribution", {"StringEquals": {"aws:SourceArn": {"Ref": "PicturesDistribution"}}}))

    def test_a_name_of_its_own_only_with_a_domain(self):
        without, with_domain = self.resolved(), self.resolved(Domain="example.com", HostedZone="Z1")
        self.assertEqual(set(without.resources), {"OriginAccess", "Distribution"})
        self.assertEqual(without.outputs["PicturesUrl"], "https://<Distribution.DomainName>")
        config = without.resources["Distribution"]["Properties"]["DistributionConfig"]
        self.assertNotIn("Aliases", config)
        self.assertEqual(config["ViewerCertificate"], {"CloudFrontDefaultCertificate": True})
        config = with_domain.resources["Distribution"]["Properties"]["DistributionConfig"]
        self.assertEqual(config["Aliases"], ["pictures.example.com"])
        self.assertEqual(config["ViewerCertificate"]["AcmCertificateArn"], "<Certificate>")
        self.assertEqual(with_domain.resources["Certificate"]["Properties"]["DomainName"], "pictures.example.com")
        self.assertEqual(with_domain.outputs["PicturesUrl"], "https://pictures.example.com")
        # The setting IMAGES_PUBLIC_URL takes https only.
        for resolved in (without, with_domain):
            self.assertTrue(resolved.outputs["PicturesUrl"].startswith("https://"))


if __name__ == "__main__":
    unittest.main()
