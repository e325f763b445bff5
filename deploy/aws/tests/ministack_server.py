"""MiniStack with placeholders for the types of CloudFormation that it does not know: Ref and GetAtt answer, and nothing is behind.

What placeholders were given is appended to the file PLACEHOLDERS, one JSON object a line: made, changed or deleted. If the file
PLACEHOLDERS.fail holds the logical id of one, it cannot be made. The table of handlers is internal to MiniStack, so its version is pinned in scripts/setup.
"""
import json
import os
import uuid

from ministack.services.cloudformation import provisioners

REGION = os.environ["MINISTACK_REGION"]
ACCOUNT = os.environ["MINISTACK_ACCOUNT_ID"]
PLACEHOLDERS = os.environ["PLACEHOLDERS"]

# Types and what GetAtt of each gives.
MISSING = {
    "AWS::EC2::EIP": lambda pid, props: {"AllocationId": "eipalloc-" + uuid.uuid4().hex[:17], "PublicIp": "203.0.113.1"},
    "AWS::EC2::NatGateway": None,
    "AWS::EC2::Instance": lambda pid, props: {"PublicIp": "203.0.113.2", "PrivateIp": "10.0.0.9"},
    "AWS::EC2::SecurityGroupIngress": None,
    "AWS::RDS::OptionGroup": None,
    "AWS::RDS::DBProxy": lambda pid, props: {"Endpoint": f"{pid}.proxy-x.{REGION}.rds.amazonaws.com"},
    "AWS::RDS::DBProxyTargetGroup": None,
    "AWS::ElastiCache::ServerlessCache": lambda pid, props: {
        "Endpoint.Address": f"{pid}.serverless.cache.amazonaws.com", "Endpoint.Port": "6379"},
    "AWS::CloudWatch::CompositeAlarm": None,
    "AWS::IAM::AccessKey": lambda pid, props: {"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
    "AWS::IAM::Group": None,
    "AWS::IAM::UserToGroupAddition": None,
    "AWS::ElasticBeanstalk::Application": None,
    "AWS::ElasticBeanstalk::ApplicationVersion": None,
    "AWS::ElasticBeanstalk::Environment": lambda pid, props: {"EndpointURL": f"awseb-{pid}.{REGION}.elb.amazonaws.com"},
    "AWS::SSM::Document": None,
    "AWS::SSM::Association": None,
    "AWS::Budgets::Budget": None,
    "AWS::CloudTrail::Trail": None,
}
# Attributes that MiniStack's own types lack.
MORE = {
    "AWS::SES::EmailIdentity": lambda pid, props: {
        f"DkimDNSToken{what}{number}": f"token{number}.{what.lower()}.{props['EmailIdentity']}"
        for number in (1, 2, 3) for what in ("Name", "Value")},
    "AWS::RDS::DBInstance": lambda pid, props: {
        "MasterUserSecret.SecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-{pid}"},
    "AWS::ElastiCache::ReplicationGroup": lambda pid, props: {
        "ConfigurationEndPoint.Address": f"{pid}.cfg.cache.amazonaws.com",
        "PrimaryEndPoint.Address": f"{pid}.primary.cache.amazonaws.com"},
}


def note(change, kind, pid, props):
    with open(PLACEHOLDERS, "a") as file:
        file.write(json.dumps({"change": change, "type": kind, "id": pid, "properties": props}) + "\n")


def placeholder(kind, attributes):
    def create(logical_id, props, stack_name):
        if os.path.exists(PLACEHOLDERS + ".fail") and open(PLACEHOLDERS + ".fail").read().strip() == logical_id:
            raise ValueError("You have reached your quota of this")
        pid = f"{stack_name}-{logical_id}-{uuid.uuid4().hex[:12]}".lower()
        note("made", kind, pid, props)
        return pid, (attributes or (lambda *_: {}))(pid, props)

    def update(pid, old, new, *_):
        note("changed", kind, pid, new)
        return pid, (attributes or (lambda *_: {}))(pid, new)

    return {"create": create, "update": update, "delete": lambda pid, props: note("deleted", kind, pid, props)}


def with_more(handler, more):
    def create(logical_id, props, stack_name):
        pid, attributes = handler["create"](logical_id, props, stack_name)
        return pid, {**attributes, **more(pid, props)}

    def update(pid, old, new, *rest):
        pid, attributes = handler["update"](pid, old, new, *rest)
        return pid, {**attributes, **more(pid, new)}

    return {**handler, "create": create, **({"update": update} if "update" in handler else {})}


def unless_math(known):
    """MiniStack knows alarms, but not those on expressions."""
    math = placeholder("AWS::CloudWatch::Alarm", lambda pid, props: {"Arn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{pid}"})
    return {
        **known,
        "create": lambda logical_id, props, stack: (math if "Metrics" in props else known)["create"](logical_id, props, stack),
        "update": lambda pid, old, new, *more: math["update"](pid, old, new, *more) if "Metrics" in new else known["update"](pid, old, new, *more),
        "delete": lambda pid, props: (math if "Metrics" in props else known)["delete"](pid, props),
    }


for kind, attributes in MISSING.items():
    provisioners._RESOURCE_HANDLERS.setdefault(kind, placeholder(kind, attributes))
for kind, more in MORE.items():
    provisioners._RESOURCE_HANDLERS[kind] = with_more(provisioners._RESOURCE_HANDLERS[kind], more)
provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"] = unless_math(provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"])

from ministack.app import main  # noqa: E402

main()
