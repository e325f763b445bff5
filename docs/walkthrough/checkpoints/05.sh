# shellcheck shell=bash disable=SC2016
# Chapter 5: the database. Sourced by docs/walkthrough/checkpoint.

text() { ask aws "$@" --output text; }
database() { text rds describe-db-instances --db-instance-identifier "${DATABASE:-none}" --query "DBInstances[0].$1"; }

value DATABASE "The database" && {
    state=$(database '[DBInstanceStatus, Engine, EngineVersion]' | tr '\t' ' ')
    what="database $DATABASE, available, MySQL 8.4"
    if [ "$DATABASE" != "$NAME" ]; then
        missing "$what" "stack.env says DATABASE=$DATABASE, and the name is $NAME; correct it" "The database"
    elif [[ $state == "available mysql 8.4."* ]]; then
        ok "$what"
    elif [ -z "$state" ]; then
        missing "$what" "there is none of this name in $REGION" "The database"
    else
        missing "$what" "it is '$state'; wait for it, or delete it and make it with the newest 8.4" "The database"
    fi
}
group=$(database DBSubnetGroup.DBSubnetGroupName)
subnets=$(text rds describe-db-subnet-groups --db-subnet-group-name "$NAME" --query 'DBSubnetGroups[0].Subnets[].SubnetIdentifier' | tr '\t' '\n' | sort | tr '\n' ' ')
public=$(database PubliclyAccessible)
what="it is in the private subnets, and not public"
if [ "$public" = True ] || [ "$public" = true ]; then
    missing "$what" "it is public; aws rds modify-db-instance --no-publicly-accessible --apply-immediately" "The database"
elif [ "$group" != "$NAME" ]; then
    missing "$what" "its subnet group is '${group:-nothing}', not '$NAME'" "Subnet, parameter and option group"
else
    check "$what" "$(printf '%s\n' "${PRIVATE1:-}" "${PRIVATE2:-}" | sort | tr '\n' ' ')" "$subnets" "the subnet group is to have the two private subnets" "Subnet, parameter and option group"
fi
check "its security group is database" "${DATABASE_GROUP:-}" "$(database 'VpcSecurityGroups[].VpcSecurityGroupId')" \
    "aws rds modify-db-instance --vpc-security-group-ids ${DATABASE_GROUP:-}" "The database"

parameters=$(database 'DBParameterGroups[0].DBParameterGroupName')
tls=$(text rds describe-db-parameters --db-parameter-group-name "$NAME-mysql84" --query 'Parameters[?ParameterName==`require_secure_transport`].ParameterValue' | tr -d '[:space:]')
check "parameter group $NAME-mysql84, TLS required" "$NAME-mysql84 1" "$parameters $tls" "give the database this group, with require_secure_transport=1, and reboot it" "Subnet, parameter and option group"

days=$(database BackupRetentionPeriod)
if [ "${days:-0}" -ge 7 ] 2>/dev/null; then ok "backups of $days days"; else missing "backups of 7 days" "there are ${days:-0}; aws rds modify-db-instance --backup-retention-period 7" "The database"; fi

host=$(ask aws secretsmanager get-secret-value --secret-id "$NAME/database" --query SecretString --output text | sed -n 's/.*"host": *"\([^"]*\)".*/\1/p')
check "secret $NAME/database with its end point" "$(database Endpoint.Address)" "$host" "write the secret anew, with this host" "A user for the application, and its secret"
check "the role may no longer read the secret of admin" "" "$(text iam get-role-policy --role-name "$NAME-instance" --policy-name database-admin --query PolicyName)" \
    "aws iam delete-role-policy" "A user for the application, and its secret"

left=$(text rds describe-db-instances --query "DBInstances[?DBInstanceIdentifier=='$NAME-restored'].DBInstanceIdentifier")
left+=$(text rds describe-db-snapshots --query "DBSnapshots[?DBSnapshotIdentifier=='$NAME-before-restore'].DBSnapshotIdentifier")
check "nothing is left of the restore" "" "$left" "delete the instance and the snapshot: they cost" "Restore once"

is_up database "the database" "Move"
