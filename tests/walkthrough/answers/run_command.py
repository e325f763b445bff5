"""Run Command of Systems Manager: every command succeeds at once, and does nothing."""


def send_command(params, call):
    return {"Command": {"CommandId": "11111111-2222-3333-4444-555555555555", "Status": "Success"}}


def get_command_invocation(params, call):
    return {"CommandId": params["CommandId"], "InstanceId": params["InstanceId"], "Status": "Success", "StatusDetails": "Success",
            "StandardOutputContent": "", "StandardErrorContent": ""}


ANSWERS = {"ssm.SendCommand": send_command, "ssm.GetCommandInvocation": get_command_invocation}
