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
]
