# shellcheck shell=bash disable=SC2016
# Chapter 11: Elastic Beanstalk. Sourced by docs/walkthrough/checkpoint.

if value EB_ENVIRONMENT "Application and version" && value EB_HOST "Application and version"; then
    ok "variables of this chapter in ~/stack.env"
fi

check "roles $NAME-beanstalk-service and $NAME-beanstalk" "$NAME-beanstalk-service $NAME-beanstalk" \
    "$(ask iam get-role --role-name "$NAME-beanstalk-service" --query Role.RoleName) $(ask iam get-instance-profile --instance-profile-name "$NAME-beanstalk" --query 'InstanceProfile.Roles[0].RoleName')" \
    "make both, and the instance profile" "Two roles"

environment() { ask elasticbeanstalk describe-environments --environment-names "${EB_ENVIRONMENT:-none}" --no-include-deleted --query "Environments[].$1" | tr '\t' ' '; }
check "one environment ${EB_ENVIRONMENT:-}, ready and green" "Ready Green" "$(environment '[Status, Health]')" "look at its events, or at eb logs" "The environment"
platform=$(environment SolutionStackName)
case $platform in
    "64bit Amazon Linux 2023 "*" running Go "*) ok "it runs Go on Amazon Linux 2023" ;;
    *) missing "it runs Go on Amazon Linux 2023" "is '${platform:-nothing}'; a platform cannot be exchanged for another branch: terminate the environment and make it again" "The environment" ;;
esac

settings=$(ask elasticbeanstalk describe-configuration-settings --application-name "$NAME" --environment-name "${EB_ENVIRONMENT:-none}" \
    --query 'ConfigurationSettings[0].OptionSettings[].[Namespace, OptionName, Value]')
setting() { awk -F '\t' -v namespace="aws:$1" -v name="$2" '$1 == namespace && $2 == name {print $3}' <<<"$settings"; }
groups=$(setting autoscaling:launchconfiguration SecurityGroups)
inside=$([[ ,$groups, == *",${APP_GROUP:-none},"* ]] && echo yes)
check "it lives in this VPC, in the group app" "${VPC:-none} yes" "$(setting ec2:vpc VPCId) ${inside:-no}" "terminate it and make it again, with these options" "The environment"
check "settings: address and database" "http://${EB_HOST:-} ${DATABASE_HOST:-}" \
    "$(setting elasticbeanstalk:application:environment APP_URL) $(setting elasticbeanstalk:application:environment MYSQL_DATABASE_HOST)" "eb setenv NAME=VALUE" "The environment"

naked='' absent=''
for setting_name in SECRET_KEY_BASE MYSQL_DATABASE_PASSWORD REDIS_URL; do
    [ -z "$(setting elasticbeanstalk:application:environment "$setting_name")" ] || naked+=" $setting_name"
    [[ $(setting elasticbeanstalk:application:environmentsecrets "$setting_name") == arn:* ]] || absent+=" $setting_name"
done
if [ -n "$naked" ]; then
    missing "secrets by ARN" "everybody who sees the console reads$naked; put ARNs into environmentsecrets" "The environment"
elif [ -n "$absent" ]; then
    missing "secrets by ARN" "there is no$absent" "The environment"
else
    ok "secrets by ARN"
fi
