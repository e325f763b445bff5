# shellcheck shell=bash disable=SC2016
# Chapter 14: standby, replica, sign-in by IAM. Sourced by docs/walkthrough/checkpoint.

database() { ask rds describe-db-instances --db-instance-identifier "${DATABASE:-none}" --query "DBInstances[0].$1"; }
check "standby of ${DATABASE:-the database}" True "$(database MultiAZ)" 'switch Multi-AZ on' 'A standby'
group=$(database 'DBParameterGroups[0].DBParameterGroupName')
check 'gtid-mode ON' ON "$(ask rds describe-db-parameters --db-parameter-group-name "${group:-none}" --source user --query "Parameters[?ParameterName=='gtid-mode'].ParameterValue")" \
    "set it in the parameter group ${group:-} and reboot" 'Numbers for transactions'
value DB_READER 'A replica' &&
    check "replica $DB_READER of ${DATABASE:-}" "$DB_READER" "$(ask rds describe-db-instances --query "DBInstances[?ReadReplicaSourceDBInstanceIdentifier=='${DATABASE:-none}'].DBInstanceIdentifier" | tr '\t' ' ')" \
        'make it, in this region; one of them is enough' 'A replica'
value DB_READER_HOST 'A replica' &&
    check 'the replica in the settings' "$DB_READER_HOST" "$(aws s3 cp "s3://${ARTIFACTS:-none}/settings/sample-app.env" - 2>/dev/null | sed -n 's/^MYSQL_DATABASE_READER_HOST=//p' | tr '\n' ' ' | sed 's/ $//')" \
        'write it into the settings, once, and copy them' 'The application reads from it'
check 'sign-in by IAM allowed' True "$(database IAMDatabaseAuthenticationEnabled)" 'switch it on' 'Sign-in without a password'
proxies=$(ask rds describe-db-proxies --query "DBProxies[?starts_with(DBProxyName, '$NAME')].DBProxyName")
check 'no proxy left' '' "$proxies" 'delete it, it costs 0.03 USD an hour; or leave it, if you use it' 'A proxy?'
