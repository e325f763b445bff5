"""Assertions on the layers network, data, app, beanstalk, dns and mail, with parameters and conditions resolved: what cfn-lint
lets pass."""
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

AWS = pathlib.Path(__file__).parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(AWS / "diagram"))
from templates import Resolver, load

ROOT = AWS.parents[1]
TEMPLATES = load()
ARN = "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:"
NETWORK = {"Name": "sample-app", "BastionImage": "ami-1"}
DATA = {
    "Name": "sample-app", "PrivateSubnets": "subnet-3,subnet-4", "DatabaseSecurityGroup": "sg-database", "CacheSecurityGroup": "sg-cache",
    "DatabaseVersion": "8.4.9", "CacheVersion": "8.1", "CacheFamily": "valkey8",
}
OF_LAYERS = {
    "Name": "sample-app", "VpcId": "vpc-1", "PublicSubnets": "subnet-1,subnet-2", "AppSubnets": "subnet-3,subnet-4", "AppPublicIp": "false",
    "LoadBalancerSecurityGroup": "sg-balancer", "AppSecurityGroup": "sg-app", "DatabaseHost": "db.rds.amazonaws.com",
    "DatabaseSecretArn": ARN + "database-AbCdEf", "CacheUrlSecretArn": ARN + "cache-AbCdEf", "CacheCluster": "false",
    "SecretKeyBaseArn": ARN + "key-AbCdEf", "PicturesBucket": "pictures", "ArtifactsBucket": "artifacts",
}
APP = {**OF_LAYERS, "ImageId": "ami-1", "ReleaseKey": "releases/sample-app-1.tar.gz", "ReleaseDigest": "0" * 64}
BEANSTALK = {**OF_LAYERS, "SolutionStack": "64bit Amazon Linux 2023 v4.1.0 running Go 1", "ReleaseKey": "releases/sample-app-1.zip"}
HTTPS = {"HostName": "www.example.com", "CertificateArn": "arn:aws:acm:ap-northeast-1:123456789012:certificate/1"}
MAIL = {"Name": "sample-app", "Domain": "example.com", "HostedZone": "Z1", "AppUrl": "https://www.example.com"}
SENDS = {"SmtpUrl": "smtps://AKIAEXAMPLE@email-smtp.ap-northeast-1.amazonaws.com:465", "SesSecretArn": ARN + "ses-AbCdEf"}

NETWORKS = [{**NETWORK, "NatGateways": nat, **bastion} for nat, bastion in itertools.product(
    "012", [{}, {"BastionKey": "key", "BastionFrom": "198.51.100.7/32"}])]
DATAS = [{**DATA, "CacheMode": mode, "CacheNodes": nodes, "ReadReplica": replica, "DatabaseProxy": proxy, "Protect": protect}
         for mode, nodes, replica, proxy, protect in itertools.product(
             ["nodes", "cluster", "serverless"], [1, 2], ["true", "false"], ["true", "false"], ["true", "false"])]
APPS = [{**APP, **https, **sends, "Scaling": scaling, **alarms} for https, sends, scaling, alarms in itertools.product(
    [{}, HTTPS], [{}, SENDS], ["steps", "target"], [{}, {"AlarmTopic": "arn:aws:sns:ap-northeast-1:123456789012:alarms"}])]
BEANSTALKS = [{**BEANSTALK, **https, **sends, "DatabaseProxy": proxy} for https, sends, proxy in itertools.product(
    [{}, HTTPS], [{}, SENDS], ["true", "false"])]

# Every policy statement with a resource or principal of "*", by layer and Sid.
STARS = {
    ("app", "OwnHealth"): "elasticloadbalancing:DescribeTargetHealth takes no other resource",
    ("data", "OnlyByTls"): "a Deny for everybody who does not use TLS",
}


def resolved(layer, parameters):
    return Resolver(TEMPLATES[layer], parameters).resources


def of_type(resources, kind):
    return {name: resource.get("Properties", {}) for name, resource in resources.items() if resource["Type"] == kind}


def variants():
    for layer, all_parameters in {
        "network": NETWORKS, "data": DATAS, "app": APPS, "beanstalk": BEANSTALKS,
        "dns": [{"Name": "sample-app", "VpcId": "vpc-1", "DatabaseEndpoint": "db", "CacheHost": "cache", **more} for more in (
            {}, {"WebTarget": "lb"}, {"WebTarget": "lb", "WebTargetZone": "Z2", "HostName": "www.example.com", "HostedZone": "Z1"},
            {"WebTarget": "lb", "HostName": "www.example.com", "HostedZone": "Z1"})],
        "mail": [MAIL, {**MAIL, "AppUrl": ""}],
    }.items():
        for parameters in all_parameters:
            yield layer, parameters, resolved(layer, parameters)


