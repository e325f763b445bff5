"""What a call changes behind the names: users of the real database, the password of the real cache."""
import subprocess


def sql(call, statements):
    url = open(f"{call.environment['WALK_FOLDER']}/mysql.password").read().strip()
    subprocess.run(["mariadb", "--host=10.255.0.3", "--user=root", "--skip-ssl", "--force"], input=statements.encode(), check=False, env={"MYSQL_PWD": url, "PATH": "/usr/bin:/bin"})


# What the master user of RDS may do.
RIGHTS = ("SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, "
          "REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER")


def master_user(params, response, call):
    name, password = params.get("MasterUsername"), params.get("MasterUserPassword")
    statements = ""
    if name and password:
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        statements = f"CREATE USER IF NOT EXISTS '{name}'@'%'; ALTER USER '{name}'@'%' IDENTIFIED BY '{quoted}'; GRANT {RIGHTS} ON *.* TO '{name}'@'%' WITH GRANT OPTION;"
    if params.get("DBName"):
        statements += f"CREATE DATABASE IF NOT EXISTS `{params['DBName']}` CHARACTER SET utf8mb4;"
    if statements:
        sql(call, statements)


def cache_password(params, response, call):
    if params.get("AuthToken"):
        subprocess.run(["redis-cli", "-h", "10.255.0.4", "--tls", "--insecure", "CONFIG", "SET", "requirepass", params["AuthToken"]], stdout=subprocess.DEVNULL, check=False,
                       env={"REDISCLI_AUTH": call.state.get("cache_password", ""), "PATH": "/usr/bin:/bin"})
        call.state["cache_password"] = params["AuthToken"]


AFTER = {"rds.CreateDBInstance": master_user, "rds.ModifyDBInstance": master_user,
         "elasticache.CreateReplicationGroup": cache_password, "elasticache.ModifyReplicationGroup": cache_password}
