"""Databases get the names that AWS gives them; MiniStack says localhost."""


def name_endpoints(params, response, call):
    for database in response.get("DBInstances", [response.get("DBInstance")]):
        if database and database.get("Endpoint"):
            database["Endpoint"].update(Address=f"{database['DBInstanceIdentifier']}.c0ffee123456.{call.region}.rds.amazonaws.com", Port=3306)


AFTER = {f"rds.{name}": name_endpoints for name in (
    "DescribeDBInstances", "CreateDBInstance", "ModifyDBInstance", "CreateDBInstanceReadReplica", "PromoteReadReplica", "RestoreDBInstanceFromDBSnapshot",
    "RestoreDBInstanceToPointInTime", "DeleteDBInstance")}
