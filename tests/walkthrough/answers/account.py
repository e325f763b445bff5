"""The account: who is signed in, MFA devices that were set up in the browser, budgets."""
from aws_answers import ACCOUNT, Refused

# Devices that the reader has registered: virtual ones count in IAM, passkeys too.
DEVICES = [{"UserName": "sample-admin", "SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/{name}", "EnableDate": "2026-11-27T00:00:00Z"} for name in ("phone", "key")]


def caller(params, call):
    return {"UserId": "AIDAEXAMPLE", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/sample-admin"}


def create_budget(params, call):
    budgets, budget = call.table("budgets"), params["Budget"]
    if budget["BudgetName"] in budgets:
        raise Refused("DuplicateRecordException", f"Error creating budget: {budget['BudgetName']} - the budget already exists.")
    budgets[budget["BudgetName"]] = {"budget": budget, "notifications": params.get("NotificationsWithSubscribers", [])}
    return {}


def one(params, call):
    found = call.table("budgets").get(params["BudgetName"])
    if found is None:
        raise Refused("NotFoundException", f"[Exception=NotFoundException] Failed to call DescribeBudget for [AccountId: {params['AccountId']}] - no budget found")
    return found


def subscribers(params, call):
    wanted = params["Notification"]
    return {"Subscribers": [subscriber for each in one(params, call)["notifications"] if {**wanted, **each["Notification"]} == {**each["Notification"], **wanted}
                            for subscriber in each["Subscribers"]]}


def delete_budget(params, call):
    one(params, call)
    del call.table("budgets")[params["BudgetName"]]
    return {}


ANSWERS = {
    "sts.GetCallerIdentity": caller,
    "iam.GetAccountSummary": {"SummaryMap": {"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 0, "Users": 1}},
    "iam.ListMFADevices": {"MFADevices": DEVICES, "IsTruncated": False},
    "iam.DeactivateMFADevice": {},
    "budgets.CreateBudget": create_budget,
    "budgets.DeleteBudget": delete_budget,
    "budgets.DescribeBudget": lambda params, call: {"Budget": {**one(params, call)["budget"], "CalculatedSpend": {"ActualSpend": {"Amount": "0.0", "Unit": "USD"}}}},
    "budgets.DescribeBudgets": lambda params, call: {"Budgets": [each["budget"] for each in call.table("budgets").values()]},
    "budgets.DescribeNotificationsForBudget": lambda params, call: {"Notifications": [each["Notification"] for each in one(params, call)["notifications"]]},
    "budgets.DescribeSubscribersForNotification": subscribers,
}
