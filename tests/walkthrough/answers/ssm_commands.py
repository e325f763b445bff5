"""Run Command of Systems Manager runs its commands as root on the pretended instance, if somebody has been on it; agents are online."""
import pathlib
import subprocess
import sys

import boto3

from aws_answers import new_id

FOLDER = pathlib.Path(sys.argv[1])
PATIENCE = 60


def place_of(instance, call):
    """(network namespace, root) of an instance, by the end of its name."""
    ec2 = boto3.client("ec2", endpoint_url=call.environment["AWS_ENDPOINT_URL"], region_name=call.region, aws_access_key_id="123456789012", aws_secret_access_key="secret")
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    tagged = next((tag["Value"] for tag in found.get("Tags", []) if tag["Key"] == "Name"), "")
    for root in FOLDER.glob("instances/*/root"):
        if tagged.endswith(root.parent.name):
            for space in subprocess.run(["ip", "netns"], text=True, stdout=subprocess.PIPE).stdout.split("\n"):
                name = space.split(" ")[0]
                if name and f" {found['PrivateIpAddress']}/" in subprocess.run(["ip", "netns", "exec", name, "ip", "address"], text=True, stdout=subprocess.PIPE).stdout:
                    return name, root
    return None


def send_command(params, call):
    number = new_id("command").removeprefix("command-")
    number = f"11111111-2222-3333-4444-{int(number, 16) % 10 ** 12:012}"
    for instance in params.get("InstanceIds", []):
        place, result = place_of(instance, call), {"Status": "Success", "StandardOutputContent": "", "StandardErrorContent": ""}
        if place and params["DocumentName"] == "AWS-RunShellScript":
            environment = {name: value for name, value in call.environment.items() if name.startswith("AWS_")}
            environment.update(PATH="/usr/local/walk:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", WALK_ROOT=str(place[1]), AWS_DEFAULT_REGION=call.region)
            done = subprocess.run(["ip", "netns", "exec", place[0], "chroot", place[1], "bash", "-c", "\n".join(params["Parameters"]["commands"])], text=True,
                                  env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
            result = {"Status": "Failed" if done.returncode else "Success", "ResponseCode": done.returncode,
                      "StandardOutputContent": done.stdout[:24000], "StandardErrorContent": done.stderr[:8000]}
        call.table("commands")[f"{number} {instance}"] = result
    return {"Command": {"CommandId": number, "Status": "Pending"}}


def get_command_invocation(params, call):
    result = call.table("commands").get(f"{params['CommandId']} {params['InstanceId']}", {"Status": "Success"})
    return {"CommandId": params["CommandId"], "InstanceId": params["InstanceId"], "StatusDetails": result["Status"], **result}


def describe_instance_information(params, call):
    wanted = [value for given in params.get("Filters", []) if given["Key"] == "InstanceIds" for value in given["Values"]]
    return {"InstanceInformationList": [{"InstanceId": each, "PingStatus": "Online"} for each in wanted]}


ANSWERS = {"ssm.SendCommand": send_command, "ssm.GetCommandInvocation": get_command_invocation, "ssm.DescribeInstanceInformation": describe_instance_information}
