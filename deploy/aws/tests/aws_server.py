"""Runs the real aws command without its start: Python imports it once, then forks for each call.

The tests put `fake/aws` in front of PATH. It hands arguments, environment and files over to this server. Each call is appended to
CALLS, one JSON array a line. FAULTS may hold lines of JSON {"match": REGEX, "times": N, "say": TEXT}: a call that matches says
TEXT and ends with 254 instead, N times; with "delay": SECONDS it waits before it runs. QUOTA may hold the quota of everything.
SENT holds the parameters of the last command by SSM.

    python aws_server.py FOLDER       with SOCKET aws.sock, calls, faults and quota in it
"""
import gc
import json
import os
import re
import signal
import socket
import sys
import time

import awscli.clidriver
from awscli.botocore.utils import create_nested_client

RECEIVE = 1 << 20
# Services whose descriptions are read once, in the parent.
SERVICES = ["cloudformation", "ec2", "rds", "elasticache", "iam", "s3api", "ssm", "sts", "elbv2", "elasticbeanstalk",
            "resourcegroupstaggingapi", "secretsmanager", "service-quotas", "autoscaling", "logs"]
NAMES = {"s3api": "s3"}
# What MiniStack does not know, as parsed responses. The command goes on with them as with those of a server.
ANSWERS = {
    "rds.DescribeDBEngineVersions": {"DBEngineVersions": [
        {"Engine": "mysql", "EngineVersion": version} for version in ("8.0.44", "8.4.7", "8.4.11", "8.4.9")]},
    "elastic-beanstalk.ListAvailableSolutionStacks": {"SolutionStacks": [
        "64bit Amazon Linux 2023 v4.6.0 running Go 1", "64bit Amazon Linux 2023 v4.11.1 running Go 1",
        "64bit Amazon Linux 2023 v4.12.0 running Python 3.13", "64bit Amazon Linux 2 v3.12.1 running Go 1"]},
    "elastic-beanstalk.DescribeEnvironmentResources": {"EnvironmentResources": {
        "LoadBalancers": [{"Name": "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:loadbalancer/app/awseb-x/0123456789abcdef"}],
        "AutoScalingGroups": [{"Name": "awseb-e-x-stack-AWSEBAutoScalingGroup-x"}]}},
    "auto-scaling.DescribeAutoScalingGroups": {"AutoScalingGroups": [{"Instances": [
        {"InstanceId": "i-0fedcba9876543210", "LifecycleState": "Terminating"}, {"InstanceId": "i-0123456789abcdef0", "LifecycleState": "InService"}]}]},
    "ssm.SendCommand": {"Command": {"CommandId": "11111111-2222-3333-4444-555555555555"}},
    "ssm.GetCommandInvocation": {"Status": "Success", "StandardOutputContent": "", "StandardErrorContent": ""},
    "elastic-beanstalk.DescribeEnvironments": {"Environments": [{"Status": "Ready", "Health": "Green", "VersionLabel": "x"}]},
}
folder = sys.argv[1]
calls, faults, quota = (f"{folder}/{name}" for name in ("calls", "faults", "quota"))
IMAGES = "/aws/service/ami-amazon-linux-latest/"


class Answered:
    status_code = 200


def answer(model, params, **_):
    name = f"{model.service_model.service_id.hyphenize()}.{model.name}"
    if name == "ssm.SendCommand":
        with open(f"{folder}/sent", "w") as sent:
            json.dump(json.loads(params["body"])["Parameters"], sent)
    if name in ANSWERS:
        return Answered(), {**ANSWERS[name], "ResponseMetadata": {"HTTPStatusCode": 200}}
    if name == "service-quotas.GetServiceQuota":
        value = float(open(quota).read()) if os.path.exists(quota) else 32.0
        return Answered(), {"Quota": {"Value": value}, "ResponseMetadata": {"HTTPStatusCode": 200}}
    if name == "ssm.GetParameter" and IMAGES.encode() in params["body"]:
        return Answered(), {"Parameter": {"Value": "ami-0123456789abcdef0"}, "ResponseMetadata": {"HTTPStatusCode": 200}}
    if name == "elastic-load-balancing-v2.DescribeTargetGroups" and "awseb" in str(params["body"]):
        arn = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/awseb-x/0123456789abcdef"
        return Answered(), {"TargetGroups": [{"TargetGroupArn": arn}], "ResponseMetadata": {"HTTPStatusCode": 200}}
    return None


def warm_up():
    """The command with the descriptions of services in memory. Credentials and region are read by each call."""
    driver = awscli.clidriver.create_clidriver()
    driver.session.register("before-call", answer)
    commands = driver._get_command_table()
    loader = driver.session.get_component("data_loader")
    loader.load_data_with_path("endpoints")
    loader.load_data("partitions")
    for service in SERVICES:
        commands[service].create_help_command()
        for kind in ("service-2", "paginators-1", "endpoint-rule-set-1"):
            try:
                loader.load_service_model(NAMES.get(service, service), kind)
            except Exception:  # not every service has each
                pass
    driver.session.get_component("credential_provider")
    if "AWS_ENDPOINT_URL" in os.environ:
        keep_clients(driver.session)
    return driver


def place(region):
    return region or os.environ.get("AWS_REGION"), os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_ACCESS_KEY_ID")


def keep_clients(session):
    """Making a client takes longer than most calls. Those of the server's own region, endpoint and account are there already."""
    create, here = session.create_client, place(None)
    kept = {NAMES.get(service, service): None for service in SERVICES}

    def create_client(service, region_name=None, endpoint_url=None, verify=None, **more):
        if service in kept and kept[service] and not endpoint_url and not more and place(region_name) == here:
            return kept[service]
        return create(service, region_name=region_name, endpoint_url=endpoint_url, verify=verify, **more)

    session.create_client = create_client
    for service in kept:
        kept[service] = create_nested_client(session, service, region_name=here[0])
    session._credentials = None


def fault(path, line):
    """The fault that is planned for this call, which is used up."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        faults = [json.loads(text) for text in file if text.strip()]
    for planned in faults:
        if planned["times"] > 0 and re.search(planned["match"], line):
            planned["times"] -= 1
            with open(path, "w") as file:
                file.writelines(json.dumps(each) + "\n" for each in faults)
            return planned
    return {}


def run(driver, request, files):
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(request["cwd"])
    data_path = os.environ["AWS_DATA_PATH"]  # set by awscli itself
    os.environ.clear()
    os.environ.update(request["env"], AWS_DATA_PATH=data_path)
    planned = fault(faults, " ".join(request["argv"]))
    time.sleep(planned.get("delay", 0))
    if "say" in planned:
        os.write(2, f"\n{planned['say']}\n".encode())
        return 254
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))
    try:
        code = driver.main(request["argv"])
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    driver = warm_up()
    gc.freeze()  # memory that forks share stays shared
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{folder}/aws.sock")
    server.listen(16)
    while True:
        client, _ = server.accept()
        if os.fork():
            client.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        message, files, _, _ = socket.recv_fds(client, RECEIVE, 3)
        while not message.endswith(b"\n"):
            message += client.recv(RECEIVE)
        request = json.loads(message)
        with open(calls, "a") as log:
            log.write(json.dumps(request["argv"]) + "\n")
        code = run(driver, request, files)
        client.sendall(str(code).encode())
        os._exit(0)


if __name__ == "__main__":
    main()
