"""Elastic Beanstalk: applications, versions, environments. What runs in an environment is not there."""
from aws_answers import Refused, new_id


def invalid(text):
    return Refused("InvalidParameterValue", text)


def environment_of(params, call):
    name = params.get("EnvironmentName")
    for each in call.table("beanstalk_environments").values():
        if name in (each["EnvironmentName"], None) and params.get("EnvironmentId") in (each["EnvironmentId"], None) and each["Status"] != "Terminated":
            return each
    raise invalid(f"No Environment found for EnvironmentName = '{name}'.")


def create_application(params, call):
    name = params["ApplicationName"]
    if name in call.table("beanstalk"):
        raise invalid(f"Application {name} already exists.")
    call.table("beanstalk")[name] = {"ApplicationName": name, "Versions": [], "ApplicationArn": f"arn:aws:elasticbeanstalk:{call.region}:123456789012:application/{name}"}
    return {"Application": call.table("beanstalk")[name]}


def create_version(params, call):
    application = call.table("beanstalk").get(params["ApplicationName"])
    if application is None:
        raise invalid(f"No Application named '{params['ApplicationName']}' found.")
    if params["VersionLabel"] in application["Versions"]:
        raise invalid(f"Application Version {params['VersionLabel']} already exists.")
    application["Versions"].append(params["VersionLabel"])
    return {"ApplicationVersion": {**params, "Status": "UNPROCESSED"}}


def versions(params, call):
    application = call.table("beanstalk").get(params.get("ApplicationName"), {"Versions": []})
    return {"ApplicationVersions": [{"ApplicationName": params.get("ApplicationName"), "VersionLabel": label} for label in application["Versions"]]}


def create_environment(params, call):
    application = call.table("beanstalk").get(params["ApplicationName"], {"Versions": []})
    if params["VersionLabel"] not in application["Versions"]:
        raise invalid(f"No Application Version named '{params['VersionLabel']}' found.")
    if any(each["EnvironmentName"] == params["EnvironmentName"] and each["Status"] != "Terminated" for each in call.table("beanstalk_environments").values()):
        raise invalid(f"Environment {params['EnvironmentName']} already exists.")
    environment = {**{name: params[name] for name in ("ApplicationName", "EnvironmentName", "VersionLabel", "SolutionStackName")},
                   "EnvironmentId": new_id("e"), "CNAME": f"{params['CNAMEPrefix']}.{call.region}.elasticbeanstalk.com", "Status": "Ready", "Health": "Green", "HealthStatus": "Ok",
                   "OptionSettings": params.get("OptionSettings", [])}
    call.table("beanstalk_environments")[environment["EnvironmentId"]] = environment
    return {**environment, "Status": "Launching", "Health": "Grey"}


def environments(params, call):
    return {"Environments": [each for each in call.table("beanstalk_environments").values()
                             if each["EnvironmentName"] in params.get("EnvironmentNames", [each["EnvironmentName"]])
                             and each["ApplicationName"] == params.get("ApplicationName", each["ApplicationName"])
                             and (params.get("IncludeDeleted", True) or each["Status"] != "Terminated")]}


def update_environment(params, call):
    environment = environment_of(params, call)
    if "VersionLabel" in params:
        if params["VersionLabel"] not in call.table("beanstalk")[environment["ApplicationName"]]["Versions"]:
            raise invalid(f"No Application Version named '{params['VersionLabel']}' found.")
        environment["VersionLabel"] = params["VersionLabel"]
    for option in params.get("OptionsToRemove", []):
        environment["OptionSettings"] = [each for each in environment["OptionSettings"] if (each["Namespace"], each["OptionName"]) != (option["Namespace"], option["OptionName"])]
    for option in params.get("OptionSettings", []):
        environment["OptionSettings"] = [each for each in environment["OptionSettings"] if (each["Namespace"], each["OptionName"]) != (option["Namespace"], option["OptionName"])] + [option]
    return environment


def settings(params, call):
    environment = environment_of(params, call)
    return {"ConfigurationSettings": [{"ApplicationName": environment["ApplicationName"], "EnvironmentName": environment["EnvironmentName"], "OptionSettings": environment["OptionSettings"]}]}


def terminate(params, call):
    environment = environment_of(params, call)
    environment.update(Status="Terminated", Health="Grey")
    return environment


def delete_application(params, call):
    there = [each for each in call.table("beanstalk_environments").values() if each["ApplicationName"] == params["ApplicationName"] and each["Status"] != "Terminated"]
    if there and not params.get("TerminateEnvByForce"):
        raise Refused("OperationInProgressFailure", "Unable to delete application because it has running environments.")
    for each in there:
        each["Status"] = "Terminated"
    call.table("beanstalk").pop(params["ApplicationName"], None)
    return {}


ANSWERS = {f"elastic-beanstalk.{name}": function for name, function in {
    "CheckDNSAvailability": lambda params, call: {"Available": True, "FullyQualifiedCNAME": f"{params['CNAMEPrefix']}.{call.region}.elasticbeanstalk.com"},
    "CreateApplication": create_application, "CreateApplicationVersion": create_version, "DescribeApplicationVersions": versions,
    "DescribeApplications": lambda params, call: {"Applications": list(call.table("beanstalk").values())},
    "CreateEnvironment": create_environment, "DescribeEnvironments": environments, "UpdateEnvironment": update_environment, "DescribeConfigurationSettings": settings,
    "TerminateEnvironment": terminate, "DeleteApplication": delete_application, "DescribeEvents": {"Events": []}}.items()}
