"""Calls of chapters 8 and 9 that MiniStack does not have."""


def mail_attributes(params, call):
    call.table("mail_identities")[params["EmailIdentity"]] = {name: value for name, value in params.items() if name != "EmailIdentity"}
    return {}


def user_data(params, call):
    given = call.table("user_data").get(params["InstanceId"])
    return {"InstanceId": params["InstanceId"], "UserData": {"Value": given}} if params["Attribute"] == "userData" and given else None


def keep_user_data(params, response, call):
    if params.get("UserData"):
        for instance in response.get("Instances", []):
            call.table("user_data")[instance["InstanceId"]] = params["UserData"]


def name_end_points(params, response, call):
    """MiniStack says localhost."""
    for group in response.get("ReplicationGroups", [response.get("ReplicationGroup")]):
        for node in (group or {}).get("NodeGroups", []):
            node["PrimaryEndpoint"] = {"Address": f"master.{group['ReplicationGroupId']}.c0ffee.apn2.cache.amazonaws.com", "Port": 6379}


def confirm(params, response, call):
    """The application confirms its subscription, as it does with messages that AWS has signed. Those of MiniStack are not."""
    arn = f"{params['TopicArn']}:11111111-2222-3333-4444-555555555555"
    if params.get("Endpoint", "").endswith("/webhooks/ses"):
        response["SubscriptionArn"] = arn
    for subscription in response.get("Subscriptions", []):
        if subscription["Endpoint"].endswith("/webhooks/ses"):
            subscription["SubscriptionArn"] = arn


def unsubscribe(params, call):
    return {} if params["SubscriptionArn"].endswith(":11111111-2222-3333-4444-555555555555") else None


ANSWERS = {
    "sns.Unsubscribe": unsubscribe,
    "sesv2.PutEmailIdentityMailFromAttributes": mail_attributes,
    "sesv2.PutEmailIdentityFeedbackAttributes": mail_attributes,
    "ec2.DescribeInstanceAttribute": user_data,
}
AFTER = {"sns.Subscribe": confirm, "sns.ListSubscriptionsByTopic": confirm, "ec2.RunInstances": keep_user_data, "elasticache.DescribeReplicationGroups": name_end_points}
