"""Images of Amazon Linux, which MiniStack does not have."""


def get_parameter(params, call):
    if params["Name"].startswith("/aws/service/ami-amazon-linux-latest/"):
        return {"Parameter": {"Name": params["Name"], "Type": "String", "Value": "ami-0123456789abcdef0", "Version": 1}}
    return None


ANSWERS = {"ssm.GetParameter": get_parameter}
