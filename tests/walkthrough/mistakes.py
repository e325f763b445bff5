"""What a reader could get wrong: a step left out, a step taken twice, another region, a wrong name. The checkpoint has to say so.

Each is typed after its chapter: `do`, then the checkpoint, which fails and says `says` (a regular expression); then `undo`, and in the end the
checkpoint is content again.
"""
import dataclasses


@dataclasses.dataclass
class Mistake:
    chapter: str
    what: str
    do: str
    says: str
    undo: str


RULE = ("aws ec2 {}-security-group-ingress --group-id $DATABASE_GROUP --ip-permissions "
        "\"IpProtocol=tcp,FromPort=3306,ToPort=3306,UserIdGroupPairs=[{{GroupId=$APP_GROUP,Description=Application}}]\"")
MISTAKES = [
    Mistake("01", "cargo run was ended", "mv ~/.sample-app-visitor ~/kept", r"MISSING  somebody is logged in: .*\(chapter 1, ", "mv ~/kept ~/.sample-app-visitor"),
    Mistake("02", "the budget was left out", "aws budgets delete-budget --account-id $ACCOUNT --budget-name sample",
            r"MISSING  budget sample: make it \(chapter 2, \"A budget that mails\"\)",
            "TO='Subscribers=[{SubscriptionType=EMAIL,Address='$EMAIL'}]'\n"
            "aws budgets create-budget --account-id $ACCOUNT --budget 'BudgetName=sample,BudgetType=COST,TimeUnit=MONTHLY,BudgetLimit={Amount=20,Unit=USD}' "
            "--notifications-with-subscribers " + " ".join(f'"Notification={{NotificationType=ACTUAL,ComparisonOperator=GREATER_THAN,Threshold={share}}},$TO"' for share in (50, 75, 100))),
    Mistake("02", "the user was not put into the group", "aws iam remove-user-from-group --group-name sample-admins --user-name sample-admin",
            r"MISSING  user sample-admin in the group sample-admins: is 'nothing'", "aws iam add-user-to-group --group-name sample-admins --user-name sample-admin"),
    Mistake("02", "a name that nothing can have", "sed -i 's/^NAME=.*/NAME=My_App/' ~/stack.env", r"MISSING  NAME in ~/stack.env: 'My_App' cannot name everything", "sed -i 's/^NAME=.*/NAME=sample/' ~/stack.env"),
    Mistake("02", "another account", "sed -i 's/^ACCOUNT=.*/ACCOUNT=999999999999/' ~/stack.env", r"MISSING  your account: .*999999999999", "sed -i \"s/^ACCOUNT=.*/ACCOUNT=$ACCOUNT/\" ~/stack.env"),
    Mistake("02", "no stack.env", "mv ~/stack.env ~/kept", r"MISSING  the file of your values, ~/stack.env: make it \(chapter 2, \"Your notebook\"\)", "mv ~/kept ~/stack.env"),
    Mistake("03", "another region", "aws configure set region us-east-1", r"MISSING  the region of the aws command: is 'us-east-1'.*\(chapter 2, ", "aws configure set region ap-northeast-2"),
    Mistake("03", "the VPC was made twice",
            "TWICE=$(aws ec2 create-vpc --cidr-block 10.0.0.0/16 --tag-specifications 'ResourceType=vpc,Tags=[{Key=Name,Value=sample},{Key=project,Value=sample}]' --query Vpc.VpcId --output text)",
            r"MISSING  one VPC named sample", "aws ec2 delete-vpc --vpc-id $TWICE"),
    Mistake("03", "a security group's rule was left out",
            RULE.format("revoke"),
            r"MISSING  security group database", RULE.format("authorize")),
    Mistake("04", "the port is open to everybody", "aws ec2 authorize-security-group-ingress --group-id $APP_GROUP --protocol tcp --port 3000 --cidr 0.0.0.0/0",
            r"MISSING  port 3000 is open to \S+ and not to everybody: 0\.0\.0\.0/0 is let in", "aws ec2 revoke-security-group-ingress --group-id $APP_GROUP --protocol tcp --port 3000 --cidr 0.0.0.0/0"),
    Mistake("04", "the instance was launched twice",
            "TWICE=$(aws ec2 run-instances --image-id $IMAGE --instance-type t3.small --subnet-id $PUBLIC1 --tag-specifications 'ResourceType=instance,Tags=[{Key=Name,Value=sample-web01}]' "
            "--query 'Instances[0].InstanceId' --output text)", r"MISSING  one instance sample-web01, running, in public-1: there are several", "aws ec2 terminate-instances --instance-ids $TWICE"),
    Mistake("05", "the right to the secret of admin stays", "aws iam put-role-policy --role-name $NAME-instance --policy-name database-admin --policy-document "
            "'{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"secretsmanager:GetSecretValue\", \"Resource\": \"*\"}]}'", r"MISSING  the role may no longer read the secret of admin", "aws iam delete-role-policy --role-name $NAME-instance --policy-name database-admin"),
    Mistake("06", "the bucket's policy was left out", "aws s3api get-bucket-policy --bucket $PICTURES --query Policy --output text >~/kept; aws s3api delete-bucket-policy --bucket $PICTURES",
            r"MISSING  only this distribution may read the bucket", "aws s3api put-bucket-policy --bucket $PICTURES --policy file://$HOME/kept"),
    Mistake("12", "the settings have the line twice", "echo LOGSTASH_URL=tcp://x:5044 >>~/sample-app.env; aws s3 cp --only-show-errors ~/sample-app.env s3://$ARTIFACTS/settings/sample-app.env",
            r"MISSING  LOGSTASH_URL in the settings: is 'tcp://\S+ tcp://x:5044'", "docs/walkthrough/settings LOGSTASH_URL=$LOGSTASH_URL"),
    Mistake("12", "the files of Logstash were left out", "aws s3 rm --recursive --only-show-errors s3://$ARTIFACTS/logstash", r"MISSING  files of Logstash in the bucket: is '0'",
            "aws s3 cp --recursive --only-show-errors deploy/logstash s3://$ARTIFACTS/logstash/1"),
    Mistake("13", "the topic's policy was left out", "aws sns set-topic-attributes --topic-arn $TOPIC --attribute-name Policy --attribute-value '{\"Version\":\"2012-10-17\",\"Statement\":[]}'",
            r"MISSING  alarms may publish to it: .*cloudwatch.amazonaws.com", "aws sns set-topic-attributes --topic-arn $TOPIC --attribute-name Policy --attribute-value "
            "'{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"cloudwatch.amazonaws.com\"},\"Action\":\"sns:Publish\",\"Resource\":\"*\"}]}'"),
    Mistake("13", "the function does not let the topic call it", "aws lambda remove-permission --function-name sample-slack --statement-id topic", r"MISSING  function sample-slack lets the topic call it: add the permission",
            "aws lambda add-permission --function-name sample-slack --statement-id topic --action lambda:InvokeFunction --principal sns.amazonaws.com --source-arn $TOPIC"),
    Mistake("14", "two replicas", "aws rds create-db-instance-read-replica --db-instance-identifier sample-reader-2 --source-db-instance-identifier sample", r"MISSING  replica sample-reader of sample: is 'sample-reader sample-reader-2'",
            "aws rds delete-db-instance --db-instance-identifier sample-reader-2 --skip-final-snapshot"),
    Mistake("14", "the proxy was forgotten", "aws rds create-db-proxy --db-proxy-name sample --engine-family MYSQL --role-arn arn:aws:iam::$ACCOUNT:role/x --auth AuthScheme=SECRETS,IAMAuth=DISABLED "
            "--vpc-subnet-ids $PRIVATE1 $PRIVATE2", r"MISSING  no proxy left: is 'sample'", "aws rds delete-db-proxy --db-proxy-name sample"),
    Mistake("15", "an address is left", "LEFT=$(aws ec2 allocate-address --tag-specifications \"ResourceType=elastic-ip,Tags=[{Key=project,Value=sample}]\" --query AllocationId --output text)",
            r"MISSING  no addresses: there is still", "aws ec2 release-address --allocation-id $LEFT"),
    Mistake("07", "web01 was not registered", "aws elbv2 deregister-targets --target-group-arn $TARGETS --targets Id=$WEB01", r"MISSING  web01 is healthy: is 'nothing'",
            "aws elbv2 register-targets --target-group-arn $TARGETS --targets Id=$WEB01; aws elbv2 wait target-in-service --target-group-arn $TARGETS --targets Id=$WEB01"),
    Mistake("07", "the public zone was made twice",
            "TWICE=$(aws route53 create-hosted-zone --name $DOMAIN --caller-reference twice --query HostedZone.Id --output text)",
            r"MISSING  one public zone example.com: there are 2", "aws route53 delete-hosted-zone --id $TWICE"),
    Mistake("08", "a second key was made", "TWICE=$(aws iam create-access-key --user-name $NAME-smtp --query AccessKey.AccessKeyId --output text)",
            r"MISSING  user sample-smtp has one key", "aws iam delete-access-key --user-name $NAME-smtp --access-key-id $TWICE"),
    Mistake("09", "sessions stay in the process", "cp ~/sample-app.env ~/kept; docs/walkthrough/settings REDIS_URL=memory:", r"MISSING  REDIS_URL in the settings is a secret's ARN: is 'memory:'",
            "mv ~/kept ~/sample-app.env; docs/walkthrough/settings"),
    Mistake("10", "a policy was left out", "aws autoscaling delete-policy --auto-scaling-group-name $SCALING_GROUP --policy-name one-less", r"MISSING  policies one-more and one-less",
            "policy one-less -1"),
    Mistake("11", "a secret stands in the console",
            "aws elasticbeanstalk update-environment --environment-name $EB_ENVIRONMENT --option-settings Namespace=aws:elasticbeanstalk:application:environment,OptionName=SECRET_KEY_BASE,Value=x",
            r"MISSING  secrets by ARN: everybody who sees the console reads SECRET_KEY_BASE",
            "aws elasticbeanstalk update-environment --environment-name $EB_ENVIRONMENT --options-to-remove Namespace=aws:elasticbeanstalk:application:environment,OptionName=SECRET_KEY_BASE"),
]
