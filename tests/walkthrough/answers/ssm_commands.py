"""Run Command of Systems Manager runs its commands as root on the pretended instance, if somebody has been on it; agents are online."""
import pathlib
import subprocess
import sys

import boto3

from aws_answers import new_id

FOLDER = pathlib.Path(sys.argv[1])
PATIENCE = 60
PATH = f"/usr/local/walk:{pathlib.Path(__file__).resolve().parents[3]}/deploy/aws/tests/fake:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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


# The command goes on after the call, since it may need answers itself, which come one at a time.
SCRIPT = 'cd / && timeout "$PATIENCE" "$@" >"$RESULT.out" 2>"$RESULT.err"; echo $? >"$RESULT.rc.new"; mv "$RESULT.rc.new" "$RESULT.rc"'


def result_of(number, instance):
    return FOLDER / "commands" / f"{number}.{instance}"


def send_command(params, call):
    number = f"11111111-2222-3333-4444-{int(new_id('x').removeprefix('x-'), 16) % 10 ** 12:012}"
    (FOLDER / "commands").mkdir(exist_ok=True)
    for instance in params.get("InstanceIds", []):
        place, result = place_of(instance, call), result_of(number, instance)
        if not place or params["DocumentName"] != "AWS-RunShellScript":
            pathlib.Path(f"{result}.rc").write_text("0")
            continue
        # As the shells of world.py, without what belongs to the command that asks.
        environment = {name: call.environment[name] for name in ("AWS_SERVER", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WALK_PROGRAM", "WALK_FOLDER")
                       if name in call.environment}
        inside = ["ip", "netns", "exec", place[0], "chroot", place[1], "env", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", f"WALK_ROOT={place[1]}",
                  f"AWS_DEFAULT_REGION={call.region}", "bash", "-c", "\n".join(params["Parameters"]["commands"])]
        subprocess.Popen(["bash", "-c", SCRIPT, "bash", *map(str, inside)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                         env={**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RESULT": str(result), "PATIENCE": str(PATIENCE)})
    return {"Command": {"CommandId": number, "Status": "Pending"}}


def get_command_invocation(params, call):
    result = result_of(params["CommandId"], params["InstanceId"])
    try:
        code = int(pathlib.Path(f"{result}.rc").read_text())
    except FileNotFoundError:
        return {"CommandId": params["CommandId"], "InstanceId": params["InstanceId"], "Status": "InProgress", "StatusDetails": "InProgress"}
    said = {name: pathlib.Path(f"{result}.{kind}").read_text()[:size] if pathlib.Path(f"{result}.{kind}").exists() else ""
            for name, kind, size in (("StandardOutputContent", "out", 24000), ("StandardErrorContent", "err", 8000))}
    status = "Failed" if code else "Success"
    return {"CommandId": params["CommandId"], "InstanceId": params["InstanceId"], "Status": status, "StatusDetails": status, "ResponseCode": code, **said}


def describe_instance_information(params, call):
    wanted = [value for given in params.get("Filters", []) if given["Key"] == "InstanceIds" for value in given["Values"]]
    return {"InstanceInformationList": [{"InstanceId": each, "PingStatus": "Online"} for each in wanted]}


ANSWERS = {"ssm.SendCommand": send_command, "ssm.GetCommandInvocation": get_command_invocation, "ssm.DescribeInstanceInformation": describe_instance_information}
