"""Posts every message of the alarm topic to Slack: CloudWatch alarms, Auto Scaling events and anything else.

Runs on AWS Lambda, subscribed to the topic. It uses Python's standard library only. The layer `alerts` creates it.
Environment: SLACK_WEBHOOK_ARN, a secret in Secrets Manager that contains the webhook's URL.
"""
import datetime
import json
import os
import urllib.error
import urllib.parse
import urllib.request

from aws_api import call

COLORS = {"OK": "good", "ALARM": "danger", "INSUFFICIENT_DATA": "warning"}
HISTORY_HOURS = 24
HISTORY_LINES = 5
# Slack cuts the text of a message off at 40,000 characters.
TEXT_LIMIT = 38_000
# The reason of an alarm, or the cause of an Auto Scaling event, can be long; the console has the rest.
DETAIL_LIMIT = 1_500

# Kept between invocations.
webhook = None


def handler(event, _context):
    for record in event["Records"]:
        post(slack_message(record["Sns"]))


def slack_message(sns):
    try:
        content = json.loads(sns["Message"])
        if "AlarmName" in content and "NewStateValue" in content:
            return alarm_message(content)
        if "AutoScalingGroupName" in content and "Event" in content:
            return scaling_message(content, sns.get("Subject"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"posting the message as it is: {error!r}")
    return other_message(sns)


def alarm_message(alarm):
    # "Region" is a display name such as "EU (Frankfurt)"; the ARN has the code.
    region = alarm["AlarmArn"].split(":")[3]
    name, state = alarm["AlarmName"], alarm["NewStateValue"]
    lines = [alarm.get("AlarmDescription"), shorten(alarm["NewStateReason"])]
    return attachment(
        color=COLORS.get(state, "warning"),
        title=f"{state}: {name}",
        link=console(region, "cloudwatch", "alarmsV2:alarm/" + urllib.parse.quote(name, safe="")),
        lines=[line for line in lines if line],
        fields={
            "Metric": metric_of(alarm.get("Trigger", {})),
            "Before": alarm.get("OldStateValue"),
            f"Last {HISTORY_HOURS} hours": "\n".join(history(region, name)),
        },
    )


def metric_of(trigger):
    if "MetricName" in trigger:
        dimensions = ", ".join(dimension["value"] for dimension in trigger.get("Dimensions", []))
        return f"{trigger.get('Namespace')} {trigger['MetricName']} {dimensions}".strip()
    # An alarm on an expression lists its metrics instead.
    return ", ".join(metric.get("Label") or metric["Id"] for metric in trigger.get("Metrics", []) if metric.get("ReturnData"))


def history(region, name):
    """The latest state changes of an alarm, newest first. The alarm is posted without them if CloudWatch does not answer."""
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=HISTORY_HOURS)
    try:
        answer = call("monitoring", region, "DescribeAlarmHistory", {
            "AlarmName": name,
            "HistoryItemType": "StateUpdate",
            "StartDate": int(since.timestamp()),
            "MaxRecords": HISTORY_LINES,
            "ScanBy": "TimestampDescending",
        })
        return [f"{utc(item['Timestamp'])}  {item['HistorySummary']}" for item in answer["AlarmHistoryItems"]]
    except Exception as error:  # whatever it is, the alarm matters more
        print(f"no history of {name}: {error!r}")
        return []


def utc(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%d %b %H:%M:%S UTC")


def scaling_message(event, subject):
    group, kind = event["AutoScalingGroupName"], event["Event"]
    region = event["AutoScalingGroupARN"].split(":")[3]
    return attachment(
        color="danger" if kind.endswith("_ERROR") else "#439fe0",
        title=subject or f"{kind} {group}",
        link=console(region, "ec2", f"AutoScalingGroupDetails:id={urllib.parse.quote(group, safe='')}"),
        lines=[shorten(event[key]) for key in ("Description", "StatusMessage", "Cause") if event.get(key)],
        fields={
            "Instance": event.get("EC2InstanceId"),
            "Zone": event.get("Details", {}).get("Availability Zone"),
        },
    )


def other_message(sns):
    text = escape("\n".join(part for part in (sns.get("Subject"), sns["Message"]) if part is not None))
    if len(text) > TEXT_LIMIT:
        text = f"{text[:TEXT_LIMIT]}\n… and {len(text) - TEXT_LIMIT} more characters"
    return {"text": text, "mrkdwn": False}


def attachment(color, title, link, lines, fields):
    return {"attachments": [{
        "color": color,
        "fallback": escape(title),
        "title": escape(title),
        "title_link": link,
        "text": escape("\n".join(lines)),
        "fields": [{"title": name, "value": escape(value), "short": "\n" not in value}
                   for name, value in fields.items() if value],
    }]}


def console(region, service, page):
    return f"https://{region}.console.aws.amazon.com/{service}/home?region={region}#{page}"


def shorten(text):
    return text if len(text) <= DETAIL_LIMIT else text[:DETAIL_LIMIT] + " …"


def escape(text):
    """Slack reads <...> as links and mentions, such as <!channel>."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def post(message):
    """Raises if Slack does not take the message: Lambda then tries twice more. Errors never contain the URL."""
    global webhook
    webhook = webhook or read_webhook(os.environ["SLACK_WEBHOOK_ARN"])
    request = urllib.request.Request(webhook, json.dumps(message).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        webhook = None  # it may have been replaced; the next attempt reads it again
        raise RuntimeError(f"Slack answered {error.code}: {error.read(200).decode(errors='replace')}") from None


def read_webhook(arn):
    region = arn.split(":")[3]
    url = call("secretsmanager", region, "GetSecretValue", {"SecretId": arn})["SecretString"].strip()
    if not url.startswith(("https://", "http://")):
        raise RuntimeError(f"{arn} has to contain the webhook's URL as plain text, and nothing else")
    return url
