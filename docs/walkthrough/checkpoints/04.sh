# shellcheck shell=bash disable=SC2016
# Chapter 4: an instance. Sourced by docs/walkthrough/checkpoint.

text() { ask aws "$@" --output text; }

bucket=$NAME-artifacts-$ACCOUNT
where=$(text s3api get-bucket-location --bucket "$bucket" --query LocationConstraint)
if ! ask aws s3api head-bucket --bucket "$bucket" >/dev/null || [ -z "$(text s3api list-buckets --query "Buckets[?Name=='$bucket'].Name")" ]; then
    missing "bucket $bucket in $REGION" "there is none of this name" "A bucket for releases"
else
    check "bucket $bucket in $REGION" "$REGION" "${where:-us-east-1}" "delete it and make it with --region $REGION" "A bucket for releases"
fi
check "release in the bucket" releases/sample-app.tar.gz "$(text s3api list-objects-v2 --bucket "$bucket" --prefix releases/sample-app --query 'Contents[0].Key')" \
    "aws s3 cp it there" "A bucket for releases"
check "secret $NAME/secret-key-base" "$NAME/secret-key-base" "$(text secretsmanager describe-secret --secret-id "$NAME/secret-key-base" --query Name)" \
    "make it" "A secret, and the right to read it"

policy=$(aws iam get-role-policy --role-name "$NAME-instance" --policy-name release --query PolicyDocument --output json 2>/dev/null | tr -d ' \n')
if [[ $policy == *"arn:aws:s3:::$bucket/releases/"* && $policy == *":$REGION:$ACCOUNT:secret:$NAME/"* ]]; then
    ok "role may fetch releases and read secrets"
else
    missing "role may fetch releases and read secrets" "the policy release of $NAME-instance does not name this bucket and these secrets; put it again" "A secret, and the right to read it"
fi

what="one instance $NAME-web01, running, in public-1"
found=$(text ec2 describe-instances --filters "Name=tag:Name,Values=$NAME-web01" Name=instance-state-name,Values=pending,running,stopping,stopped \
    --query 'Reservations[].Instances[].[InstanceId, State.Name, SubnetId]')
case $(grep -c . <<<"$found") in
    0) missing "$what" "there is none" "The instance" ;;
    1) check "$what" "${WEB01:-} running ${PUBLIC1:-}" "$(tr '\t' ' ' <<<"$found")" "correct ~/stack.env, or terminate it and launch it again" "The instance" ;;
    *) missing "$what" "there are several ($(cut -f 1 <<<"$found" | tr '\n' ' ')); terminate those that ~/stack.env does not name" "The instance" ;;
esac
has=$(text ec2 describe-instances --instance-ids "${WEB01:-none}" \
    --query 'Reservations[0].Instances[0].[IamInstanceProfile.Arn, SecurityGroups[0].GroupId, MetadataOptions.HttpTokens]' | tr '\t' ' ')
if [[ $has == *"instance-profile/$NAME-instance ${APP_GROUP:-none} required" ]]; then
    ok "instance has the role, the group app and IMDSv2"
else
    missing "instance has the role, the group app and IMDSv2" "it has '$has'" "The instance"
fi
if value ADDRESS "An Elastic IP"; then
    check "Elastic IP $ADDRESS leads to it" "${WEB01:-}" "$(text ec2 describe-addresses --public-ips "$ADDRESS" --query 'Addresses[0].InstanceId')" "aws ec2 associate-address" "An Elastic IP"
fi
if value MY_ADDRESS "Open the door, to yourself"; then
    from=$(text ec2 describe-security-groups --group-ids "${APP_GROUP:-none}" --query 'SecurityGroups[0].IpPermissions[?FromPort==`3000`].IpRanges[].CidrIp')
    what="port 3000 is open to $MY_ADDRESS and not to everybody"
    case " $(tr '\t\n' '  ' <<<"$from") " in
        *' 0.0.0.0/0 '*) missing "$what" "0.0.0.0/0 is let in; revoke that rule" "Open the door, to yourself" ;;
        *" $MY_ADDRESS "*) ok "$what" ;;
        *) missing "$what" "the rule is absent" "Open the door, to yourself" ;;
    esac
fi
url=http://${ADDRESS:-none}:3000/readyz
if curl --silent --fail --max-time 10 --noproxy '*' --output /dev/null "$url"; then
    ok "$url"
else
    missing "$url" "it does not answer; is your address still ${MY_ADDRESS:-?}? If so, look at journalctl -u sample-app on the instance" "Settings"
fi
