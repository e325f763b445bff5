# shellcheck shell=bash disable=SC2016
# Chapter 7: load balancer, names, https, settings. Sourced by docs/walkthrough/checkpoint.

text() { ask aws "$@" --output text; }

if value TARGETS "The target group" && value BALANCER "The load balancer" && value BALANCER_HOST "The load balancer" && value PRIVATE_ZONE "Names inside: db.home" &&
    value URL "All settings in one place"; then
    ok "variables of this chapter in ~/stack.env"
fi

arns=$(text elbv2 describe-load-balancers --names "$NAME" --query 'LoadBalancers[].LoadBalancerArn')
subnets=$(text elbv2 describe-load-balancers --names "$NAME" --query 'LoadBalancers[0].AvailabilityZones[].SubnetId' | tr '\t' '\n' | sort | tr '\n' ' ')
wanted=$(printf '%s\n' "${PUBLIC1:-}" "${PUBLIC2:-}" | sort | tr '\n' ' ')
if [ "$arns" != "${BALANCER:-none}" ]; then
    missing "one load balancer $NAME, in two subnets" "AWS has «$arns», and ~/stack.env says «${BALANCER:-}»" "The load balancer"
else
    check "one load balancer $NAME, in two subnets" "$wanted" "$subnets" "set both public subnets" "The load balancer"
fi

check "target group: port 3000, /readyz" "3000 /readyz" \
    "$(text elbv2 describe-target-groups --target-group-arns "${TARGETS:-none}" --query 'TargetGroups[0].[Port, HealthCheckPath]' | tr '\t' ' ')" \
    "delete it and make it again" "The target group"
check "web01 is healthy" healthy "$(text elbv2 describe-target-health --target-group-arn "${TARGETS:-none}" \
    --query "TargetHealthDescriptions[?Target.Id=='${WEB01:-none}'].TargetHealth.State")" \
    "register it, and look on web01 whether http://127.0.0.1:3000/readyz answers 200" "The target group"

others=$(text ec2 describe-security-groups --group-ids "${APP_GROUP:-none}" \
    --query 'SecurityGroups[0].IpPermissions[?FromPort==`3000`].IpRanges[].CidrIp')
check "web01 is reached by the load balancer only" "" "$others" "revoke that rule of port 3000" "Close the direct way"

# shellcheck disable=SC2046 # ids are words
one "one private zone home, of this VPC" "make it, with --vpc" "Names inside: db.home" $(text route53 list-hosted-zones-by-vpc --vpc-id "${VPC:-none}" \
    --vpc-region "$REGION" --query "HostedZoneSummaries[?Name=='home.'].HostedZoneId")
record_of() { # ZONE NAME QUERY
    text route53 list-resource-record-sets --hosted-zone-id "$1" --query "ResourceRecordSets[?Name=='$2.'] | [0].$3" | sed 's/\.$//'
}
check "db.home leads to the database" "${DATABASE_HOST:-none}" "$(record_of "${PRIVATE_ZONE:-none}" db.home 'ResourceRecords[0].Value')" \
    "write the record again" "Names inside: db.home"

if [ -z "${DOMAIN:-}" ]; then
    ok "no domain: everything goes by ${BALANCER_HOST:-the name of the load balancer}, over http"
else
    # shellcheck disable=SC2046 # ids are words
    one "one public zone $DOMAIN" "make it" "Domain only: the public zone" $(text route53 list-hosted-zones-by-name --dns-name "$DOMAIN" \
        --query "HostedZones[?Name=='$DOMAIN.' && Config.PrivateZone==\`false\`].Id")
    alias=$(record_of "${ZONE:-none}" "${HOST:-none}" AliasTarget.DNSName)
    check "the name ${HOST:-} leads to the load balancer" "${BALANCER_HOST:-none}" "${alias#dualstack.}" "write the alias record" "Domain only: https, and the name"
    check "certificate of ${HOST:-}" "${HOST:-} ISSUED" "$(text acm describe-certificate --certificate-arn "${CERTIFICATE:-none}" --query 'Certificate.[DomainName, Status]' | tr '\t' ' ')" \
        "PENDING_VALIDATION means that the record of proof is missing, or that the registrar names other name servers" "Domain only: the certificate"
    check "https, and http leads there" "443 forward 80 redirect" "$(text elbv2 describe-listeners --load-balancer-arn "${BALANCER:-none}" \
        --query 'reverse(sort_by(Listeners, &Port))[].[Port, DefaultActions[0].Type]' | tr -s '\t\n' ' ' | sed 's/ $//')" \
        "make the listener of 443, and let that of 80 redirect" "Domain only: https, and the name"
fi

here=$(cksum <~/sample-app.env 2>/dev/null)
there=$(ask aws s3 cp "s3://${ARTIFACTS:-none}/settings/sample-app.env" - | cksum)
if [ ! -e ~/sample-app.env ]; then
    missing "settings in S3, as on your machine" "there is no ~/sample-app.env; write it" "All settings in one place"
elif [ "$here" != "$there" ]; then
    missing "settings in S3, as on your machine" "they differ; copy ~/sample-app.env to S3 again" "All settings in one place"
else
    ok "settings in S3, as on your machine"
fi
