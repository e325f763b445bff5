"""The server of the aws command for the walkthrough: that of deploy/aws/tests, with answers for calls that MiniStack does not know.

`answers/*.py` hold {"rds.DescribeX": value or function(params, call)} in ANSWERS. A value is the parsed response. A function gets the
parameters by name and a Call, and returns the parsed response, raises Refused(code, message), or returns None to ask MiniStack.
AFTER holds {"rds.DescribeX": function(params, response, call)}, which changes MiniStack's response in place.
What a function has to remember lies in call.state, a dict that all calls share.
"""
import contextlib
import fcntl
import importlib.util
import json
import os
import pathlib
import sys
import time
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "deploy/aws/tests")]

import aws_answers  # noqa: E402
from awscli.clidriver import create_clidriver  # noqa: E402,F401


def load_base():
    spec = importlib.util.spec_from_file_location("base_server", HERE.parent.parent / "deploy/aws/tests/aws_server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


base = load_base()
base.SERVICES += ["route53", "acm", "ses", "sesv2", "sns", "cloudwatch", "logs", "autoscaling", "budgets", "opensearch", "cloudfront", "lambda",
                  "s3", "events"]
STATE = pathlib.Path(sys.argv[1]) / "answers.json"
ANSWERS = {
    "rds.DescribeDBEngineVersions": base.ANSWERS["rds.DescribeDBEngineVersions"],
    "elastic-beanstalk.ListAvailableSolutionStacks": base.ANSWERS["elastic-beanstalk.ListAvailableSolutionStacks"],
}
AFTER = {}
for path in sorted((HERE / "answers").glob("*.py")):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ANSWERS.update(getattr(module, "ANSWERS", {}))
    for name, function in getattr(module, "AFTER", {}).items():
        AFTER.setdefault(name, []).append(function)


@contextlib.contextmanager
def shared_state():
    with open(f"{STATE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads(STATE.read_text()) if STATE.exists() else {}
        yield state
        STATE.write_text(json.dumps(state, default=str))


def remember(params, context, **_):
    context["named_params"] = params


def answer(model, params, request_signer, context, **_):
    name = f"{model.service_model.service_id.hyphenize()}.{model.name}"
    wanted = ANSWERS.get(name)
    if wanted is None:
        return None
    given = wanted
    if callable(wanted):
        with shared_state() as state:
            try:
                given = wanted(context.get("named_params", {}), aws_answers.Call(state, os.environ, request_signer.region_name or "us-east-1"))
            except aws_answers.Refused as refused:
                response = base.Answered()
                response.status_code = 400
                return response, {"Error": {"Code": refused.code, "Message": refused.message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    if given is None:
        return None
    return base.Answered(), {**given, "ResponseMetadata": {"HTTPStatusCode": 200}}


def change(model, parsed, context, http_response, **_):
    wanted = AFTER.get(f"{model.service_model.service_id.hyphenize()}.{model.name}")
    if wanted and "Error" not in parsed:
        with shared_state() as state:
            for function in wanted:
                function(context.get("named_params", {}), parsed, aws_answers.Call(state, os.environ, context.get("client_region") or "us-east-1"))


def warm_up():
    driver = warm_up.original()
    # Each call would read the authorities' file for TLS that it does not speak, and make names of 800 operations of EC2.
    from awscli.botocore import client, httpsession, waiter
    context = httpsession.create_urllib3_context()
    httpsession.URLLib3Session._get_ssl_context = lambda *_: context
    # `aws ... wait` looks again after half a second: nothing here takes as long as on AWS.
    waiter.time = types.SimpleNamespace(**{**vars(waiter.time), "sleep": lambda seconds: time.sleep(min(seconds, 0.5))})
    made, make = {}, client.ClientCreator._create_client_class
    client.ClientCreator._create_client_class = lambda creator, name, model: made.get(name) or made.setdefault(name, make(creator, name, model))
    for service in ("ec2", "iam", "rds", "elbv2", "ssm", "secretsmanager", "cloudwatch", "s3"):
        driver.session.create_client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    driver.session.unregister("before-call", base.answer)
    driver.session.register("before-parameter-build", remember)
    driver.session.register("before-call", answer)
    driver.session.register("after-call", change)
    return driver


def run(driver, request, files):
    """Version 2 of the command, which the text is for, knows a little more than version 1, which pip installs."""
    argv, environment = request["argv"], request["env"]
    for flag, arguments in (("--cli-binary-format", 1), ("--no-cli-pager", 0), ("--no-cli-auto-prompt", 0)):
        while flag in argv:
            at = argv.index(flag)
            del argv[at:at + 1 + arguments]
    driver.session._config = driver.session._profile_map = None  # read again, below the reader's HOME
    if argv[:1] in (["iam"], ["sts"]) and not os.path.exists(f"{environment.get('HOME')}/.aws/config"):
        environment = request["env"] = {"AWS_DEFAULT_REGION": "us-east-1", **environment}  # CloudShell has a region
    if environment.get("WALK_ROOT"):
        os.chroot(environment["WALK_ROOT"])
    for words, say in aws_answers.COMMANDS.items():
        if argv[:len(words)] == list(words):
            os.write(files[1], say(argv).encode())
            return 0
    return run.original(driver, request, files)


warm_up.original, base.warm_up = base.warm_up, warm_up
run.original, base.run = base.run, run
base.main()
