# shellcheck shell=bash disable=SC2016
# Chapter 13: topic, mail, Slack, alarms, dashboard. Sourced by docs/walkthrough/checkpoint.

topic_step='The topic, and your mailbox' slack_step='The function that posts'
value TOPIC "$topic_step" &&
    check "topic $NAME-alarms" "arn:aws:sns:$REGION:$ACCOUNT:$NAME-alarms" "$(ask sns get-topic-attributes --topic-arn "$TOPIC" --query Attributes.TopicArn)" 'make it again' "$topic_step"
policy=$(ask sns get-topic-attributes --topic-arn "${TOPIC:-none}" --query Attributes.Policy)
if [[ $policy == *cloudwatch.amazonaws.com* ]]; then ok 'alarms may publish to it'; else missing 'alarms may publish to it' "the topic's policy does not name cloudwatch.amazonaws.com; set it" "$topic_step"; fi
subscriptions=$(ask sns list-subscriptions-by-topic --topic-arn "${TOPIC:-none}" --query 'Subscriptions[].[Protocol, SubscriptionArn, Endpoint]')
case $subscriptions in
    *email*PendingConfirmation*) missing 'mail confirmed' 'follow the link in the mail of AWS Notifications' "$topic_step" ;;
    *email*) ok 'mail confirmed' ;;
    *) missing 'mail confirmed' 'nobody has subscribed by mail' "$topic_step" ;;
esac
check "function $NAME-slack subscribed" 1 "$(grep -c ":function:$NAME-slack" <<<"$subscriptions")" 'subscribe it to the topic, once' "$slack_step"
allowed=$(ask lambda get-policy --function-name "$NAME-slack" --query Policy)
if [[ $allowed == *sns.amazonaws.com* && $allowed == *"${TOPIC:-none}"* ]]; then
    ok "function $NAME-slack lets the topic call it"
else
    missing "function $NAME-slack lets the topic call it" 'add the permission' "$slack_step"
fi
[ "$(ask secretsmanager get-secret-value --secret-id "$NAME/slack-webhook" --query SecretString)" != none ] ||
    echo 'NOTE     the address of Slack is not in its secret yet; paste it if you want Slack (chapter 13, "The address of Slack")'
alarms=$(ask cloudwatch describe-alarms --alarm-names "$NAME"-{unhealthy,errors,web-memory,database-cpu,database-disk} --query "MetricAlarms[?contains(AlarmActions, '${TOPIC:-none}')].AlarmName" | wc -w)
check '5 alarms that tell the topic' 5 "$alarms" 'make the alarms again; with the same name they replace the old ones' Alarms
check "dashboard $NAME" "$NAME" "$(ask cloudwatch get-dashboard --dashboard-name "$NAME" --query DashboardName)" 'make it' 'A dashboard'