def statements(value):
    """All statements of policies, wherever they are."""
    if isinstance(value, list):
        return [found for item in value for found in statements(item)]
    if not isinstance(value, dict):
        return []
    own = value["Statement"] if "Statement" in value else []
    return [*own, *(found for item in value.values() for found in statements(item))]


def as_list(value):
    return value if isinstance(value, list) else [value]


class Network(unittest.TestCase):
    def reach(self, parameters):
        resources = resolved("network", parameters)
        return {(rule.get("CidrIp") or rule["SourceSecurityGroupId"], rule["GroupId"], rule["FromPort"], rule["ToPort"])
                for rule in of_type(resources, "AWS::EC2::SecurityGroupIngress").values()}

    def test_who_reaches_whom(self):
        """The whole table: from, to, first port, last port."""
        expected = {
            ("0.0.0.0/0", "<LoadBalancerSecurityGroup>", 80, 80),
            ("0.0.0.0/0", "<LoadBalancerSecurityGroup>", 443, 443),
            ("<LoadBalancerSecurityGroup>", "<AppSecurityGroup>", 3000, 3000),
            ("<AppSecurityGroup>", "<DatabaseSecurityGroup>", 3306, 3306),
            ("<DatabaseSecurityGroup>", "<DatabaseSecurityGroup>", 3306, 3306),  # RDS Proxy
            ("<AppSecurityGroup>", "<CacheSecurityGroup>", 6379, 6380),
        }
        self.assertEqual(self.reach(NETWORK), expected)
        bastion = {("198.51.100.7/32", "<BastionSecurityGroup>", 22, 22), ("<BastionSecurityGroup>", "<AppSecurityGroup>", 22, 22)}
        self.assertEqual(self.reach(NETWORKS[1]), expected | bastion)
        beanstalk = self.reach({**NETWORK, "AppPort": 80})
        self.assertEqual(beanstalk - expected, {("<LoadBalancerSecurityGroup>", "<AppSecurityGroup>", 80, 80)})

    def test_groups_have_no_rules_of_their_own(self):
        for layer, parameters, resources in variants():
            for name, group in of_type(resources, "AWS::EC2::SecurityGroup").items():
                self.assertFalse({"SecurityGroupIngress", "SecurityGroupEgress"} & group.keys(), name)

    def test_nat_gateways_are_as_many_as_asked_for(self):
        for parameters in NETWORKS:
            resources = resolved("network", parameters)
            wanted = int(parameters["NatGateways"])
            self.assertEqual(len(of_type(resources, "AWS::EC2::NatGateway")), wanted)
            self.assertEqual(len(of_type(resources, "AWS::EC2::EIP")), wanted)
            outputs = Resolver(TEMPLATES["network"], parameters).outputs
            self.assertEqual(outputs["AppPublicIp"], "false" if wanted else "true")
            self.assertEqual(outputs["AppSubnets"], outputs["PrivateSubnets" if wanted else "PublicSubnets"])
            ways_out = {route["RouteTableId"]: route.get("NatGatewayId") for route in of_type(resources, "AWS::EC2::Route").values()
                        if "NatGatewayId" in route}
            self.assertEqual(ways_out, [{}, {"<PrivateRoutes1>": "<NatGateway1>", "<PrivateRoutes2>": "<NatGateway1>"},
                                        {"<PrivateRoutes1>": "<NatGateway1>", "<PrivateRoutes2>": "<NatGateway2>"}][wanted])

    def test_no_bastion_unless_asked_for(self):
        self.assertEqual([len(of_type(resolved("network", parameters), "AWS::EC2::Instance")) for parameters in NETWORKS], [0, 1] * 3)

    def test_each_subnet_has_the_routes_of_its_kind(self):
        links = of_type(resolved("network", NETWORK), "AWS::EC2::SubnetRouteTableAssociation").values()
        self.assertEqual({link["SubnetId"]: link["RouteTableId"] for link in links}, {
            "<PublicSubnet1>": "<PublicRoutes>", "<PublicSubnet2>": "<PublicRoutes>",
            "<PrivateSubnet1>": "<PrivateRoutes1>", "<PrivateSubnet2>": "<PrivateRoutes2>"})


