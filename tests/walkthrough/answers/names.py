"""Records of Route 53, kept for the DNS server, which cannot wait for the aws command."""


def keep_records(params, response, call):
    for change in params["ChangeBatch"]["Changes"]:
        record = change["ResourceRecordSet"]
        name = record["Name"].rstrip(".").lower()
        if change["Action"] == "DELETE":
            call.table("dns_records").pop(name, None)
        elif record.get("AliasTarget") and record["Type"] == "A":
            call.table("dns_records")[name] = ["CNAME", record["AliasTarget"]["DNSName"]]
        elif record["Type"] in ("A", "CNAME"):
            call.table("dns_records")[name] = [record["Type"], record["ResourceRecords"][0]["Value"]]


AFTER = {"route-53.ChangeResourceRecordSets": keep_records}
