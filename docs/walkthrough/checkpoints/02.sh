# shellcheck shell=bash disable=SC2016
# Chapter 2: the account. Sourced by docs/walkthrough/checkpoint.

if value NAME 'Your notebook' && value EMAIL 'Your notebook'; then
    if [[ $NAME =~ ^[a-z][a-z0-9-]{1,15}$ ]]; then
        ok 'values in ~/stack.env'
    else
        missing 'NAME in ~/stack.env' "'$NAME' cannot name everything; 2 to 16 small letters, digits and hyphens, a letter first" 'Your notebook'
    fi
fi

version=$(aws --version 2>&1 | sed -n 's,^aws-cli/\([0-9.]*\).*,\1,p')
if [ "$(printf '%s\n' 2.32.0 "$version" | sort -V | sed -n 1p)" = 2.32.0 ]; then
    ok 'the aws command, version 2.32 or later'
else
    missing 'the aws command, version 2.32 or later' "is ${version:-nothing}; install the present one" 'The aws command'
fi

who=$(ask sts get-caller-identity --query Arn)
if [[ $who == *:root ]]; then
    missing 'signed in, and not as the root user' "you are $who; aws logout, then sign in as $NAME-admin" 'Sign in from the terminal'
else
    ok 'signed in, and not as the root user'
fi

summary=$(ask iam get-account-summary --query 'SummaryMap.[AccountMFAEnabled, AccountAccessKeysPresent]' | tr '\t' ' ')
check 'root user: MFA, and no access keys' '1 0' "$summary" 'register MFA devices for it, delete its access keys (the two numbers are MFA and keys)' 'The root user: two MFA devices, and nothing else'

group=$(ask iam list-groups-for-user --user-name "$NAME-admin" --query 'Groups[].GroupName')
check "user $NAME-admin in the group $NAME-admins" "$NAME-admins" "$group" 'make both, and add the user to the group' 'The first user'
policies=$(ask iam list-attached-group-policies --group-name "$NAME-admins" --query 'AttachedPolicies[].PolicyName')
check "the group's rights" AdministratorAccess "$policies" 'attach the policy AdministratorAccess' 'The first user'

devices=$(ask iam list-mfa-devices --user-name "$NAME-admin" --query 'length(MFADevices)')
if [ "${devices:-0}" -ge 2 ]; then
    ok "two MFA devices of $NAME-admin"
else
    missing "two MFA devices of $NAME-admin" "there are ${devices:-0}; register another" 'MFA for the user'
fi
keys=$(ask iam list-access-keys --user-name "$NAME-admin" --query 'AccessKeyMetadata[].AccessKeyId')
check "no access keys of $NAME-admin" '' "$keys" 'delete it: aws login gives keys for hours instead' 'Sign in from the terminal'

if [ -z "$(ask budgets describe-budget --account-id "$ACCOUNT" --budget-name "$NAME" --query Budget.BudgetName)" ]; then
    missing "budget $NAME" 'make it' 'A budget that mails'
else
    mails=$(ask budgets describe-notifications-for-budget --account-id "$ACCOUNT" --budget-name "$NAME" --query 'length(Notifications)')
    check "budget $NAME, with three mails" 3 "$mails" 'delete it and make it again' 'A budget that mails'
fi
