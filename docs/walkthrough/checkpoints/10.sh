# shellcheck shell=bash disable=SC2016
# Chapter 10: Auto Scaling. Sourced by docs/walkthrough/checkpoint.

if value TEMPLATE "The launch template" && value SCALING_GROUP "The group"; then
    ok "variables of this chapter in ~/stack.env"
fi

templates=$(ask ec2 describe-launch-templates --filters "Name=launch-template-name,Values=$NAME" --query 'LaunchTemplates[].LaunchTemplateId')
data=$(ask ec2 describe-launch-template-versions --launch-template-id "${TEMPLATE:-none}" --versions '$Latest' --query 'LaunchTemplateVersions[0].LaunchTemplateData.UserData')
if [ "$templates" != "${TEMPLATE:-none}" ]; then
    missing "one launch template $NAME, whose instances install themselves" "AWS has «$templates», and ~/stack.env says «${TEMPLATE:-}»" "The launch template"
elif ! base64 -d <<<"$data" 2>/dev/null | grep -q "^bucket=${ARTIFACTS:-none}$"; then
    missing "one launch template $NAME, whose instances install themselves" "its user data does not name the bucket ${ARTIFACTS:-}" "The launch template"
else
    ok "one launch template $NAME, whose instances install themselves"
fi

group() { ask autoscaling describe-auto-scaling-groups --auto-scaling-group-names "${SCALING_GROUP:-none}" --query "AutoScalingGroups[0].$1" | tr '\t' ' '; }
subnets=$(group VPCZoneIdentifier | tr -d ' ' | tr , '\n' | sort | tr '\n' ' ')
check "Auto Scaling group $NAME: 2 to 3 instances in two subnets" "2 3 $(printf '%s\n' "${PUBLIC1:-}" "${PUBLIC2:-}" | sort | tr '\n' ' ')" "$(group '[MinSize, MaxSize]') $subnets" \
    "update the group" "The group"

protected=$(group 'Instances[?ProtectedFromScaleIn].InstanceId' | tr ' ' '\n' | sort | tr '\n' ' ')
check "web01 and web02 are members, protected from scaling in" "$(printf '%s\n' "${WEB01:-}" "${WEB02:-}" | sort | tr '\n' ' ')" "$protected" "attach them, then set-instance-protection" "The group"
check "members are registered at the load balancer" "${TARGETS:-none}" "$(group 'TargetGroupARNs[0]')" "aws autoscaling attach-load-balancer-target-groups" "The group"

policy() { ask autoscaling describe-policies --auto-scaling-group-name "${SCALING_GROUP:-none}" --query "ScalingPolicies[?PolicyName=='$1'].$2 | [0]"; }
check "policies one-more and one-less" "1 -1" "$(policy one-more ScalingAdjustment) $(policy one-less ScalingAdjustment)" "put both policies" "Two policies, two alarms"

alarm() { # NAME THRESHOLD POLICY
    local found
    found=$(ask cloudwatch describe-alarms --alarm-names "$NAME-$1" --query 'MetricAlarms[0].[Threshold, Dimensions[0].Value, AlarmActions[0]]' | tr '\t' ' ')
    check "alarm $NAME-$1 at $2 calls $3" "$2 ${SCALING_GROUP:-none} $(policy "$3" PolicyARN)" "${found/.0 / }" "put the alarm again" "Two policies, two alarms"
}
alarm busy 60 one-more
alarm idle 30 one-less
