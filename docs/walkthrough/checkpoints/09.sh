# shellcheck shell=bash disable=SC2016
# Chapter 9: cache and second instance. Sourced by docs/walkthrough/checkpoint.

if value CACHE "The cache" && value CACHE_HOST "The cache" && value CACHE_PARAMETERS "Subnet group and parameter group" && value WEB02 "A second instance, which installs itself"; then
    ok "variables of this chapter in ~/stack.env"
fi

check "one cache $NAME, available, with TLS and a password" "available True True" "$(ask elasticache describe-replication-groups --replication-group-id "${CACHE:-none}" \
    --query 'ReplicationGroups[0].[Status, TransitEncryptionEnabled, AuthTokenEnabled]' | tr '\t' ' ')" "make it, or delete it and make it again" "The cache"

member=$(ask elasticache describe-replication-groups --replication-group-id "${CACHE:-none}" --query 'ReplicationGroups[0].MemberClusters[0]')
where=$(ask elasticache describe-cache-clusters --cache-cluster-id "${member:-none}" --query 'CacheClusters[0].[CacheSubnetGroupName, SecurityGroups[0].SecurityGroupId]' | tr '\t' ' ')
subnets=$(ask elasticache describe-cache-subnet-groups --cache-subnet-group-name "$NAME" --query 'CacheSubnetGroups[0].Subnets[].SubnetIdentifier' | tr '\t' '\n' | sort | tr '\n' ' ')
check "cache in the private subnets, in its group" "$NAME ${CACHE_GROUP:-none} $(printf '%s\n' "${PRIVATE1:-}" "${PRIVATE2:-}" | sort | tr '\n' ' ')" "$where $subnets" \
    "delete it and make it again" "The cache"

check "maxmemory-policy is allkeys-lru" allkeys-lru "$(ask elasticache describe-cache-parameters --cache-parameter-group-name "${CACHE_PARAMETERS:-none}" \
    --query 'Parameters[?ParameterName==`maxmemory-policy`].ParameterValue')" "modify the parameter group" "Subnet group and parameter group"

# shellcheck disable=SC2046 # ids are words
one "one instance $NAME-web02, running" "launch it" "A second instance, which installs itself" $(ask ec2 describe-instances \
    --filters "Name=tag:Name,Values=$NAME-web02" Name=instance-state-name,Values=pending,running --query 'Reservations[].Instances[].InstanceId')

healthy=
for instance in "${WEB01:-none}" "${WEB02:-none}"; do
    healthy+=$(ask elbv2 describe-target-health --target-group-arn "${TARGETS:-none}" --query "TargetHealthDescriptions[?Target.Id=='$instance'].TargetHealth.State")" "
done
check "both instances are healthy" "healthy healthy " "$healthy" "register both; on the one that is not, look at http://127.0.0.1:3000/readyz and /var/log/cloud-init-output.log" \
    "A second instance, which installs itself"

url=$(aws s3 cp "s3://${ARTIFACTS:-none}/settings/sample-app.env" - 2>/dev/null | sed -n 's/^REDIS_URL=//p')
case $url in
    arn:aws*:secretsmanager:*) ok "REDIS_URL in the settings is a secret's ARN" ;;
    rediss:*) missing "REDIS_URL in the settings is a secret's ARN" "the password itself stands in ~/sample-app.env; put the ARN there" "The setting" ;;
    *) missing "REDIS_URL in the settings is a secret's ARN" "is '${url:-nothing}'; with memory: each instance has its own sessions" "The setting" ;;
esac
host=$(ask secretsmanager get-secret-value --secret-id "$NAME/redis-url" --query SecretString | sed -n 's/^rediss:.*@\(.*\):6379$/\1/p')
check "the secret leads to this cache" "${CACHE_HOST:-none}" "$host" "write the secret again, rediss:// with two s, and end with :6379" "The setting"
