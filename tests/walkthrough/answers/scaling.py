"""Auto Scaling groups that instances can be attached to, and whose policies work."""
from aws_answers import Refused, new_id

LIMITS = ("MinSize", "MaxSize", "DesiredCapacity", "HealthCheckType", "HealthCheckGracePeriod", "DefaultCooldown", "VPCZoneIdentifier")


def group_of(params, call):
    group = call.table("groups").get(params["AutoScalingGroupName"])
    if group is None:
        raise Refused("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup {params['AutoScalingGroupName']} not found")
    return group


def member(instance, zone):
    return {"InstanceId": instance, "AvailabilityZone": zone, "LifecycleState": "InService", "HealthStatus": "Healthy", "ProtectedFromScaleIn": False}


def settle(group, call):
    """As many instances as desired; protected ones stay."""
    if not group["MinSize"] <= group["DesiredCapacity"] <= group["MaxSize"]:
        raise Refused("ValidationError", "Desired capacity has to be between the specified min size and max size")
    while len(group["Instances"]) < group["DesiredCapacity"]:
        group["Instances"].append(member(new_id("i"), call.region + "a"))
    for instance in [each for each in group["Instances"] if not each["ProtectedFromScaleIn"]]:
        if len(group["Instances"]) > group["DesiredCapacity"]:
            group["Instances"].remove(instance)


def create(params, call):
    name = params["AutoScalingGroupName"]
    if name in call.table("groups"):
        raise Refused("AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name " + name + " already exists")
    group = {"DesiredCapacity": params["MinSize"], "HealthCheckType": "EC2", "DefaultCooldown": 300, **params, "Instances": [],
             "AutoScalingGroupARN": f"arn:aws:autoscaling:{call.region}:123456789012:autoScalingGroup:1:autoScalingGroupName/{name}"}
    group["Tags"] = [{"ResourceId": name, "ResourceType": "auto-scaling-group", **tag} for tag in params.get("Tags", [])]
    settle(group, call)
    call.table("groups")[name] = group
    return {}


def describe(params, call):
    wanted = params.get("AutoScalingGroupNames") or list(call.table("groups"))
    groups = [group for name, group in call.table("groups").items() if name in wanted]
    for condition in params.get("Filters", []):
        if condition["Name"].startswith("tag:"):
            groups = [group for group in groups if any(tag["Key"] == condition["Name"][4:] and tag["Value"] in condition["Values"] for tag in group["Tags"])]
    return {"AutoScalingGroups": groups}


def update(params, call):
    group = group_of(params, call)
    group.update({name: params[name] for name in LIMITS if name in params})
    if "LaunchTemplate" in params:
        group["LaunchTemplate"] = params["LaunchTemplate"]
    group["DesiredCapacity"] = max(group["DesiredCapacity"], group["MinSize"])
    settle(group, call)
    return {}


def set_desired(params, call):
    group = group_of(params, call)
    group["DesiredCapacity"] = params["DesiredCapacity"]
    settle(group, call)
    return {}


def attach(params, call):
    group = group_of(params, call)
    there = {each["InstanceId"] for each in group["Instances"]}
    for instance in params["InstanceIds"]:
        if instance in there:
            raise Refused("ValidationError", f"Instance {instance} is already attached to the group")
        group["DesiredCapacity"] += 1
        group["Instances"].append(member(instance, call.region + "a"))
    settle(group, call)
    return {}


def detach(params, call):
    group = group_of(params, call)
    group["Instances"] = [each for each in group["Instances"] if each["InstanceId"] not in params["InstanceIds"]]
    if params["ShouldDecrementDesiredCapacity"]:
        group["DesiredCapacity"] -= len(params["InstanceIds"])
    settle(group, call)
    return {"Activities": []}


def protect(params, call):
    for instance in group_of(params, call)["Instances"]:
        if instance["InstanceId"] in params["InstanceIds"]:
            instance["ProtectedFromScaleIn"] = params["ProtectedFromScaleIn"]
    return {}


def delete(params, call):
    if group_of(params, call)["Instances"] and not params.get("ForceDelete"):
        raise Refused("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
    del call.table("groups")[params["AutoScalingGroupName"]]
    return {}


def put_policy(params, call):
    group = params["AutoScalingGroupName"]
    arn = f"arn:aws:autoscaling:{call.region}:123456789012:scalingPolicy:1:autoScalingGroupName/{group}:policyName/{params['PolicyName']}"
    call.table("policies")[f"{group}/{params['PolicyName']}"] = {**params, "PolicyARN": arn}
    return {"PolicyARN": arn, "Alarms": []}


def policies(params, call):
    return {"ScalingPolicies": [each for each in call.table("policies").values() if params.get("AutoScalingGroupName") in (None, each["AutoScalingGroupName"])]}


def delete_policy(params, call):
    call.table("policies").pop(f"{params['AutoScalingGroupName']}/{params['PolicyName']}", None)
    return {}


def execute(params, call):
    group = group_of(params, call)
    policy = call.table("policies")[f"{params['AutoScalingGroupName']}/{params['PolicyName']}"]
    wanted = group["DesiredCapacity"] + policy["ScalingAdjustment"]
    group["DesiredCapacity"] = min(max(wanted, group["MinSize"]), group["MaxSize"])
    settle(group, call)
    return {}


def change_type(params, call):
    if "InstanceType" not in params:
        return None
    call.table("instance_types")[params["InstanceId"]] = params["InstanceType"]["Value"]
    return {}


def name_types(params, response, call):
    for reservation in response.get("Reservations", []):
        for instance in reservation["Instances"]:
            instance["InstanceType"] = call.table("instance_types").get(instance["InstanceId"], instance["InstanceType"])


def monitoring(state):
    return lambda params, call: {"InstanceMonitorings": [{"InstanceId": instance, "Monitoring": {"State": state}} for instance in params["InstanceIds"]]}


ANSWERS = {f"auto-scaling.{name}": function for name, function in {
    "CreateAutoScalingGroup": create, "DescribeAutoScalingGroups": describe, "UpdateAutoScalingGroup": update, "SetDesiredCapacity": set_desired,
    "AttachInstances": attach, "DetachInstances": detach, "SetInstanceProtection": protect, "DeleteAutoScalingGroup": delete,
    "PutScalingPolicy": put_policy, "DescribePolicies": policies, "DeletePolicy": delete_policy, "ExecutePolicy": execute,
    "EnableMetricsCollection": {}, "PutNotificationConfiguration": {}}.items()}
ANSWERS.update({"ec2.ModifyInstanceAttribute": change_type, "ec2.MonitorInstances": monitoring("pending"), "ec2.UnmonitorInstances": monitoring("disabling")})
AFTER = {"ec2.DescribeInstances": name_types}