class Data(unittest.TestCase):
    def test_the_database_is_private_encrypted_and_backed_up(self):
        for parameters in DATAS:
            resources = resolved("data", parameters)
            database = resources["Database"]["Properties"]
            self.assertIs(database["PubliclyAccessible"], False)
            self.assertIs(database["StorageEncrypted"], True)
            self.assertGreaterEqual(database["BackupRetentionPeriod"], 7)
            self.assertGreater(database["MaxAllocatedStorage"], database["AllocatedStorage"])
            self.assertIs(database["EnableIAMDatabaseAuthentication"], True)
            self.assertEqual(database["VPCSecurityGroups"], ["sg-database"])
            settings = resources["DatabaseParameters"]["Properties"]
            self.assertEqual(settings["Family"], "mysql8.4")
            self.assertEqual(settings["Parameters"]["require_secure_transport"], "1")
            self.assertEqual(settings["Parameters"]["character_set_server"], "utf8mb4")
            self.assertEqual(settings["Parameters"]["slow_query_log"], "1")
            # Names as RDS has them: a wrong one fails only there.
            self.assertLessEqual(settings["Parameters"].keys(), {
                "character_set_server", "require_secure_transport", "slow_query_log", "long_query_time", "log_output", "gtid-mode",
                "enforce_gtid_consistency"})

    def test_one_parameter_protects_the_database_and_keeps_a_snapshot(self):
        for parameters in DATAS:
            resources = resolved("data", parameters)
            protected = parameters["Protect"] == "true"
            self.assertEqual(resources["Database"]["DeletionPolicy"], "Snapshot" if protected else "Delete")
            self.assertEqual(resources["Database"]["UpdateReplacePolicy"], "Snapshot")
            self.assertEqual(resources["Database"]["Properties"]["DeletionProtection"], parameters["Protect"])
            # RDS does not delete an option group that a snapshot refers to.
            self.assertEqual(resources["DatabaseOptions"]["DeletionPolicy"], "Retain" if protected else "Delete")

    def test_rds_keeps_the_password_unless_there_is_a_replica(self):
        """RDS for MySQL refuses replicas of a database whose password it manages."""
        for parameters in DATAS:
            resources = resolved("data", parameters)
            database = resources["Database"]["Properties"]
            has_replica = parameters["ReadReplica"] == "true"
            self.assertEqual("DatabaseReplica" in resources, has_replica)
            self.assertEqual("DatabaseSecret" in resources, has_replica)
            self.assertIs(database["ManageMasterUserPassword"], not has_replica)
            self.assertEqual("MasterUserPassword" in database, has_replica)
            secret = Resolver(TEMPLATES["data"], parameters).outputs["DatabaseSecretArn"]
            self.assertEqual(secret, "<DatabaseSecret>" if has_replica else "<Database.MasterUserSecret.SecretArn>")
            if parameters["DatabaseProxy"] == "true":
                self.assertEqual(resources["Proxy"]["Properties"]["Auth"][0]["SecretArn"], secret)
                self.assertIs(resources["Proxy"]["Properties"]["RequireTLS"], True)
            else:
                self.assertNotIn("Proxy", resources)

    def test_the_cache_has_auth_and_tls_together(self):
        for parameters in DATAS:
            resources = resolved("data", parameters)
            if parameters["CacheMode"] == "serverless":
                self.assertNotIn("Cache", resources)
                self.assertEqual(resources["ServerlessCache"]["Properties"]["UserGroupId"], "<CacheUsers>")
                self.assertRegex(resources["CacheUrl"]["Properties"]["SecretString"], r"^rediss://sample-app:\{\{resolve:")
                continue
            cache = resources["Cache"]["Properties"]
            self.assertIs(cache["TransitEncryptionEnabled"], True)
            self.assertIs(cache["AtRestEncryptionEnabled"], True)
            self.assertEqual(cache["AuthToken"], "{{resolve:secretsmanager:<CacheToken>}}")
            self.assertRegex(resources["CacheUrl"]["Properties"]["SecretString"], r"^rediss://:\{\{resolve:secretsmanager:<CacheToken>\}\}@<Cache\.")
            two, cluster = parameters["CacheNodes"] == 2, parameters["CacheMode"] == "cluster"
            self.assertIs(cache["MultiAZEnabled"], two)
            self.assertIs(cache["AutomaticFailoverEnabled"], two or cluster)
            self.assertTrue(not cache["MultiAZEnabled"] or cache["AutomaticFailoverEnabled"])
            self.assertEqual(cache["ReplicasPerNodeGroup"], 1 if two else 0)
            self.assertEqual(resources["CacheParameters"]["Properties"]["Properties"]["cluster-enabled"], "yes" if cluster else "no")
            self.assertEqual(resources["CacheParameters"]["Properties"]["CacheParameterGroupFamily"], "valkey8")
            self.assertRegex(cache["CacheNodeType"], r"^cache\.[a-z0-9]+\.[a-z0-9]+$")

    def test_generated_passwords_fit_where_they_go(self):
        for secret in of_type(resolved("data", DATAS[0]), "AWS::SecretsManager::Secret").values():
            made = secret.get("GenerateSecretString")
            if made:
                self.assertIs(made["ExcludePunctuation"], True)  # in a URL; AUTH refuses some, too
                self.assertTrue(16 <= made["PasswordLength"] <= 128)
        self.assertGreaterEqual(resolved("data", DATA)["SecretKeyBase"]["Properties"]["GenerateSecretString"]["PasswordLength"], 64)

    def test_buckets_are_private_encrypted_and_refuse_plain_http(self):
        resources = resolved("data", {**DATA, "PicturesDistribution": "arn:aws:cloudfront::123456789012:distribution/E1"})
        buckets = of_type(resources, "AWS::S3::Bucket")
        self.assertEqual(set(buckets), {"Pictures", "Artifacts"})
        policies = {policy["Bucket"]: policy["PolicyDocument"]["Statement"] for policy in of_type(resources, "AWS::S3::BucketPolicy").values()}
        for name, bucket in buckets.items():
            self.assertEqual(set(bucket["PublicAccessBlockConfiguration"].values()), {True})
            self.assertEqual(bucket["VersioningConfiguration"], {"Status": "Enabled"})
            rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
            self.assertIn("AbortIncompleteMultipartUpload", rules["unfinished-uploads"])
            self.assertIn("NoncurrentVersionExpiration", rules["old-versions"])
            self.assertIn("BucketEncryption", bucket)
            tls = policies[f"<{name}>"][0]
            self.assertEqual((tls["Effect"], tls["Condition"]), ("Deny", {"Bool": {"aws:SecureTransport": "false"}}))
            self.assertEqual(tls["Resource"], [f"<{name}.Arn>", f"<{name}.Arn>/*"])
        reader = policies["<Pictures>"][1]
        self.assertEqual(reader["Condition"], {"StringEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/E1"}})
        self.assertEqual(len(policies["<Artifacts>"]), 1)


