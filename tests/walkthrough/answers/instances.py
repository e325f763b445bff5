"""What MiniStack forgets of instances: the subnet and groups of a network interface in RunInstances, metadata options, and the address of
an Elastic IP."""
import boto3


def launched(params, response, call):
    interface = (params.get("NetworkInterfaces") or [{}])[0]
    for instance in response["Instances"]:
        call.table("launched")[instance["InstanceId"]] = {
            "SubnetId": interface.get("SubnetId") or params.get("SubnetId"), "Groups": interface.get("Groups") or params.get("SecurityGroupIds"),
            "MetadataOptions": params.get("MetadataOptions")}
    complete(response["Instances"], call)


def associated(params, response, call):
    ec2 = boto3.client("ec2", endpoint_url=call.environment["AWS_ENDPOINT_URL"], region_name=call.region, aws_access_key_id="123456789012", aws_secret_access_key="secret")
    if "InstanceId" in params:
        call.table("elastic")[params["InstanceId"]] = ec2.describe_addresses(AllocationIds=[params["AllocationId"]])["Addresses"][0]["PublicIp"]


def complete(instances, call):
    for instance in instances:
        known = call.table("launched").get(instance["InstanceId"], {})
        if known.get("SubnetId"):
            instance["SubnetId"] = known["SubnetId"]
        if known.get("Groups"):
            instance["SecurityGroups"] = [{"GroupId": group, "GroupName": group} for group in known["Groups"]]
        if known.get("MetadataOptions"):
            instance["MetadataOptions"] = {**known["MetadataOptions"], "State": "applied"}
        if instance["InstanceId"] in call.table("elastic"):
            instance["PublicIpAddress"] = call.table("elastic")[instance["InstanceId"]]


def described(params, response, call):
    for reservation in response["Reservations"]:
        complete(reservation["Instances"], call)


AFTER = {"ec2.RunInstances": launched, "ec2.AssociateAddress": associated, "ec2.DescribeInstances": described}
