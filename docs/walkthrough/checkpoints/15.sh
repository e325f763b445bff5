# shellcheck shell=bash disable=SC2016
# Chapter 15: nothing is left. Sourced by docs/walkthrough/checkpoint.

none() { # WHAT HEADING, with what is left on standard input
    local left
    left=$(tr -s '\t\n' '  ' | sed 's/^ //; s/ $//')
    if [ -z "$left" ]; then ok "no $1"; else missing "no $1" "there is still $left; repeat the step" "$2"; fi
}

ask elasticbeanstalk describe-environments --no-include-deleted --query "Environments[?starts_with(ApplicationName, '$NAME')].EnvironmentName" | none 'Beanstalk environments' 'Elastic Beanstalk'
ask cloudformation describe-stacks --query "Stacks[?Tags[?Key=='project' && Value=='$NAME']].StackName" | none 'stacks of CloudFormation' 'Logs, alarms, dashboard'
ask cloudwatch describe-alarms --alarm-name-prefix "$NAME" --query 'MetricAlarms[].AlarmName' | none alarms 'Logs, alarms, dashboard'
ask lambda list-functions --query "Functions[?starts_with(FunctionName, '$NAME')].FunctionName" | none functions 'Logs, alarms, dashboard'
ask sns list-topics --query "Topics[?contains(TopicArn, ':$NAME')].TopicArn" | none topics 'Logs, alarms, dashboard'
ask autoscaling describe-auto-scaling-groups --query "AutoScalingGroups[?Tags[?Key=='project' && Value=='$NAME']].AutoScalingGroupName" | none 'Auto Scaling groups' 'Instances and load balancer'
{
    ask elbv2 describe-load-balancers --query "LoadBalancers[?starts_with(LoadBalancerName, '$NAME')].LoadBalancerName"
    ask elbv2 describe-target-groups --query "TargetGroups[?starts_with(TargetGroupName, '$NAME')].TargetGroupName"
} | none 'load balancers' 'Instances and load balancer'
ask ec2 describe-instances --filters "Name=tag:project,Values=$NAME" Name=instance-state-name,Values=pending,running,stopping,stopped \
    --query 'Reservations[].Instances[].InstanceId' | none instances 'Instances and load balancer'
ask ec2 describe-volumes --filters "Name=tag:project,Values=$NAME" --query 'Volumes[].VolumeId' | none volumes 'Instances and load balancer'
ask ec2 describe-addresses --filters "Name=tag:project,Values=$NAME" --query 'Addresses[].PublicIp' | none addresses 'The network'
{
    ask rds describe-db-proxies --query "DBProxies[?starts_with(DBProxyName, '$NAME')].DBProxyName"
    ask rds describe-db-instances --query "DBInstances[?TagList[?Key=='project' && Value=='$NAME']].DBInstanceIdentifier"
} | none 'databases and proxies' 'Database and cache'
ask rds describe-db-snapshots --snapshot-type manual --query "DBSnapshots[?starts_with(DBSnapshotIdentifier, '$NAME')].DBSnapshotIdentifier" |
    sed "s/$NAME-kept//" | none 'snapshots of databases' 'Database and cache'
{
    ask elasticache describe-replication-groups --query "ReplicationGroups[?starts_with(ReplicationGroupId, '$NAME')].ReplicationGroupId"
    ask elasticache describe-serverless-caches --query "ServerlessCaches[?starts_with(ServerlessCacheName, '$NAME')].ServerlessCacheName"
} | none caches 'Database and cache'
{
    ask cloudfront list-distributions --query "DistributionList.Items[?starts_with(Origins.Items[0].DomainName, '$NAME-')].Id"
    ask cloudfront list-origin-access-controls --query "OriginAccessControlList.Items[?starts_with(Name, '$NAME')].Id"
} | none distributions 'Pictures: distribution and buckets'
ask s3api list-buckets --query "Buckets[?starts_with(Name, '$NAME-') && ends_with(Name, '-$ACCOUNT')].Name" | none buckets 'Pictures: distribution and buckets'
ask route53 list-hosted-zones --query "HostedZones[?Name=='${DOMAIN:-none}.' || (Name=='home.' && Config.PrivateZone)].Name" | none 'hosted zones' 'Mail, names, certificate'
ask secretsmanager list-secrets --query "SecretList[?starts_with(Name, '$NAME/') || starts_with(Name, '$NAME-')].Name" | none secrets 'Secrets, settings, log groups, roles'
ask logs describe-log-groups --query "logGroups[?contains(logGroupName, '/$NAME')].logGroupName" | none 'log groups' 'Secrets, settings, log groups, roles'
{
    ask iam list-roles --query "Roles[?starts_with(RoleName, '$NAME-')].RoleName"
    ask iam list-users --query "Users[?starts_with(UserName, '$NAME-') && UserName!='$NAME-admin'].UserName"
} | none 'roles and users' 'Secrets, settings, log groups, roles'
ask ec2 describe-vpcs --filters "Name=tag:project,Values=$NAME" --query 'Vpcs[].VpcId' | none VPC 'The network'
