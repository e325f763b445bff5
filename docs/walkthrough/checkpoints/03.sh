# shellcheck shell=bash disable=SC2016
# Chapter 3: the network. Sourced by docs/walkthrough/checkpoint.

text() { ask aws "$@" --output text; }

named=$(text ec2 describe-vpcs --filters "Name=tag:Name,Values=$NAME" --query 'Vpcs[].VpcId')
case $(wc -w <<<"$named") in
    0) missing "one VPC named $NAME, 10.0.0.0/16" "there is none in $REGION; make it, with this name in the tag Name" "The VPC" ;;
    1)
        if [ "$named" != "${VPC:-}" ]; then
            missing "one VPC named $NAME, 10.0.0.0/16" "it is $named, and ~/stack.env says VPC=${VPC:-}; correct ~/stack.env" "The VPC"
        else
            check "one VPC named $NAME, 10.0.0.0/16" 10.0.0.0/16 "$(text ec2 describe-vpcs --vpc-ids "$VPC" --query 'Vpcs[0].CidrBlock')" \
                "delete it and make it again" "The VPC"
        fi
        ;;
    *) missing "one VPC named $NAME, 10.0.0.0/16" "there are several ($named); delete those that ~/stack.env does not name" "The VPC" ;;
esac

dns=
for attribute in enableDnsSupport enableDnsHostnames; do
    dns+=$(text ec2 describe-vpc-attribute --vpc-id "${VPC:-none}" --attribute "$attribute" --query "${attribute^}.Value" | tr '[:upper:]' '[:lower:]')
done
check "DNS support and DNS host names" truetrue "$dns" "aws ec2 modify-vpc-attribute, both attributes" "The VPC"

subnets=$(text ec2 describe-subnets --filters "Name=vpc-id,Values=${VPC:-none}" --query 'Subnets[].[CidrBlock, SubnetId, AvailabilityZone]' | sort -V)
expected="10.0.0.0/20 ${PUBLIC1:-} 10.0.16.0/20 ${PUBLIC2:-} 10.0.64.0/20 ${PRIVATE1:-} 10.0.80.0/20 ${PRIVATE2:-}"
found=$(awk '{printf "%s%s %s", (NR > 1 ? " " : ""), $1, $2}' <<<"$subnets")
zones=$(awk 'NF == 3 {print $3}' <<<"$subnets" | sort | uniq -c | awk '{printf "%s ", $1}')
if [ "$found" = "$expected" ] && [ "$zones" != "2 2 " ]; then
    missing "four subnets in two zones" "they are not two in each of two zones; make them again" "Four subnets in two zones"
else
    check "four subnets in two zones" "$expected" "$found" "make what is missing, delete what is twice" "Four subnets in two zones"
fi

# Where 0.0.0.0/0 leads for a subnet; empty without such a route.
way_out() {
    text ec2 describe-route-tables --filters "Name=association.subnet-id,Values=${1:-none}" \
        --query 'RouteTables[].Routes[?DestinationCidrBlock==`0.0.0.0/0`][] | [].[GatewayId, NatGatewayId]' | tr -s '\t\n' ' ' | sed 's/None//g; s/ //g'
}
check "public subnets lead to the internet gateway" "${GATEWAY:-none} ${GATEWAY:-none}" "$(way_out "${PUBLIC1:-}") $(way_out "${PUBLIC2:-}")" \
    "create-route to the internet gateway, and associate both public subnets with that table" "The internet gateway and the routes"
[ -z "${PRIVATE1:-}" ] || check "private subnets lead nowhere outside" " " "$(way_out "${PRIVATE1:-}") $(way_out "${PRIVATE2:-}")" \
    "delete the route 0.0.0.0/0 of their tables" "A NAT gateway, to look at"

tables=$(text ec2 describe-vpc-endpoints --filters "Name=vpc-id,Values=${VPC:-none}" --query "VpcEndpoints[?ServiceName=='com.amazonaws.${REGION:-}.s3'].RouteTableIds[]" | wc -w)
check "S3 endpoint in three route tables" 3 "$tables" "make it once, with all three" "A gateway endpoint for S3"

# GROUP NAME RULES, each as FROM-TO<SOURCE, in order
group_has() {
    local ids rules
    ids=$(text ec2 describe-security-groups --filters "Name=vpc-id,Values=${VPC:-none}" "Name=group-name,Values=$NAME-$2" --query 'SecurityGroups[].GroupId')
    if [ -z "$1" ] || [ "$ids" != "$1" ]; then
        missing "security group $2" "in the VPC there is «$ids» named $NAME-$2, and ~/stack.env says «$1»" "Four security groups"
        return
    fi
    rules=$(text ec2 describe-security-groups --group-ids "$1" --query 'SecurityGroups[0].IpPermissions[].[FromPort, ToPort, join(`,`, IpRanges[].CidrIp), join(`,`, UserIdGroupPairs[].GroupId)]' |
        awk -F '\t' '{n = split($3 "," $4, from, ","); for (i = 1; i <= n; i++) if (from[i] != "") print $1 "-" $2 "<" from[i]}' | sort | tr '\n' ' ')
    local rule absent=
    for rule in $3; do [[ " $rules " == *" $rule "* ]] || absent+="$rule "; done
    if [ -n "$absent" ]; then
        missing "security group $2" "it lacks the rule $absent(ports<source)" "Who reaches whom"
    elif [ "$2" != load-balancer ] && [[ $rules == *0.0.0.0/0* ]]; then
        missing "security group $2" "everybody is let in ($rules); revoke that rule" "Who reaches whom"
    else
        ok "security group $2"
    fi
}
group_has "${BALANCER_GROUP:-}" load-balancer "80-80<0.0.0.0/0 443-443<0.0.0.0/0"
group_has "${APP_GROUP:-}" app "3000-3000<${BALANCER_GROUP:-none}"
group_has "${DATABASE_GROUP:-}" database "3306-3306<${APP_GROUP:-none} 3306-3306<${DATABASE_GROUP:-none}"
group_has "${CACHE_GROUP:-}" cache "6379-6380<${APP_GROUP:-none}"

role=$(text iam get-instance-profile --instance-profile-name "$NAME-instance" --query 'InstanceProfile.Roles[0].RoleName')
policies=$(text iam list-attached-role-policies --role-name "$NAME-instance" --query 'AttachedPolicies[].PolicyName')
if [ "$role" != "$NAME-instance" ]; then
    missing "role $NAME-instance for Session Manager" "the instance profile $NAME-instance has no role of that name" "The way in: Session Manager"
elif [[ $policies != *AmazonSSMManagedInstanceCore* ]]; then
    missing "role $NAME-instance for Session Manager" "attach the policy AmazonSSMManagedInstanceCore" "The way in: Session Manager"
else
    ok "role $NAME-instance for Session Manager"
fi

nat=$(text ec2 describe-nat-gateways --filter "Name=vpc-id,Values=${VPC:-none}" --query 'NatGateways[?State!=`deleted`].NatGatewayId')
check "no NAT gateway" "" "$nat" "aws ec2 delete-nat-gateway, unless you want it: \$36.50 a month" "A NAT gateway, to look at"