class App(unittest.TestCase):
    def test_http_is_redirected_where_there_is_a_certificate(self):
        for parameters in APPS:
            resources = resolved("app", parameters)
            [plain] = resources["HttpListener"]["Properties"]["DefaultActions"]
            if "CertificateArn" in parameters:
                self.assertEqual(plain["RedirectConfig"], {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"})
                secure = resources["HttpsListener"]["Properties"]
                self.assertEqual(secure["Certificates"], [{"CertificateArn": HTTPS["CertificateArn"]}])
                self.assertRegex(secure["SslPolicy"], r"^ELBSecurityPolicy-TLS13-1-2-\d{4}-\d{2}$")
            else:
                self.assertEqual(plain, {"Type": "forward", "TargetGroupArn": "<Targets>"})
                self.assertNotIn("HttpsListener", resources)

    def test_targets_are_asked_readyz_and_drained_for_longer_than_an_instance_needs(self):
        targets = resolved("app", APP)["Targets"]["Properties"]
        self.assertEqual((targets["Port"], targets["HealthCheckPath"]), (3000, "/readyz"))
        self.assertIn('"/readyz"', (ROOT / "src/routes.rs").read_text())
        drain = {each["Key"]: each["Value"] for each in targets["TargetGroupAttributes"]}["deregistration_delay.timeout_seconds"]
        self.assertGreater(int(drain), 5 + 30)  # SHUTDOWN_DELAY and requests in progress

    def test_an_update_waits_until_each_new_instance_is_healthy(self):
        group = resolved("app", {**APP, "MinSize": 2, "MaxSize": 4})["Instances"]
        rolling = group["UpdatePolicy"]["AutoScalingRollingUpdate"]
        self.assertIs(rolling["WaitOnResourceSignals"], True)
        self.assertEqual(rolling["MinInstancesInService"], 2)
        self.assertLess(rolling["MinInstancesInService"], group["Properties"]["MaxSize"])
        self.assertEqual(group["CreationPolicy"]["ResourceSignal"], {"Count": 2, "Timeout": "PT15M"})
        self.assertEqual(group["Properties"]["TargetGroupARNs"], ["<Targets>"])
        self.assertEqual(group["Properties"]["HealthCheckType"], "ELB")
        self.assertNotIn("DesiredCapacity", group["Properties"])  # an update would set it back
        self.assertEqual(group["DependsOn"], "HttpListener")

    def test_it_scales_at_the_figures_of_the_book(self):
        resources = resolved("app", APP)
        alarms = of_type(resources, "AWS::CloudWatch::Alarm")
        self.assertEqual({name: (each["ComparisonOperator"], each["Threshold"], each["AlarmActions"]) for name, each in alarms.items()}, {
            "BusyAlarm": ("GreaterThanOrEqualToThreshold", 60, ["<OneMore>"]),
            "IdleAlarm": ("LessThanOrEqualToThreshold", 30, ["<OneLess>"])})
        self.assertEqual({name: each.get("ScalingAdjustment") for name, each in of_type(resources, "AWS::AutoScaling::ScalingPolicy").items()},
                         {"OneMore": 1, "OneLess": -1})
        target = resolved("app", {**APP, "Scaling": "target"})
        self.assertEqual(set(of_type(target, "AWS::AutoScaling::ScalingPolicy")), {"CpuTarget"})
        self.assertFalse(of_type(target, "AWS::CloudWatch::Alarm"))

    def test_the_group_tells_the_topic_where_there_is_one(self):
        for parameters in APPS:
            group = resolved("app", parameters)["Instances"]["Properties"]
            told = [each["TopicARN"] for each in group.get("NotificationConfigurations", [])]
            self.assertEqual(told, [parameters["AlarmTopic"]] if "AlarmTopic" in parameters else [])

    def test_instances_have_imdsv2_and_an_encrypted_disk(self):
        template = resolved("app", APP)["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
        self.assertEqual(template["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual([(disk["Ebs"]["VolumeType"], disk["Ebs"]["Encrypted"]) for disk in template["BlockDeviceMappings"]], [("gp3", True)])
        self.assertEqual(template["NetworkInterfaces"][0]["Groups"], ["sg-app"])


def user_data(parameters):
    return resolved("app", parameters)["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]


class UserData(unittest.TestCase):
    def test_it_is_correct_bash_and_below_16_kb(self):
        for parameters in APPS:
            script = user_data(parameters)
            self.assertLess(len(script.encode()), 16 * 1024 * 3 // 4, "as base64")
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        shellcheck = pathlib.Path(sys.executable).with_name("shellcheck")
        # In the resolved script names in <> stand for resources.
        script = re.sub(r"<([A-Za-z.]+)>", r"\1", user_data(APPS[-1]))
        checked = subprocess.run([shellcheck, "-"], input=script, text=True, capture_output=True)
        self.assertEqual(checked.stdout, "")

    def test_the_settings_are_the_programs(self):
        known = set(re.findall(r"[A-Z][A-Z0-9_]{3,}", (ROOT / "src/config/settings.rs").read_text()))
        for parameters in APPS:
            block = user_data(parameters).split("<<'SETTINGS'\n")[1].split("SETTINGS\n")[0]
            settings = dict(line.split("=", 1) for line in block.splitlines())
            self.assertLessEqual(settings.keys(), known)
            https = "CertificateArn" in parameters
            self.assertEqual(settings["APP_URL"], "https://www.example.com" if https else "http://<LoadBalancer.DNSName>")
            self.assertEqual(settings["RDS_PASSWORD"], OF_LAYERS["DatabaseSecretArn"] + ":password::")
            for name in ("SECRET_KEY_BASE", "REDIS_URL", "RDS_PASSWORD"):
                self.assertTrue(settings[name].startswith("arn:aws:secretsmanager:"), name)
            self.assertIn(settings["SES_SECRET_ACCESS_KEY"], ("", SENDS["SesSecretArn"]))

    def test_the_release_has_what_it_runs(self):
        """deploy/ec2/install finds its files beside the program."""
        script = user_data(APP)
        self.assertIn("deploy/ec2/install ./sample-app", script)
        self.assertLess(script.index("sha256sum --check"), script.index("tar --extract"))
        for line in re.findall(r"\$here/([a-z0-9./_-]+)", (ROOT / "deploy/ec2/install").read_text()):
            self.assertTrue(line.startswith(("nginx/", "deploy/", ".env.sample")), f"{line} is not in the release that `up` packs")


class Beanstalk(unittest.TestCase):
    def options(self, parameters):
        found = {}
        for option in resolved("beanstalk", parameters)["Environment"]["Properties"]["OptionSettings"]:
            key = option["Namespace"], option["OptionName"]
            self.assertNotIn(key, found)
            found[key] = str(option["Value"])
        return found

    def bundle(self):
        document = yaml.safe_load((ROOT / "deploy/eb/source/.ebextensions/01-environment.config").read_text())
        return {(namespace, name): value for namespace, options in document["option_settings"].items() for name, value in options.items()}

    PROPERTIES = "aws:elasticbeanstalk:application:environment"

    def test_options_are_those_of_the_bundle(self):
        options = self.options(BEANSTALK)
        own = {(self.PROPERTIES, "IMAGES_URL"), (self.PROPERTIES, "SMTP_URL")}  # the bundle keeps both on the disk
        for key, value in self.bundle().items():
            if key in own:
                continue
            said = options[key]
            if isinstance(value, dict):
                self.assertEqual(json.loads(said), value)
            else:
                self.assertEqual(said, str(value).lower() if isinstance(value, bool) else str(value), key)

    def test_every_other_option_is_in_this_list(self):
        """No tool knows them, and a wrong one fails only in AWS. From the developer guide, "General options"."""
        known = {
            "aws:ec2:vpc": {"VPCId", "Subnets", "ELBSubnets", "AssociatePublicIpAddress"},
            "aws:elbv2:loadbalancer": {"SecurityGroups", "ManagedSecurityGroup"},
            "aws:elbv2:listener:default": {"ListenerEnabled"},
            "aws:elbv2:listener:443": {"Protocol", "SSLCertificateArns", "SSLPolicy"},
            "aws:autoscaling:launchconfiguration": {"SecurityGroups", "IamInstanceProfile", "RootVolumeType", "RootVolumeSize"},
            "aws:autoscaling:asg": {"MinSize", "MaxSize"},
            "aws:autoscaling:trigger": {"MeasureName", "Statistic", "Unit", "Period", "EvaluationPeriods", "UpperThreshold",
                                        "UpperBreachScaleIncrement", "LowerThreshold", "LowerBreachScaleIncrement"},
            "aws:ec2:instances": {"InstanceTypes"},
            "aws:elasticbeanstalk:environment": {"ServiceRole"},
        }
        for parameters in BEANSTALKS:
            others = self.options(parameters).keys() - self.bundle().keys()
            for namespace, name in others:
                if namespace == self.PROPERTIES:
                    text = (ROOT / "src/config/settings.rs").read_text()
                    self.assertRegex(text, rf"\b{name}\b")
                else:
                    self.assertIn(name, known[namespace])

    def test_new_accounts_can_make_it(self):
        options = self.options(BEANSTALK)
        self.assertEqual(options["aws:autoscaling:launchconfiguration", "DisableIMDSv1"], "true")
        self.assertEqual(options["aws:autoscaling:launchconfiguration", "RootVolumeType"], "gp3")
        environment = resolved("beanstalk", BEANSTALK)["Environment"]["Properties"]
        self.assertFalse({"CNAMEPrefix", "EnvironmentName"} & environment.keys())

    def test_secrets_are_arns(self):
        options = self.options(BEANSTALKS[-1])
        for name in ("SECRET_KEY_BASE", "REDIS_URL", "RDS_PASSWORD", "SES_SECRET_ACCESS_KEY"):
            self.assertTrue(options[self.PROPERTIES, name].startswith("arn:aws:secretsmanager:"), name)

    def test_the_authorities_are_those_of_the_host(self):
        for parameters in BEANSTALKS:
            proxy = parameters["DatabaseProxy"] == "true"
            self.assertEqual(self.options(parameters)[self.PROPERTIES, "DATABASE_CA_FILE"],
                             "/etc/pki/tls/certs/ca-bundle.crt" if proxy else "/etc/pki/rds/global-bundle.pem")


class Names(unittest.TestCase):
    def test_the_private_zone_has_the_names_of_the_book(self):
        resources = resolved("dns", {"Name": "sample-app", "VpcId": "vpc-1", "DatabaseEndpoint": "db.rds", "CacheHost": "cache.x", "WebTarget": "lb"})
        records = of_type(resources, "AWS::Route53::RecordSet").values()
        self.assertEqual({record["Name"]: record["ResourceRecords"] for record in records},
                         {"db.home": ["db.rds"], "cache.home": ["cache.x"], "web.home": ["lb"]})
        self.assertEqual(resources["PrivateZone"]["Properties"]["VPCs"], [{"VPCId": "vpc-1", "VPCRegion": "ap-northeast-1"}])
        self.assertNotIn("Certificate", resources)

    def test_the_public_name_leads_to_the_load_balancer_once_it_is_there(self):
        base = {"Name": "sample-app", "VpcId": "vpc-1", "DatabaseEndpoint": "db", "CacheHost": "c", "HostName": "www.example.com", "HostedZone": "Z1"}
        self.assertFalse({"PublicAlias", "PublicCname"} & resolved("dns", base).keys())
        ec2 = resolved("dns", {**base, "WebTarget": "lb", "WebTargetZone": "Z2"})
        self.assertEqual(ec2["PublicAlias"]["Properties"]["AliasTarget"]["DNSName"], "lb")
        self.assertNotIn("PublicCname", ec2)
        beanstalk = resolved("dns", {**base, "WebTarget": "lb"})
        self.assertEqual(beanstalk["PublicCname"]["Properties"]["ResourceRecords"], ["lb"])
        self.assertNotIn("PublicAlias", beanstalk)
        self.assertEqual(ec2["Certificate"]["Properties"]["ValidationMethod"], "DNS")

    def test_mail_has_dkim_spf_and_dmarc(self):
        records = {(record["Name"], record["Type"]): record["ResourceRecords"][0]
                   for record in of_type(resolved("mail", MAIL), "AWS::Route53::RecordSet").values()}
        for number in (1, 2, 3):
            self.assertEqual(records[f"<Identity.DkimDNSTokenName{number}>", "CNAME"], f"<Identity.DkimDNSTokenValue{number}>")
        self.assertEqual(records["bounce.example.com", "TXT"], '"v=spf1 include:amazonses.com -all"')
        self.assertEqual(records["bounce.example.com", "MX"], "10 feedback-smtp.ap-northeast-1.amazonses.com")
        self.assertTrue(records["_dmarc.example.com", "TXT"].startswith('"v=DMARC1; p='))

    def test_bounces_come_to_the_webhook_once_the_application_is_there(self):
        resources = resolved("mail", MAIL)
        self.assertEqual(resources["Subscription"]["Properties"]["Endpoint"], "https://www.example.com/webhooks/ses")
        self.assertIn('"/webhooks/ses"', (ROOT / "src/routes.rs").read_text())
        self.assertIs(resources["Subscription"]["Properties"]["RawMessageDelivery"], False)
        self.assertNotIn("Subscription", resolved("mail", {**MAIL, "AppUrl": ""}))
        self.assertEqual(resources["Events"]["Properties"]["EventDestination"]["MatchingEventTypes"], ["BOUNCE", "COMPLAINT"])

    def test_the_smtp_user_may_send_and_nothing_else(self):
        [statement] = statements(resolved("mail", MAIL)["SmtpUser"])
        self.assertEqual(statement["Action"], "ses:SendRawEmail")
        kinds = [resource.rpartition(":")[2] for resource in statement["Resource"]]
        self.assertEqual((len(kinds), kinds[0], kinds[1].partition("/")[0], "*" in kinds[1]), (2, "identity/*", "configuration-set", False))
        self.assertEqual(statement["Condition"], {"StringLike": {"ses:FromAddress": "*@example.com"}})


class Rights(unittest.TestCase):
    def test_no_star_but_those_with_a_reason(self):
        found = set()
        for layer, parameters, resources in variants():
            for statement in statements(list(resources.values())):
                actions, targets = as_list(statement.get("Action", [])), as_list(statement.get("Resource", []))
                self.assertNotIn("NotAction", statement)
                if statement["Effect"] == "Allow":
                    self.assertFalse([action for action in actions if "*" in action], layer)
                if "*" in targets or statement.get("Principal") == "*":
                    self.assertIn((layer, statement.get("Sid")), STARS)
                    found.add((layer, statement["Sid"]))
        self.assertEqual(found, STARS.keys())

    def test_roles_are_for_the_service_that_takes_them(self):
        services = {"ProxyRole": "rds.amazonaws.com", "InstanceRole": "ec2.amazonaws.com", "ServiceRole": "elasticbeanstalk.amazonaws.com"}
        for layer, parameters, resources in variants():
            for name, role in of_type(resources, "AWS::IAM::Role").items():
                [trust] = role["AssumeRolePolicyDocument"]["Statement"]
                self.assertEqual((trust["Principal"], trust["Action"]), ({"Service": services[name]}, "sts:AssumeRole"))

    def test_instances_read_exactly_the_secrets_that_their_settings_name(self):
        for layer, all_parameters in (("app", APPS), ("beanstalk", BEANSTALKS)):
            for parameters in all_parameters:
                resources = resolved(layer, parameters)
                [secrets] = [each for each in statements(resources["InstanceRole"]) if each.get("Sid") == "Secrets"]
                self.assertEqual(secrets["Action"], "secretsmanager:GetSecretValue")
                named = set(re.findall(r"arn:aws:secretsmanager:[a-z0-9-]+:\d+:secret:[A-Za-z]+-[A-Za-z]{6}", json.dumps(
                    resources["LaunchTemplate" if layer == "app" else "Environment"])))
                self.assertEqual(set(secrets["Resource"]), named)

    def test_parliament_finds_nothing(self):
        from parliament import analyze_policy_string
        seen = set()
        for layer, parameters, resources in variants():
            for kind in ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
                for name, properties in of_type(resources, kind).items():
                    for policy in properties.get("Policies", []):
                        text = json.dumps(policy["PolicyDocument"])
                        # parliament wants ARNs, not names of resources.
                        text = re.sub(r"<[A-Za-z]+(\.[A-Za-z.]+)?>(?=[\",])", "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf", text)
                        text = text.replace("<ConfigurationSet>", "sample-app")
                        if text in seen:
                            continue
                        seen.add(text)
                        findings = [finding for finding in analyze_policy_string(text).findings if finding.issue not in ("RESOURCE_STAR",)]
                        self.assertEqual([f"{finding.issue} {finding.detail}" for finding in findings], [], f"{layer} {name}")
        self.assertGreater(len(seen), 4)


class All(unittest.TestCase):
    def test_every_parameter_is_an_output_or_is_given_by_up(self):
        """A misspelt name would leave a default in its place."""
        outputs = {name for template in TEMPLATES.values() for name in template["Outputs"]}
        script = (AWS / "up").read_text()
        given = set(re.findall(r"\[([A-Z][A-Za-z]+)\]=", script)) | set(re.findall(r"value\[([A-Z][A-Za-z]+)\]", script))
        given |= {word.split(":")[1] for word in re.findall(r"[a-z]+:[A-Z][A-Za-z]+", script)}
        given |= set(re.findall(r"keep_or [a-z]+ ([A-Za-z]+)", script))
        # With a default that only --set changes.
        chosen = {"BackupDays", "BastionFrom", "BastionImage", "BastionType", "Scaling", "OpenSearchType", "OpenSearchStorage", "LogstashType",
                  "LogstashImage", "LogstashSeries", "PicturesDistribution", "PicturesUrl", "MonthlyBudget"}
        for layer, template in TEMPLATES.items():
            for name in template["Parameters"]:
                self.assertIn(name, outputs | given | chosen, layer)

    def test_required_parameters_have_no_default_that_expires(self):
        for layer, template in TEMPLATES.items():
            for name, parameter in template["Parameters"].items():
                if name.endswith("Version") or name in ("ImageId", "SolutionStack", "CacheFamily"):
                    self.assertNotIn("Default", parameter, f"{layer}: {name}")

    def test_templates_fit_into_a_request(self):
        for file in (AWS / "templates").glob("*.yaml"):
            self.assertLess(file.stat().st_size, 51_200, file.name)

    def test_two_layers_do_not_put_out_the_same_name(self):
        """`app` and `beanstalk` do: there is only one of them."""
        seen = {}
        for layer, template in TEMPLATES.items():
            for name in template["Outputs"]:
                seen.setdefault(name, []).append(layer)
        self.assertEqual({name: layers for name, layers in seen.items() if len(layers) > 1 and layers != ["app", "beanstalk"]}, {})


class Scripts(unittest.TestCase):
    def test_shellcheck_finds_nothing(self):
        shellcheck = pathlib.Path(sys.executable).with_name("shellcheck")
        files = [str((AWS / name).relative_to(ROOT)) for name in ("up", "down", "status", "release", "common", "check", "first-admin")]
        checked = subprocess.run([shellcheck, "-x", *files], cwd=ROOT, text=True, capture_output=True)
        self.assertEqual(checked.stdout, "")

    def test_packing_the_same_files_makes_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            program.write_text("#!/bin/sh\n")
            script = f"""
                work=$(mktemp -d {folder}/XXXX) here={AWS}
                {re.search(r"^pack[(][)].*?^}", (AWS / "up").read_text(), re.S | re.M)[0]}
                pack {program} $work/out && sha256sum <$work/out && tar -tzf $work/out"""
            first, second = (subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, text=True, capture_output=True).stdout for _ in "12")
            self.assertEqual(first, second)
            names = first.splitlines()
            for name in ("./sample-app", "./deploy/ec2/install", "./nginx/sample-app.conf", "./.env.sample", "./deploy/aws/cloudwatch-agent.json"):
                self.assertIn(name, names)


if __name__ == "__main__":
    unittest.main()
